"""Search for pictures that show what a sketch shows.

The detector's boxes of photos are kept in an index. Drawings are encoded by the tower once. The hundred drawings whose
most similar place is closest to the sketch are ranked by the probability that they show its object.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from visketch.errors import VisketchError
from visketch.language import image
from visketch.language.answers import Predictor
from visketch.language.attributes import Filter, only
from visketch.language.boxes import Box
from visketch.language.detect.coco import SIDE, meant, rows, there
from visketch.language.detect.index import PhotoIndex
from visketch.language.detect.photo import Detections
from visketch.language.model import SketchLanguage
from visketch.language.vision.features import EncodedPicture, Features, features
from visketch.language.vision.pen import as_trained

CANDIDATES = 100
SURE_ENOUGH = 0.5  # the score of a drawing whose best region is just counted (`SketchLanguage.score`)


@dataclass(frozen=True)
class PhotoHit:
    """A picture, the probability that it shows the sketch's object, and the predictor.

    `boxes` has the objects with their scores, the most certain first, as shares of the picture's sides. Those of a
    photo include faint ones. A drawing has the cosine between the sketch and its most similar place too (-1 to 1).
    """

    path: Path
    score: float
    by: Predictor
    boxes: tuple[tuple[Box, float], ...] = ()
    similarity: float | None = None


class PictureSearch:
    """The pictures in a folder and its subfolders. Photos are searched through the detector, drawings through the
    tower. `count` is the number of pictures, without the `unread` files, which could not be read.
    """

    def __init__(
        self,
        model: SketchLanguage,
        folder: Path,
        cache: Path,
        problem: Callable[[VisketchError], None],
        on_progress: Callable[[int, int], None] = lambda done, total: None,
        by: Predictor | None = None,
    ) -> None:
        """Open the search, and process the pictures that are new or changed.

        `cache` is the prefix of the files that keep the results. `by` is a predictor other than the detector, which is
        then used for photos too. `problem` receives the error of each picture that cannot be read. Raises VisketchError
        if none can be read.
        """
        self.model, self.by, self.problem = model, by, problem
        every = files = image.files(folder)
        photos: list[Path] = []
        self.index: PhotoIndex | None = None
        if (by == "detector" or (by is None and not model.prefers_language)) and not model.detector:
            self.index = PhotoIndex(cache.with_suffix(".photos.sqlite"), model.coco.detector.mark)
            self.index.update(files, self._look, problem, on_progress)
            photos, files = self.index.photos(), self.index.drawings()
        self.drawings = (
            Scenes(model, folder, files, cache.with_suffix(".photos.npy"), problem, on_progress) if files else None
        )
        read = {*photos, *(self.drawings.files.values() if self.drawings else ())}
        self.count, self.unread = len(read), [file for file in every if file not in read]
        if not self.count:
            raise VisketchError(f"{folder}: no picture in it could be read; give another folder")

    def _look(self, path: Path) -> Detections | None:
        picture, size = image.upright(path, SIDE)
        square = image.square(picture, self.model.canvas, str(path), size)
        return None if image.is_drawing(square) else self.model.coco.detector(np.asarray(picture))

    def search(self, sketch: EncodedPicture, n: int, which: Filter | None = None) -> list[PhotoHit]:
        """The n pictures with the highest probability of showing the sketch's object, the best first.

        With `which`, only objects that it describes count. Pictures that do not show the object are left out. Raises
        VisketchError if the detector does not know the class of the sketch and there are only photos.
        """
        found = self.drawings.search(sketch, n, self.by, which) if self.drawings else []
        if self.by is None:
            found = [hit for hit in found if hit.score >= SURE_ENOUGH]
        if self.index and self.index.counts()[0]:
            try:
                found += self._photos(self.index, sketch, n, which)
            except VisketchError as error:
                if not self.drawings:
                    raise
                self.problem(error)
        return sorted(found, key=lambda hit: -hit.score)[:n]

    def _photos(self, index: PhotoIndex, sketch: EncodedPicture, n: int, which: Filter | None) -> list[PhotoHit]:
        asked, least = self.model.coco.word(sketch), self.model.coco.shown_from
        if which is None:
            return [PhotoHit(one.path, one.score, "detector", one.boxes) for one in index.search(asked, n, least)]
        hits = []
        for one in index.search(asked, max(CANDIDATES, n), least):
            seen = index.seen(one.path)
            try:
                left = meant(seen, asked.weights(), which, image.read(one.path, self.model.canvas))
            except VisketchError as error:  # the file was deleted after it was indexed
                self.problem(error)
                continue
            boxes = tuple((box, sure) for category, box, sure in rows(left) if category == one.category)
            hits.append(PhotoHit(one.path, float(asked.weights() @ there(left)), "detector", boxes))
        return sorted((hit for hit in hits if hit.score >= least), key=lambda hit: -hit.score)[:n]


class Scenes:
    """Pictures that the tower encodes once. The hundred with the most similar places are ranked."""

    def __init__(
        self,
        model: SketchLanguage,
        folder: Path,
        files: Sequence[Path],
        cache: Path,
        problem: Callable[[VisketchError], None],
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """Encode the pictures that are new or changed. `cache` is the file that keeps the tokens."""
        self.model = model
        facts = {file: file.stat() for file in files if file.is_file()}
        names = {f"{file.relative_to(folder)}|{fact.st_size}|{fact.st_mtime_ns}": file for file, fact in facts.items()}

        def read(name: str) -> image.Picture | None:
            try:
                picture = image.read(names[name], model.canvas)
                return replace(picture, square=as_trained(picture))
            except VisketchError as error:
                problem(error)
                return None

        self.seen: Features = features(cache, list(names), model.sight, read, on_progress)
        self.files = {name: names[name] for name in names if name in self.seen.place}

    def search(
        self, sketch: EncodedPicture, n: int, by: Predictor | None = None, which: Filter | None = None
    ) -> list[PhotoHit]:
        """The n pictures with the highest probability of showing the sketch's object, the best first.

        With `which`, only objects that it describes count.
        """
        if not self.files:
            return []
        names = [*self.files]
        near = self._near(sketch, names)
        first = np.argsort(-near, kind="stable")[: max(CANDIDATES, n)]
        scenes = [self.model.kept(self.seen[names[place]], self.files[names[place]]) for place in first]
        scores = self.model.score([(sketch, scene) for scene in scenes], by, which)
        ranked = sorted(zip(scores, first.tolist(), strict=True), key=lambda pair: -pair[0])
        seen = dict(zip(first.tolist(), scenes, strict=True))
        hits = []
        for score, place in ranked[:n]:
            who = self.model.select(seen[place], by)
            # The language model would have to describe each picture, which takes seconds.
            shown = score >= SURE_ENOUGH and who != "language"
            boxes = self._boxes(sketch, seen[place], who, which) if shown else ()
            hits.append(PhotoHit(self.files[names[place]], score, who, boxes, float(near[place])))
        return hits

    def _boxes(
        self, sketch: EncodedPicture, scene: EncodedPicture, by: Predictor, which: Filter | None
    ) -> tuple[tuple[Box, float], ...]:
        (answer,) = self.model.find([(sketch, scene)], by)
        if isinstance(answer, VisketchError):
            return ()
        meant = only(answer, scene.picture, which) if which else answer
        return tuple((thing.box, thing.score) for thing in sorted(meant.found, key=lambda thing: -thing.score))

    def _near(self, sketch: EncodedPicture, names: Sequence[str]) -> Float[np.ndarray, " n"]:
        """For each picture, the cosine of the sketch and its most similar place. Without a matcher, all are equal."""
        if self.model.matcher is None:
            return np.zeros(len(names), np.float32)
        own = self.model.matcher.direction(sketch.tokens).cpu().numpy()
        return np.array([self.model.matcher.nearest(own, self.seen[name]) for name in names], np.float32)
