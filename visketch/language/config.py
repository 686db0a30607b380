"""The settings of the sketch-language model, like those of the other parts (`visketch/config.py`)."""

import tomllib
from collections.abc import Sequence
from copy import deepcopy
from importlib import resources
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from visketch.atomic import write_atomically
from visketch.config import override
from visketch.configs.section import Count, Length, Section, Share
from visketch.configs.training import PartTraining
from visketch.errors import UsageError, VisketchError, nearest, reason, reworded

FILE = "language.toml"
STAGES = ("tower", "align", "instruct")


class TowerConfig(Section):
    kind: Literal["pair", "leaf", "clip"] = "pair"  # leaf is experimental, and worse than pair (docs/language.md)
    canvas: Count = 128  # pixels of the square that a picture is letterboxed to
    widths: tuple[Count, Count, Count, Count] = Field((24, 48, 96, 160), strict=False)  # of the stages of a pair tower
    embedding: Count = 64  # width of the common vector space of sketches and objects
    places: Count = 32  # how many numbers encode the place of a token

    @property
    def grid(self) -> int:
        """The number of tokens along a side of a pair tower: one for every 16 pixels."""
        return self.canvas // 16


class WriterConfig(Section):
    """The language model: a small Llama."""

    width: Count = 192
    layers: Count = 3
    heads: Count = 4
    inner: Count = 512


class LoraConfig(Section):
    rank: Count = 64
    alpha: Count = 128
    dropout: Share = 0.05
    nf4: bool = False  # load the base in four bits; a 7B model then trains on a card of 16 GB instead of 24


class StageTraining(PartTraining):
    batch: Count = 32  # pairs of pictures, each with all its questions
    weight_decay: float = 0.05
    questions: Count = 8  # the most questions about a pair, sampled anew each time
    freeze_projector: bool = False  # an ablation


class LanguageTraining(Section):
    tower: PartTraining = PartTraining(steps=1000, batch=32, lr=2e-3, warmup=100, weight_decay=0.05)
    align: StageTraining = StageTraining(steps=800, lr=2e-3, warmup=100)
    instruct: StageTraining = StageTraining(steps=900, lr=1e-3, warmup=50)
    seed: int = 0
    precision: Literal["no", "bf16"] = "bf16"
    save_minutes: float = Field(3.0, ge=0)
    temperature: Length = 0.1  # temperature of the tower's contrastive loss


class LanguageConfig(Section):
    name: str = "tiny"
    base: str | None = None  # a LLaVA on the Hub or in a folder; None: a small model, trained from scratch
    labels: tuple[str, ...] = Field((), strict=False)  # the classes, written by training
    tower: TowerConfig = TowerConfig()
    writer: WriterConfig = WriterConfig()
    lora: LoraConfig | None = None  # always with a base; None: the whole small model is trained
    threshold: float = Field(0.5, ge=0, le=1)  # the least score that the matcher counts; chosen on validation scenes
    recognised: float = Field(0.28, ge=0, le=1)  # the least score that the recogniser counts in drawn scenes
    answers: Literal["language", "matcher"] = "language"  # the default predictor; chosen on validation scenes
    train: LanguageTraining = LanguageTraining()

    @model_validator(mode="after")
    def check(self) -> "LanguageConfig":
        if self.writer.width % self.writer.heads:
            raise ValueError(f"writer.width = {self.writer.width} must be a multiple of {self.writer.heads} heads")
        if self.tower.canvas % 16:
            raise ValueError(f"tower.canvas = {self.tower.canvas} must be a multiple of 16")
        if self.base and not self.lora:
            raise ValueError(f"base = {self.base} needs LoRA; set lora.rank, or start with the preset llava-7b")
        if self.lora and not self.base:
            raise ValueError("lora is for a base; name one, or leave out lora")
        return self


PRESETS: dict[str, dict] = {
    "tiny": {},
    "llava-7b": {
        "name": "llava-7b",
        "base": "llava-hf/llava-1.5-7b-hf",
        "tower": {"kind": "clip", "canvas": 336},
        "lora": {},
        # O3SLM trains for one epoch at 2e-5, with a cosine after 3 % of warm-up. Here, a step has pairs with all their
        # questions.
        "train": {
            "align": {"steps": 25_000, "batch": 24, "lr": 2e-5, "warmup": 750, "weight_decay": 0.0, "muon": False},
            "instruct": {"steps": 9_000, "batch": 24, "lr": 2e-5, "warmup": 270, "weight_decay": 0.0, "muon": False},
        },
    },
}


def load(preset: str | Path = "tiny", overrides: Sequence[str] = ()) -> LanguageConfig:
    """The settings of a preset or a TOML file, with `section.key=value` overrides.

    Raises UsageError for an unknown preset, key or type, VisketchError for a file that cannot be read.
    """
    if str(preset) in PRESETS:
        tree = deepcopy(PRESETS[str(preset)])
    elif not Path(preset).suffix:
        raise UsageError(f"no preset {str(preset)!r}: {nearest(str(preset), [*PRESETS])}")
    else:
        try:
            tree = tomllib.loads(Path(preset).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise VisketchError(f"{preset}: cannot be read, {reason(error)}") from None
    for one in overrides:
        override(tree, one)
    try:
        return LanguageConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{preset}: {where or 'the whole'}: {reworded(first['msg'])}, it is {first['input']!r}"
        ) from None


def find(folder: str | Path | None) -> Path:
    """The folder of a sketch-language model, given its path or the name of a shipped one. Raises VisketchError."""
    if folder is not None and (Path(folder) / FILE).exists():
        return Path(folder)
    name = str(folder or "language")
    home = Path(str(resources.files("visketch.checkpoints"))) / name
    if (home / FILE).exists():
        return home
    message = f"{name}: no sketch-language model there (no {FILE}); `visketch language train` makes one"
    raise VisketchError(message)


def read(folder: Path) -> LanguageConfig:
    """The settings of a checkpoint, without those of its training. Raises VisketchError if the folder is not a
    checkpoint.
    """
    path = folder / FILE
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
        tree.pop("train", None)
        return LanguageConfig.model_validate(tree)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        what = reason(error) if isinstance(error, OSError) else str(error).splitlines()[0]
        raise VisketchError(f"{folder}: not a sketch-language model, {FILE} cannot be read: {what}") from None


def write(folder: Path, settings: LanguageConfig) -> None:
    """Write the settings into a checkpoint's folder, atomically. Raises VisketchError."""
    import tomli_w

    text = tomli_w.dumps(settings.model_dump(mode="json", exclude_none=True))
    write_atomically(folder / FILE, text.encode())
