"""The configuration: strict, immutable pydantic models, read from TOML.

Lengths on the canvas are shares of its side. A preset is a name (`tiny`, `small`, `base`) or a path.
`section.key=value` overrides one setting.
"""

import tomllib
import warnings
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from visketch import hub, labels
from visketch.configs.section import Count, Length, Section, Share
from visketch.configs.training import TrainConfig
from visketch.errors import RenamedWarning, UsageError, VisketchError, nearest, reason, reworded

DEEPEST = 7  # the most levels that a tree may have below its root: 21,845 tiles
RENAMED = {"peer": "baseline"}  # old names of sections, which are still read


Coarse = Literal["strokes", "field"]  # what the coarse stage draws


class SketchConfig(Section):
    """The canvas on which sketches are drawn as fields, and its quadtree. Lengths are shares of the canvas side."""

    canvas: Count = 128  # pixels
    depth: int = Field(2, ge=1, le=DEEPEST)
    pen: Length = 1 / 32  # one pixel of the root tile of 32 pixels, so that even there every line is visible
    margin: Share = 1 / 24
    clamp: Length = 1 / 16  # the distance at which the field saturates
    information: Share = 0.004  # a tile is split if a larger share of its area is near ink

    @property
    def tile(self) -> int:
        """p, the side in pixels at which every tile is seen."""
        return self.canvas >> self.depth

    @property
    def near(self) -> float:
        """Half the width of the pen, in units of the field. Points this close to ink count as inked."""
        return self.pen / 2 / self.clamp

    def at(self, canvas: int) -> "SketchConfig":
        """The configuration for a larger canvas, with the same pen and tiles in pixels and therefore a deeper tree.

        Raises UsageError if no tree has a canvas of this side.
        """
        known = [self.canvas << more for more in range(DEEPEST + 1 - self.depth)]
        if canvas not in known:
            raise UsageError(f"a canvas of {canvas} pixels is not possible; use one of {', '.join(map(str, known))}")
        deeper, share = self.depth + known.index(canvas), self.canvas / canvas
        finer = {"pen": self.pen * share, "clamp": self.clamp * share}
        return self.model_copy(update={"canvas": canvas, "depth": deeper} | finer)

    @property
    def codes(self) -> int:
        """t, the number of codes of a leaf."""
        return (self.tile // 8) ** 2

    @model_validator(mode="after")
    def check(self) -> "SketchConfig":
        if self.canvas % (8 << self.depth):
            raise ValueError(f"canvas must be a multiple of 8 * 2^depth = {8 << self.depth}, it is {self.canvas}")
        return self


class VQVAEConfig(Section):
    """The size of the VQ-VAE, and variants of its training."""

    width: Count = 64
    codebook_size: Count = 512
    codebook_dim: Count = 16
    # These settings are experimental. docs/results.md compares them with the defaults: they are not better.
    plain: bool = False  # no k-means start, no cosine similarity, no replacement of unused codes
    binary: bool = False  # learn tiles of ink (0 or 1) instead of signed distances


class GuideConfig(Section):
    """The size of the network that guides strokes."""

    width: Count = 64
    layers: Count = 1
    heads: Count = 4


class DiffusionConfig(Section):
    """The coarse stage: its network, and how it samples."""

    backbone: Literal["unet", "strokes"] = "unet"  # what is drawn: the pixels of a field, or pieces of strokes
    width: Count = 64  # width of the first level of a unet, or of the tokens of strokes
    levels: Count = 2  # levels of a unet
    layers: Count = 1  # residual blocks in each level of a unet, or all blocks for strokes
    heads: Count = 4
    patch: Count = 2  # side in pixels of a patch of a unet
    pieces: Count = 24  # the most pieces of strokes that a sketch may have; 99 of 100 QuickDraw drawings have no more
    guide: GuideConfig = GuideConfig()  # only for strokes; a unet is guided by its null class
    steps: Count = 20
    guidance: float = 2.0


class EncoderConfig(Section):
    """The size of the leaf encoder, which the refiner and the classifier share."""

    width: Count = 192
    layers: Count = 3
    heads: Count = 6
    stem: Count = 24  # channels of the first stage of the stem; each further stage has twice as many
    dropout: Share = 0.0


class RefinerConfig(Section):
    width: Count = 192
    layers: Count = 4
    heads: Count = 6
    dropout: Share = 0.1
    context: int = Field(DEEPEST, ge=0)  # how many levels of context a leaf sees; 0: none; the depth or more: all


class ClassifierConfig(Section):
    depth: int = Field(DEEPEST, ge=0)  # the finest level that is read; the depth of the tree or more: all levels
    layers: Count = 2
    heads: Count = 6
    dropout: Share = 0.1


class SequenceConfig(Section):
    """The classifier of strokes in their order."""

    width: Count = 64
    layers: Count = 1
    heads: Count = 4
    pieces: Count = 24  # the most pieces of strokes; drawings with more strokes are classified by their picture alone


class BaselineConfig(Section):
    """A classifier of whole pictures, for comparison and as a judge of generated sketches."""

    backbone: Literal["resnet34", "vit", "cnn"] = "resnet34"
    channels: Count = 64  # channels of the first stage of a resnet, doubled at each of the next three
    width: Count = (
        384  # of a vit; with these layers and heads it is a ViT-S, which has as many parameters as a ResNet34
    )
    layers: Count = 12
    heads: Count = 6
    patch: Count = 16


class Config(Section):
    """All settings of a checkpoint: what it draws, the sizes of its parts, and how they are trained."""

    name: str = "small"
    labels: tuple[str, ...] = Field((), strict=False)  # the classes, written by training
    sketch: SketchConfig = SketchConfig()
    vqvae: VQVAEConfig = VQVAEConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    field: DiffusionConfig = DiffusionConfig()  # the paper's coarse stage, kept beside a diffusion of strokes
    encoder: EncoderConfig = EncoderConfig()
    refiner: RefinerConfig = RefinerConfig()
    classifier: ClassifierConfig = ClassifierConfig()
    sequence: SequenceConfig = SequenceConfig()
    baseline: BaselineConfig = BaselineConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def check(self) -> "Config":
        for part, owner in (("encoder", "encoder"), ("refiner", "refiner"), ("classifier", "encoder")):
            heads, width = getattr(self, part).heads, getattr(self, owner).width
            if width % heads:
                raise ValueError(f"{owner}.width = {width} must be a multiple of {part}.heads = {heads}")
        baseline, tile = self.baseline, self.sketch.tile
        if baseline.backbone == "vit" and baseline.width % baseline.heads:
            raise ValueError(
                f"baseline.width = {baseline.width} must be a multiple of baseline.heads = {baseline.heads}"
            )
        if baseline.backbone == "vit" and tile % baseline.patch:  # its training begins with pictures as small as a tile
            raise ValueError(f"canvas / 2^depth = {tile} must be a multiple of baseline.patch = {baseline.patch}")
        return self

    @property
    def reading(self) -> SketchConfig:
        """The canvas and the depth with which drawings are rendered to be recognised.

        They are those of training, without the levels that the classifier does not read.
        """
        depth = min(self.classifier.depth, self.sketch.depth)
        return self.sketch.model_copy(update={"canvas": self.sketch.tile << depth, "depth": depth})

    @property
    def coarse(self) -> Coarse:
        """What the coarse stage draws by default."""
        return "strokes" if self.diffusion.backbone == "strokes" else "field"

    def coarse_part(self, coarse: Coarse | None = None) -> str:
        """The name of the part that draws the coarse stage, as strokes or as a field.

        It is `diffusion`, or `field` for the field that is kept beside a diffusion of strokes. Raises UsageError if
        strokes are asked for and the diffusion draws none.
        """
        if coarse == "strokes" and self.coarse == "field":
            raise UsageError(
                f"checkpoint {self.name!r} draws no strokes; train one with --set diffusion.backbone=strokes"
            )
        return "field" if coarse == "field" and self.coarse == "strokes" else "diffusion"

    def stage(self, coarse: Coarse | None = None) -> DiffusionConfig:
        """The settings of the part that `coarse_part` names. Raises UsageError if strokes are asked for and there are
        none.
        """
        settings: DiffusionConfig = getattr(self, self.coarse_part(coarse))
        return settings

    def label_of(self, name: str) -> int:
        """The number of a class, given its name in any spelling that `labels.py` knows.

        Raises UsageError with the most similar names if there is no such class.
        """
        return self.labels.index(labels.find(name, self.labels))


def load(preset: str | Path, overrides: tuple[str, ...] | list[str] = ()) -> Config:
    """The configuration of a preset or a TOML file, with `section.key=value` overrides.

    Raises UsageError for an unknown preset, key or type, with the right ones named. Raises VisketchError if the file
    cannot be read.
    """
    text, origin = _read(preset)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise VisketchError(f"{origin}: not valid TOML, {error}") from None
    for knob in overrides:
        override(tree, knob)
    return parse(tree, origin)


def parse(tree: dict, origin: str) -> Config:
    """Turn a dictionary from TOML into a Config. Raises UsageError with the key and its allowed values."""
    tree = _renamed(tree, origin, "")
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{origin}: {_explain(first['loc'], first)}") from None


def _renamed_word(word: str, origin: str) -> str:
    if word in RENAMED:
        warnings.warn(f"{origin}: {word} is now called {RENAMED[word]}", RenamedWarning, stacklevel=3)
    return RENAMED.get(word, word)


def _renamed(tree: dict, origin: str, above: str) -> dict:
    """The same sections under their current names, with a `RenamedWarning` for each old name."""
    if isinstance(tree.get("train"), dict):
        tree = {**tree, "train": _renamed(tree["train"], origin, "train.")}
    for old, new in RENAMED.items():
        if old in tree and new not in tree:
            warnings.warn(f"{origin}: [{above}{old}] is now called [{above}{new}]", RenamedWarning, stacklevel=4)
            tree = {new if name == old else name: value for name, value in tree.items()}
    return tree


def read_config(folder: Path) -> Config:
    """A checkpoint's configuration, with its labels.

    Training settings are ignored, so that an unknown one from another version does not prevent loading the weights.
    Raises VisketchError if the folder is not a checkpoint.
    """
    path = folder / "config.toml"
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = reason(error) if isinstance(error, OSError) else "it is not TOML"
        raise VisketchError(f"{folder}: not a checkpoint, {path.name} cannot be read: {what}") from None
    tree.pop("train", None)
    try:
        return parse(tree, str(path))
    except UsageError as error:  # not the request is wrong, but the file
        raise VisketchError(str(error)) from None


def presets() -> list[str]:
    """The names of the presets that are installed with the package."""
    files = resources.files("visketch.configs").iterdir()
    return sorted(file.name[:-5] for file in files if file.name.endswith(".toml"))


def shipped() -> dict[str, Path]:
    """The checkpoints that are installed with the package, by name."""
    home = Path(str(resources.files("visketch.checkpoints")))
    return {entry.name: entry for entry in sorted(home.iterdir()) if (entry / "config.toml").exists()}


def find(checkpoint: str | Path | None = None, cached: bool = False) -> Path:
    """The folder of a checkpoint.

    `checkpoint` is a path, the name of a shipped checkpoint (by default "small"), or `owner/name` on the Hub, which is
    downloaded. With `cached`, an earlier download is used. Raises UsageError for anything but a path or a name,
    VisketchError if there is no such checkpoint.
    """
    if not isinstance(checkpoint, str | Path | None):
        raise UsageError(f"a checkpoint of type {type(checkpoint).__name__}; pass a folder or the name of one")
    if checkpoint is not None and (Path(checkpoint) / "config.toml").exists():
        return Path(checkpoint)
    name, known = str(checkpoint or "small"), shipped()
    if isinstance(checkpoint, str) and hub.is_name(name) and not Path(name).exists():
        return hub.fetch(name, cached)
    if name not in known:
        mend = nearest(name, list(known)) if known else "this installation has none; train one first"
        raise VisketchError(f"{name}: no checkpoint there (no config.toml); {mend}")
    return known[name]


def _read(preset: str | Path) -> tuple[str, str]:
    if str(preset) in presets():
        installed = resources.files("visketch.configs").joinpath(f"{preset}.toml")
        return installed.read_text(encoding="utf-8"), f"preset {preset}"
    if not Path(preset).suffix:
        raise UsageError(f"no preset {str(preset)!r}: {nearest(str(preset), presets())}")
    try:
        return Path(preset).read_text(encoding="utf-8"), str(preset)
    except (OSError, UnicodeDecodeError) as error:
        what = reason(error) if isinstance(error, OSError) else "not text"
        raise VisketchError(f"{preset}: cannot be read, {what}") from None


def override(tree: dict, knob: str) -> None:
    """Apply one `section.key=value` to a dictionary of settings, in place. Raises UsageError if it has another form."""
    path, equals, value = knob.partition("=")
    if not equals:
        raise UsageError(f"--set {knob}: write it as section.key=value")
    *sections, key = (_renamed_word(word, f"--set {knob}") for word in path.strip().split("."))
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise UsageError(f"--set {knob}: {section!r} is a value, not a section")
    try:
        tree[key] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        tree[key] = value  # a word without quotes is a string


def _explain(location: tuple, error: Any) -> str:
    path = ".".join(str(part) for part in location)
    if error["type"] != "extra_forbidden":
        # A check of several settings says their values itself
        value = "" if isinstance(error["input"], dict) else f", it is {error['input']!r}"
        return f"{f'{path}: ' if path else ''}{reworded(error['msg'])}{value}"
    section: type[BaseModel] = Config
    for part in location[:-1]:
        section = section.model_fields[part].annotation  # type: ignore[assignment]
    return f"unknown key {path!r}: {nearest(str(location[-1]), sorted(section.model_fields))}"
