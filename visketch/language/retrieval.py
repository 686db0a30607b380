"""Photos that show what a sketch shows: looked at once and kept, a hundred candidates by their nearest place, ranked by
how likely each answers "is it there?" with yes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from visketch.errors import VisketchError
from visketch.language import image
from visketch.language.answers import Predictor
from visketch.language.attributes import Filter
from visketch.language.model import SketchLanguage
from visketch.language.vision.features import EncodedPicture, Features, features

CANDIDATES = 100


@dataclass(frozen=True)
class PhotoHit:
    """A photo, how likely it shows the sketch's object (0 to 1), who says so, and how near its nearest place is (-1 to
    1).
    """

    path: Path
    score: float
    similarity: float
    by: Predictor


class PhotoIndex:
    """The photos in a folder and below it, as the model sees them."""

    def __init__(
        self,
        model: SketchLanguage,
        folder: Path,
        cache: Path,
        problem: Callable[[VisketchError], None],
        on_progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """`cache`: the file to keep what was seen in; what is new or changed is looked at, the rest is read from it.

        `problem` hears of each photo that cannot be read. Raises VisketchError if none can.
        """
        self.model = model
        files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in image.SUFFIXES and file.is_file())
        names = {f"{file.relative_to(folder)}|{file.stat().st_size}|{file.stat().st_mtime_ns}": file for file in files}

        def read(name: str) -> image.Picture | None:
            try:
                return image.read(names[name], model.canvas)
            except VisketchError as error:
                problem(error)
                return None

        self.seen: Features = features(cache, list(names), model.sight, read, on_progress)
        self.files = {name: names[name] for name in names if name in self.seen.place}
        if not self.files:
            raise VisketchError(f"{folder}: no photo in it that could be read, give another folder")

    def search(
        self, sketch: EncodedPicture, n: int, by: Predictor | None = None, which: Filter | None = None
    ) -> list[PhotoHit]:
        """The n photos that most likely show what the sketch shows, the likeliest first; with `which` one like that."""
        names = [*self.files]
        near = self._near(sketch, names)
        first = np.argsort(-near, kind="stable")[: max(CANDIDATES, n)]
        scenes = [self.model.kept(self.seen[names[place]], self.files[names[place]]) for place in first]
        scores = self.model.score([(sketch, scene) for scene in scenes], by, which)
        ranked = sorted(zip(scores, first.tolist(), strict=True), key=lambda pair: -pair[0])
        who = {place: self.model.select(scene, by) for place, scene in zip(first.tolist(), scenes, strict=True)}
        return [
            PhotoHit(self.files[names[place]], score, float(near[place]), who[place]) for score, place in ranked[:n]
        ]

    def _near(self, sketch: EncodedPicture, names: Sequence[str]) -> Float[np.ndarray, " n"]:
        """How near the nearest place of each photo is to the sketch. Without a matcher all are as near."""
        if self.model.matcher is None:
            return np.zeros(len(names), np.float32)
        own = self.model.matcher.direction(sketch.tokens).cpu().numpy()
        return np.array([self.model.matcher.nearest(own, self.seen[name]) for name in names], np.float32)
