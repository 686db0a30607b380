"""Open the files that the user names as sources of scenes and sketches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from visketch.data import coco, photos
from visketch.data.photos import Photo
from visketch.data.store import Store
from visketch.errors import UsageError, VisketchError
from visketch.language.dataset.photo_scenes import Annotated, Objects, Outlines, style_of
from visketch.language.dataset.photo_to_sketch import LEVELS
from visketch.language.dataset.scenes import Scenery, Style, Styles
from visketch.language.dataset.sketch_scenes import SketchScenes

KINDS = ("drawings", "photos", "coco")
HELD_OUT = style_of(3)  # the style that is only used in tests by default


@dataclass(frozen=True)
class SourcePaths:
    """The files that the user names: packed data sets of drawings, folders of photos."""

    drawings: Path | None = None  # drawings, for scenes and for queries
    photos: tuple[Path, ...] = ()  # folders of photos in folders that are named by class
    coco: Path | None = None  # an instances.json
    images: Path | None = None  # the folder of its photos; by default `images` beside it
    styles: dict[str, Path] = field(default_factory=dict)  # further styles of queries: packed data sets
    held_out: tuple[str, ...] = ()  # styles that are only used in tests; by default the bare outline
    kinds: tuple[str, ...] = ()  # the kinds of scenes; by default, all that can be made

    def about(self) -> dict:
        """The description of the sources for dataset.json. It has names and no paths."""
        places = {"drawings": self.drawings, "coco": self.coco, **self.styles}
        named = {name: path.resolve().name for name, path in places.items() if path}
        return named | {"photos": [folder.resolve().name for folder in self.photos]}


def open_all(
    named: SourcePaths,
    classes: Sequence[str],
    canvas: int = 128,
    problem: Callable[[VisketchError], None] = lambda _: None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Scenery | Annotated], Styles]:
    """Open the sources. Returns the scenery by kind, and the styles of queries.

    `problem` receives the error of each photo that is left out. `progress` is called with the number of photos cut out
    and the number of photos. Raises VisketchError for files that cannot be read, UsageError if nothing is given for a
    kind.
    """
    if not named.drawings and not named.photos and not named.coco:
        raise UsageError("nothing to make scenes from; name --drawings, --photos or --coco")
    real: list[Photo] = []
    if named.coco:
        real = coco.read(named.coco, named.images or named.coco.parent / "images", problem)
    shots = [photo for folder in named.photos for photo in photos.read(folder, problem)]
    scenery: dict[str, Scenery | Annotated] = {}
    styles: dict[str, Style] = {}
    everything = {*classes, *(item.label for photo in real for item in photo.objects)}
    if named.drawings:
        scenery["drawings"] = styles["human"] = SketchScenes(Store(named.drawings), everything, canvas)
    for name, path in named.styles.items():
        styles[name] = SketchScenes(Store(path), everything, canvas, name)
    if shots or real:
        objects = Objects([*shots, *real], classes, canvas, problem, progress)
        scenery["photos"] = objects
        styles |= {style_of(level): Outlines(objects, level) for level in LEVELS}
    if real:
        scenery["coco"] = Annotated(real)
    if unknown := set(named.kinds) - set(KINDS):
        raise UsageError(f"no kind of scenes {min(unknown)!r}; there are {', '.join(KINDS)}")
    if missing := set(named.kinds) - set(scenery):
        needed = {"drawings": "--drawings", "photos": "--photos or --coco", "coco": "--coco"}[min(missing)]
        raise UsageError(f"scenes of {min(missing)} need {needed}")
    held_out = named.held_out or ((HELD_OUT,) if HELD_OUT in styles else ())
    return {kind: scenery[kind] for kind in named.kinds or scenery}, Styles(styles, held_out)
