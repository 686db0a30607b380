"""Scenes from photos: objects that are cut out and pasted on a background, with exact boxes; and whole photos.

The outline of an object (`photo_to_sketch.py`) is a sketch with which other objects of its class can be asked for.
There is a style for each level of abstraction.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFilter

from visketch.data.photos import Photo
from visketch.data.read import stop
from visketch.errors import VisketchError
from visketch.language.dataset import photo_to_sketch
from visketch.language.dataset.photo_to_sketch import Cutout
from visketch.language.dataset.scenes import Query, Scene, Thing, place
from visketch.language.dataset.sketch_scenes import page

LONGEST = 640  # pixels of a photo's longer side in the data set


class Objects:
    """Objects cut out of photos. A scene shows some of them on a blurred piece of another photo of the same split."""

    def __init__(
        self,
        photos: Sequence[Photo],
        classes: Collection[str],
        canvas: int = 128,
        problem: Callable[[VisketchError], None] = stop,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Cut out all objects of some classes.

        `progress` is called with the number of photos done and the number of photos. `problem` receives the error of
        each photo that cannot be used. Raises VisketchError if OpenCV is not installed, or if there is no object of
        these classes.
        """
        photo_to_sketch.opencv()
        self.canvas = canvas
        self.cutouts: dict[str, Cutout] = {}
        self.sketches: dict[str, dict[int, tuple[np.ndarray, ...]]] = {}
        self.names: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.photos: dict[str, list[Photo]] = defaultdict(list)
        for done, photo in enumerate(photos):
            try:
                self._cut(photo, classes)
            except VisketchError as error:
                problem(error)
            if progress:
                progress(done + 1, len(photos))
        if not self.cutouts:
            raise VisketchError("no photo shows any of the classes; give more photos, or name their classes")

    def _cut(self, photo: Photo, classes: Collection[str]) -> None:
        pixels = photo.pixels()
        self.photos[photo.split].append(photo)
        for number, item in enumerate(photo.objects):
            cutout = photo_to_sketch.cut(pixels, item) if item.label in classes and not item.crowd else None
            if cutout is not None:
                self.cutouts[name_of(photo, number)] = cutout
                self.names[item.label, photo.split].append(name_of(photo, number))

    def labels(self, split: str) -> set[str]:
        return {label for (label, part), names in self.names.items() if part == split and names}

    def scene(self, labels: Sequence[str], split: str, rng: np.random.Generator) -> Scene:
        used, cut = [], []
        for label in labels:
            names = self.names[label, split]
            used.append(names[int(rng.integers(len(names)))])
            pixels, mask = _trimmed(self.cutouts[used[-1]])
            turn = -1 if split == "train" and rng.random() < 0.5 else 1
            cut.append((pixels[:, ::turn], mask[:, ::turn]))
        boxes = place(np.array([mask.shape[::-1] for _, mask in cut], np.float64), rng)
        scene = Image.fromarray(self._background(split, rng))
        things = []
        for label, (pixels, mask), box in zip(labels, cut, boxes, strict=True):
            x1, y1, x2, y2 = np.rint(box * self.canvas).astype(int).tolist()
            x2, y2 = max(x2, x1 + 2), max(y2, y1 + 2)
            size = (x2 - x1, y2 - y1)
            shape = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
            scene.paste(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), (x1, y1), shape)
            things.append(Thing(label, (x1 / self.canvas, y1 / self.canvas, x2 / self.canvas, y2 / self.canvas)))
        return Scene(np.asarray(scene), tuple(things), frozenset(used))

    def _background(self, split: str, rng: np.random.Generator) -> UInt8[np.ndarray, "h h 3"]:
        """A piece of a photo, blurred so strongly that nothing in it can be counted."""
        photos = self.photos[split]
        photo = Image.fromarray(photos[int(rng.integers(len(photos)))].pixels())
        side = int(min(photo.size) * rng.uniform(0.3, 0.9))
        x, y = (int(rng.integers(0, length - side + 1)) for length in photo.size)
        piece = photo.crop((x, y, x + side, y + side)).resize((self.canvas, self.canvas), Image.Resampling.BOX)
        return np.asarray(piece.filter(ImageFilter.GaussianBlur(self.canvas / 10)))


class Outlines:
    """The outlines of cut-out objects at one level of abstraction, as query sketches."""

    def __init__(self, objects: Objects, level: int) -> None:
        self.objects, self.level, self.style = objects, level, style_of(level)

    def sources(self, label: str, split: str) -> Sequence[str]:
        return self.objects.names.get((label, split), ())

    def query(self, source: str, label: str, split: str, rng: np.random.Generator) -> Query:
        known = self.objects.sketches
        if source not in known:
            known[source] = photo_to_sketch.sketch(self.objects.cutouts[source])
        lines = known[source][self.level] or known[source][min(known[source])]
        return Query(label, source, f"{source}-{self.style}", self.style, page(lines, self.objects.canvas))


class Annotated:
    """Whole photos with their annotated objects."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self.photos = photos

    def scenes(self, split: str) -> Iterator[Scene]:
        """A scene for every photo. A class with a crowd region is left out of its objects, since the crowd is not
        counted.
        """
        for photo in self.photos:
            crowded = {item.label for item in photo.objects if item.crowd}
            kept = [item for item in photo.objects if item.label not in crowded]
            if photo.split != split or not kept:
                continue
            pixels = photo.pixels()
            high, wide = pixels.shape[:2]
            things = []
            for item in kept:
                x1, y1, x2, y2 = (max(0.0, place) for place in item.box)
                things.append(Thing(item.label, (x1 / wide, y1 / high, min(1.0, x2 / wide), min(1.0, y2 / high))))
            picture = Image.fromarray(pixels)
            picture.thumbnail((LONGEST, LONGEST))
            own = frozenset(name_of(photo, number) for number in range(len(photo.objects)))
            yield Scene(np.asarray(picture), tuple(things), own, frozenset(crowded))


def style_of(level: int) -> str:
    return f"lines-{level}"


def name_of(photo: Photo, number: int) -> str:
    """The name of an object in the data set."""
    return f"{photo.path.absolute().parent.name}-{photo.path.stem}-{number}".replace(" ", "_")


def _trimmed(cutout: Cutout) -> tuple[np.ndarray, np.ndarray]:
    """The colours and the mask of a cut-out, without its margin."""
    rows, columns = np.flatnonzero(cutout.mask.any(axis=1)), np.flatnonzero(cutout.mask.any(axis=0))
    inside = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cutout.pixels[inside], cutout.mask[inside]
