"""The table of `visketch evaluate language --photos`: hand-drawn sketches as questions about photos annotated in COCO's
format.

It uses the classes that are words of *Quick, Draw!* one to one and that occur in a photo. The columns are: `detector`;
`detector, told the word`, the detector without reading the sketch; `matcher`; `language`, the language model by its
description. The baselines are the most frequent answer, and chance.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visketch.data.store import Store
from visketch.errors import UsageError, VisketchError
from visketch.evaluate import language_metrics
from visketch.evaluate.language_metrics import ExactMetrics, Gallery, RetrievalMetrics
from visketch.evaluate.language_table import reasoned
from visketch.evaluate.photo_metrics import Precision, precision
from visketch.language.boxes import Box
from visketch.language.dataset.instructions import ask
from visketch.language.dataset.rows import InstructionRow
from visketch.language.dataset.scenes import Thing
from visketch.language.detect.categories import category
from visketch.language.detect.coco import label
from visketch.language.detect.sketch_word import SketchWord
from visketch.language.vision.features import EncodedPicture

if TYPE_CHECKING:
    from visketch.language.answers import Answer, Predictor
    from visketch.language.model import SketchLanguage

TOLD = "detector, told the word"
WHO: "dict[str, Predictor]" = {"detector": "detector", TOLD: "detector", "matcher": "matcher", "language": "language"}
FAINTEST = 0.01  # the least score of boxes for average precision
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class PhotoTable:
    """All metrics of all predictors. `seconds` is the time that the detector takes for a photo once it is loaded."""

    photos: int
    words: int
    sketches: int
    seconds: float
    boxes: dict[str, Precision]
    counting: dict[str, ExactMetrics]  # over as many pairs with the class in the photo as without
    present: dict[str, ExactMetrics]  # over only the pairs with the class in the photo
    absent: dict[str, ExactMetrics]
    questions: dict[str, ExactMetrics]
    retrieval: dict[str, RetrievalMetrics]
    refused: float  # the share of sketches that are taken for a word that the detector does not know


@dataclass(frozen=True)
class AnnotatedPhoto:
    """An annotated photo: its COCO id, its sides in pixels, and its objects by word.

    Boxes are shares of the sides. Some words have an uncounted crowd in the photo; they are listed separately.
    """

    id: int
    path: Path
    sides: tuple[int, int]
    things: tuple[Thing, ...]
    crowds: frozenset[str]

    def count(self, word: str) -> int:
        return sum(thing.label == word for thing in self.things)


def annotated(folder: Path) -> tuple[dict[str, Any], list[AnnotatedPhoto]]:
    """COCO's annotations, and the photos in a folder.

    The folder has `instances.json` and `images/`, or `annotations/instances_val2017.json` and `val2017/` as in COCO's
    own archives. Raises VisketchError.
    """
    files = [*folder.glob("instances*.json"), *folder.glob("annotations/instances*.json")]
    for file in sorted(files):
        images = folder / (file.stem.partition("_")[2] or "images")
        if images.is_dir():
            break
    else:
        raise VisketchError(
            f"{folder}: it has neither instances.json with images/, nor annotations/instances_*.json with photos"
        )
    try:
        content = json.loads(file.read_bytes())
        objects: dict[int, list[dict]] = {one["id"]: [] for one in content["images"]}
        for one in content["annotations"]:
            objects[one["image_id"]].append(one)
        photos = [_photo(one, images, objects[one["id"]]) for one in content["images"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VisketchError(f"{file}: not in COCO's format: {error}") from None
    missing = next((photo.path for photo in photos if not photo.path.is_file()), None)
    if missing:
        raise VisketchError(f"{missing}: {file.name} lists this photo, but it does not exist")
    return content, photos


def _photo(facts: Mapping[str, Any], images: Path, objects: Sequence[Mapping[str, Any]]) -> AnnotatedPhoto:
    wide, high = int(facts["width"]), int(facts["height"])
    things, crowds = [], set()
    for one in objects:
        word = label(one["category_id"])
        if one.get("iscrowd"):
            crowds.add(word)
        else:
            x, y, across, down = one["bbox"]
            things.append(Thing(word, (x / wide, y / high, (x + across) / wide, (y + down) / high)))
    return AnnotatedPhoto(facts["id"], images / facts["file_name"], (wide, high), tuple(things), frozenset(crowds))


class PhotoAsker:
    """A model, photos that it has encoded once, and sketches as queries."""

    def __init__(
        self, model: "SketchLanguage", photos: Sequence[AnnotatedPhoto], drawings: Store, each: int, seed: int
    ) -> None:
        """Encode the photos and choose `each` test drawings of every word. Raises UsageError if there are none."""
        self.model, self.photos, self.rng = model, photos, np.random.default_rng(seed)
        shown = {thing.label for photo in photos for thing in photo.things}
        test, labels = drawings.rows("test"), np.array(drawings.labels)
        self.sketches: dict[str, list[EncodedPicture]] = {}
        for word in sorted(shown):
            found = category(word)
            own = test[labels[drawings.label[test]] == word]
            if found and not found.narrower and len(own):
                some = self.rng.permutation(own)[:each]
                self.sketches[word] = [model.sketch(drawings[row]) for row in some]
        if not self.sketches:
            raise UsageError("no test drawing of any class in these photos; give other --sketches")
        self.told = {word: EncodedPicture(some[0].tokens, some[0].picture) for word, some in self.sketches.items()}
        self.scenes = [model.look([photo.path])[0] for photo in photos]
        start = time.perf_counter()
        for number, scene in enumerate(self.scenes):
            if number == 1:  # the time of the first photo includes loading
                start = time.perf_counter()
            model.coco.look(scene)
        self.seconds = (time.perf_counter() - start) / max(len(photos) - 1, 1)
        for word, sketch in self.told.items():
            model.coco.sketches[sketch] = SketchWord.of({word: 1.0})

    def sketch(self, who: str, word: str, number: int = 0) -> EncodedPicture:
        return self.told[word] if who == TOLD else self.sketches[word][number % len(self.sketches[word])]

    def find(self, who: str, pairs: Sequence[tuple], least: float | None = None) -> "list[Answer | VisketchError]":
        return self.model.find([*pairs], WHO[who], least)


def evaluate(
    model: "SketchLanguage",
    folder: Path,
    drawings: Store,
    each: int = 2,
    limit: int | None = None,
    seed: int = 0,
    on_progress: OnProgress = lambda what, done, total: None,
) -> PhotoTable:
    """Measure every predictor on the photos of a folder.

    `each` is the number of test drawings of a word, and `limit` the most photos that are used. Raises UsageError if
    nothing can be measured, VisketchError if a file cannot be read.
    """
    content, photos = annotated(folder)
    photos = photos[:limit]
    content = _only(content, {photo.id for photo in photos})
    asker = PhotoAsker(model, photos, drawings, each, seed)
    everyone = ["detector", TOLD, "matcher", *(["language"] if "language" in model.available() else [])]
    pairs, asked = _pairs(asker), _questions(asker)
    boxes, counts, questions, retrieval = {}, {}, {}, {}
    for done, who in enumerate(everyone):
        on_progress("who answers", done, len(everyone))
        if who != "language":  # the language model would have to describe every photo for every sketch
            boxes[who] = _boxes(asker, who, content)
            retrieval[who] = _retrieval(asker, who)
        counts[who] = _counts(asker, who, pairs)
        questions[who] = _answered(asker, who, asked)
    on_progress("who answers", len(everyone), len(everyone))
    refused = [_is_refused(model, sketch) for some in asker.sketches.values() for sketch in some]
    return PhotoTable(
        photos=len(photos),
        words=len(asker.sketches),
        sketches=len(refused),
        seconds=asker.seconds,
        boxes=boxes,
        counting=_exact(pairs, counts, (True, False)),
        present=_exact(pairs, counts, (True,)),
        absent=_exact(pairs, counts, (False,)),
        questions=questions,
        retrieval=retrieval,
        refused=float(np.mean(refused)),
    )


def _only(content: Mapping[str, Any], ids: set[int]) -> dict[str, Any]:
    """COCO's annotations for some of the photos."""
    images = [one for one in content["images"] if one["id"] in ids]
    return dict(content) | {
        "images": images,
        "annotations": [one for one in content["annotations"] if one["image_id"] in ids],
    }


Pair = tuple[int, str, int, int]  # the photo, the word, the number of its objects, and the query drawing


def _exact(pairs: Sequence[Pair], counts: Mapping[str, Sequence[int | None]], there: Sequence[bool]) -> dict:
    """The counting metrics of all predictors, for the pairs with the class in the photo, those without, or both."""
    some = [place for place, (_, _, count, _) in enumerate(pairs) if (count > 0) in there]
    truth = [pairs[place][2] for place in some]
    return {who: language_metrics.exact(truth, [told[place] for place in some]) for who, told in counts.items()}


def _counts(asker: PhotoAsker, who: str, pairs: Sequence[Pair]) -> list[int | None]:
    asked = [(asker.sketch(who, word, turn), asker.scenes[place]) for place, word, _, turn in pairs]
    return [_count(answer) for answer in asker.find(who, asked)]


def _count(answer: "Answer | VisketchError") -> int | None:
    """The count of an answer. Returns None for an error, which counts as wrong."""
    return None if isinstance(answer, VisketchError) else answer.count


def _is_refused(model: "SketchLanguage", sketch: EncodedPicture) -> bool:
    try:
        model.coco.word(sketch)
    except VisketchError:
        return True
    return False


def _pairs(asker: PhotoAsker) -> list[Pair]:
    """Every pair of a photo and a word in it, and equally many random pairs of a photo and a word not in it."""
    there: list[Pair] = []
    absent: list[Pair] = []
    for place, photo in enumerate(asker.photos):
        for word in asker.sketches:
            if word not in photo.crowds:
                count, turn = photo.count(word), int(asker.rng.integers(1 << 16))
                (there if count else absent).append((place, word, count, turn))
    some = asker.rng.permutation(len(absent))[: len(there)]
    return there + [absent[place] for place in some]


def _boxes(asker: PhotoAsker, who: str, content: Mapping[str, Any]) -> Precision:
    """Ask about every word in every photo. Returns the means over the drawings of a word."""
    every = []
    for turn in range(1 if who == TOLD else max(map(len, asker.sketches.values()))):
        rows = []
        for word in asker.sketches:
            found, sketch = category(word), asker.sketch(who, word, turn)
            assert found is not None
            answers = asker.find(who, [(sketch, scene) for scene in asker.scenes], FAINTEST)
            for photo, answer in zip(asker.photos, answers, strict=True):
                if not isinstance(answer, VisketchError):
                    rows += [_result(photo, found.number, one.box, one.score) for one in answer.found]
        numbers = [found.number for word in asker.sketches if (found := category(word))]
        every.append(precision(content, rows, numbers))
    return Precision.mean(every)


def _result(photo: AnnotatedPhoto, number: int, box: Box, score: float) -> dict[str, Any]:
    wide, high = photo.sides
    x1, y1, x2, y2 = box
    corner = [x1 * wide, y1 * high, (x2 - x1) * wide, (y2 - y1) * high]
    return {"image_id": photo.id, "category_id": number, "bbox": corner, "score": score}


def _questions(asker: PhotoAsker) -> list[tuple[int, str, str, str, str, int]]:
    """Two closed questions about each word in each photo.

    The first asks where it is (or, if there are several objects, whether there is another one). The second asks whether
    it is the largest object. Returns the photo, word, kind, text, answer and drawing of each question.
    """
    asked = []
    for place, photo in enumerate(asker.photos):
        for word in asker.sketches:
            if photo.count(word):
                for kind in ("where" if photo.count(word) == 1 else "another", "largest"):
                    text, answer = ask(kind, photo.things, word, asker.rng)
                    asked.append((place, word, kind, text, answer, int(asker.rng.integers(1 << 16))))
    return asked


def _answered(asker: PhotoAsker, who: str, asked: Sequence[tuple[int, str, str, str, str, int]]) -> ExactMetrics:
    pairs = [(asker.sketch(who, word, turn), asker.scenes[place]) for place, word, *_, turn in asked]
    told = []
    for answer, (place, _, _, text, _, _) in zip(asker.find(who, pairs), asked, strict=True):
        told.append(reasoned(asker.model, text, answer, asker.scenes[place]))
    return language_metrics.exact([one[4] for one in asked], told, [one[2] for one in asked])


def _retrieval(asker: PhotoAsker, who: str) -> RetrievalMetrics:
    """Rank all photos with every sketch."""
    galleries, scores = [], []
    names = tuple(str(photo.path) for photo in asker.photos)
    for word, some in asker.sketches.items():
        wanted = np.array([photo.count(word) > 0 for photo in asker.photos])
        row = InstructionRow("", "", "", "SBIR", "", "", "yes", word, "quickdraw", "coco", True, (), ())
        for turn in range(1 if who == TOLD else len(some)):
            sketch = asker.sketch(who, word, turn)
            galleries.append(Gallery(row, names, wanted))
            scores.append(np.array(asker.model.score([(sketch, scene) for scene in asker.scenes], WHO[who])))
    return language_metrics.retrieval(galleries, scores)
