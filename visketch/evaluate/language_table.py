"""The table of `visketch evaluate language`: the questions of a data set, answered by every predictor of a model.

The columns are: `description`, the language model's description of the scene, filtered by the class of the sketch;
`words`, its direct answers; `matcher`, the tower's sketch classifier and region matcher; `recogniser`, the matcher with
ViSketch's classes; `default`, the predictor that answers without `--by`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from visketch.errors import UsageError, VisketchError
from visketch.evaluate import language_metrics
from visketch.evaluate.language_metrics import DetectionMetrics, ExactMetrics, Gallery, RetrievalMetrics, by_part
from visketch.language import answers
from visketch.language.dataset.rows import InstructionRow, InstructionRows
from visketch.model import SketchModel

if TYPE_CHECKING:
    from visketch.language.answers import Answer, Detection, Output, Predictor
    from visketch.language.model import SketchLanguage
    from visketch.language.vision.features import EncodedPicture

Some = TypeVar("Some")
Pair = tuple[str, str]  # the names of two pictures: sketch, scene
OnProgress = Callable[[str, int, int], None]
ASKED: "dict[str, Predictor | None]" = {
    "description": "language",
    "language": "language",
    "matcher": "matcher",
    "recogniser": "recogniser",
    "detector": "detector",
    "default": None,
}
AT_ONCE = 64  # pairs in one batch


@dataclass(frozen=True)
class LanguageTable:
    """All metrics of all predictors, for each part of the data set (kind of scene, seen or unseen classes, style).

    `duplicates` are the number of boxes in answers to BBOX that non-maximum suppression removed, and the number before
    it.
    """

    counting: dict[str, dict[str, ExactMetrics]]
    detection: dict[str, dict[str, DetectionMetrics]]
    questions: dict[str, dict[str, ExactMetrics]]  # the metrics of all closed questions
    kinds_of_question: dict[str, dict[str, ExactMetrics]]
    naming: dict[
        str, dict[str, ExactMetrics]
    ]  # classes of sketches; `classifier`: ViSketch's, among the classes of the data
    retrieval: dict[str, dict[str, RetrievalMetrics]]
    yes_no: dict[str, dict[str, ExactMetrics]]
    duplicates: dict[str, tuple[int, int]]


def reasoned(
    model: "SketchLanguage", question: str, found: "Answer | VisketchError", scene: "EncodedPicture"
) -> str | None:
    """The answer to a closed question, from what was found. Returns None if there is none, for example if an object was
    not found. The questions of the data set are about single objects, so only the surest is told.
    """
    try:
        return None if isinstance(found, VisketchError) else model.reason(question, found, scene, single=True)
    except VisketchError:
        return None


class Asker:
    """A model and the pictures of a data set, each encoded once."""

    def __init__(self, model: "SketchLanguage", rows: InstructionRows, on_progress: OnProgress) -> None:
        self.model, self.rows, self.on_progress = model, rows, on_progress
        self.seen: dict[str, EncodedPicture] = {}
        self.found: dict[tuple[str, Pair], Answer | VisketchError] = {}

    def look(self, names: Iterable[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in self.seen]
        for done, some in _cut(new):
            self.seen |= zip(some, self.model.look([self.rows.folder / name for name in some]), strict=True)
            self.on_progress("pictures", done, len(new))

    def each(self, what: str, pairs: Sequence[Pair], ask: Callable[[list], Sequence[Some]]) -> list[Some]:
        """The answers of `ask` for each pair of pictures."""
        self.look(name for pair in pairs for name in pair)
        found: list[Some] = []
        for done, some in _cut(pairs):
            found += ask([(self.seen[sketch], self.seen[scene]) for sketch, scene in some])
            self.on_progress(what, done, len(pairs))
        return found


def evaluate(
    model: "SketchLanguage",
    rows: InstructionRows,
    limit: int | None = None,
    gallery: int = 100,
    queries: int = 100,
    on_progress: OnProgress = lambda what, done, total: None,
) -> LanguageTable:
    """Answer the questions of the rows with every predictor.

    Each part has at most `limit` questions of each task and at most `queries` sketches for retrieval, each of which
    searches `gallery` scenes. Raises UsageError if there are no questions, VisketchError if a picture cannot be read.
    """
    asked = {task: _some([row for row in rows if row.task == task], limit) for task in ("COUNT", "BBOX", "VQA", "SBIR")}
    if not any(asked.values()):
        raise UsageError(f"{rows.folder}: there are no questions in its {rows.split} split; choose another --split")
    asker = Asker(model, rows, on_progress)
    counting, detection, naming, duplicates = {}, {}, {}, {}
    for who in _who(model):
        counts = _count(asker, asked["COUNT"], who)
        counting[who] = by_part(asked["COUNT"], counts, language_metrics.counting)
        found, raw = _locate(asker, asked["BBOX"], who)
        detection[who] = by_part(
            asked["BBOX"], [[one.box for one in some] for some in found], language_metrics.detection
        )
        if who != "words":
            naming[who] = by_part(asked["COUNT"], _names(asker, asked["COUNT"], who), _named)
        duplicates[who] = sum(map(len, raw)) - sum(map(len, found)), sum(map(len, raw))
    naming["classifier"] = by_part(asked["COUNT"], _classified(asker, asked["COUNT"]), _named)
    said = {who: _told(asker, asked["VQA"], who) for who in _who(model)}
    kinds: dict[str, list[int]] = {}
    for place, row in enumerate(asked["VQA"]):
        if row.seen:
            kinds.setdefault(f"{row.kind}, {row.question}", []).append(place)
    return LanguageTable(
        counting,
        detection,
        {who: by_part(asked["VQA"], told, language_metrics.questions) for who, told in said.items()},
        {
            who: {
                kind: language_metrics.questions(
                    [asked["VQA"][place] for place in places], [told[place] for place in places]
                )
                for kind, places in sorted(kinds.items())
            }
            for who, told in said.items()
        },
        naming,
        *_retrieve(asker, asked["SBIR"], gallery, queries),
        duplicates,
    )


def _who(model: "SketchLanguage") -> list[str]:
    able = model.available()
    spoken = ["description", "words"] if "language" in able else []
    return [*spoken, *(by for by in able if by != "language"), *_default(model)]


def _default(model: "SketchLanguage") -> list[str]:
    """The column `default`. There is none if the language model answers by default, since it has its own column."""
    spoken = "language" in model.available() and model.settings.answers == "language"
    return [] if spoken else ["default"]


def _pairs(rows: Sequence[InstructionRow]) -> list[Pair]:
    return [(row.sketch, row.scene) for row in rows]


def _find(asker: Asker, rows: Sequence[InstructionRow], who: str) -> "list[Answer | VisketchError]":
    """The objects found for each row.

    Counting and boxes often ask about the same pair, which is then processed only once.
    """
    by: Predictor | None = ASKED[who]
    new = [pair for pair in dict.fromkeys(_pairs(rows)) if (who, pair) not in asker.found]
    answered = asker.each(f"{who}, boxes", new, lambda pairs: asker.model.find(pairs, by))
    asker.found |= {(who, pair): answer for pair, answer in zip(new, answered, strict=True)}
    return [asker.found[who, pair] for pair in _pairs(rows)]


def _names(asker: Asker, rows: Sequence[InstructionRow], who: str) -> list[str]:
    return ["" if isinstance(found, VisketchError) else found.label for found in _find(asker, rows, who)]


def _named(rows: list[InstructionRow], labels: list[str]) -> ExactMetrics:
    return language_metrics.exact([row.label for row in rows], labels)


def _classified(asker: Asker, rows: Sequence[InstructionRow]) -> list[str]:
    """ViSketch's classes of the sketches, among the classes of the data set."""
    model, classes = SketchModel.load(), {row.label for row in asker.rows}
    names, labels = list(dict.fromkeys(row.sketch for row in rows)), {}
    for done, some in _cut(names):
        guessed = model.classify_many([asker.rows.folder / name for name in some], len(model.labels))
        for name, guesses in zip(some, guessed, strict=True):
            labels[name] = next((guess.label for guess in guesses if guess.label in classes), "")
        asker.on_progress("classifier", done, len(names))
    return [labels[row.sketch] for row in rows]


def _said(asker: Asker, rows: Sequence[InstructionRow]) -> "list[Output]":
    """The direct answers of the language model. Rows with the same question are answered in batches."""
    texts = iter([row.text for row in rows])
    ask = partial(_say, asker.model, texts)
    return asker.each("words", _pairs(rows), ask)


def _told(asker: Asker, rows: Sequence[InstructionRow], who: str) -> list[str]:
    """The answers to closed questions: given directly, or derived from what was found."""
    if who == "words":
        return [one.text for one in _said(asker, rows)]
    found = zip(rows, _find(asker, rows, who), strict=True)
    return [reasoned(asker.model, row.text, one, asker.seen[row.scene]) or "" for row, one in found]


def _say(model: "SketchLanguage", texts: Iterable[str], pairs: list) -> "list[Output]":
    return model.say(pairs, [text for _, text in zip(pairs, texts, strict=False)])


def _count(asker: Asker, rows: Sequence[InstructionRow], who: str) -> list[int | None]:
    if who == "words":
        return [_read(answers.count, said) for said in _said(asker, rows)]
    return [None if isinstance(found, VisketchError) else found.count for found in _find(asker, rows, who)]


def _locate(
    asker: Asker, rows: Sequence[InstructionRow], who: str
) -> "tuple[list[Sequence[Detection]], list[Sequence[Detection]]]":
    """The boxes without duplicates, and the boxes with them."""
    if who == "words":
        raw: list[Sequence[Detection]] = [_read(answers.boxes, said) or [] for said in _said(asker, rows)]
        return [answers.suppressed(some) for some in raw], raw
    found = _find(asker, rows, who)
    kept: list[Sequence[Detection]] = [() if isinstance(one, VisketchError) else one.found for one in found]
    return kept, [() if isinstance(one, VisketchError) else one.raw for one in found]


def _read(reader: "Callable[[Output], Some]", said: "Output") -> Some | None:
    """The parsed answer. Returns None if it cannot be parsed, which counts as wrong."""
    try:
        return reader(said)
    except VisketchError:
        return None


def _retrieve(
    asker: Asker, rows: Sequence[InstructionRow], size: int, queries: int
) -> tuple[dict[str, dict[str, RetrievalMetrics]], dict[str, dict[str, ExactMetrics]]]:
    """Ranked galleries, and yes or no at a score of one half, for all predictors that give scores."""
    everyone = [*asker.model.available(), *_default(asker.model)]
    ranked: dict[str, dict[str, RetrievalMetrics]] = {who: {} for who in everyone}
    decided: dict[str, dict[str, ExactMetrics]] = {}
    parts = language_metrics.split_up(rows)
    for who in everyone:
        for part, places in parts.items():
            asked = language_metrics.galleries(
                [rows[place] for place in places], size, queries, language_metrics.scenes_for(part, rows, size)
            )
            if asked:
                ranked[who][part] = language_metrics.retrieval(asked, _scores(asker, asked, who, part))
    if rows and "language" in everyone:
        sure = asker.each("yes or no", _pairs(rows), lambda pairs: asker.model.score(pairs, "language"))
        decided["language"] = by_part(
            rows, ["yes" if chance > 0.5 else "no" for chance in sure], language_metrics.questions
        )
    return ranked, decided


def _scores(asker: Asker, galleries: Sequence[Gallery], who: str, part: str) -> list[np.ndarray]:
    pairs = [(gallery.row.sketch, scene) for gallery in galleries for scene in gallery.scenes]
    by = ASKED[who]
    scores = np.array(asker.each(f"{who}, {part}", pairs, lambda some: asker.model.score(some, by)))
    return np.split(scores, np.cumsum([len(gallery.scenes) for gallery in galleries])[:-1])


def _some(rows: list[InstructionRow], limit: int | None) -> list[InstructionRow]:
    """At most `limit` rows of each part, sampled evenly, in their order."""
    if limit is None:
        return rows
    kept: set[int] = set()
    for places in language_metrics.split_up(rows).values():
        kept |= {places[int(place)] for place in np.linspace(0, len(places) - 1, min(limit, len(places)))}
    return [rows[place] for place in sorted(kept)]


def _cut(some: Iterable[Some]) -> list[tuple[int, list[Some]]]:
    """Batches, with the number of rows done after each."""
    every = list(some)
    return [
        (min(first + AT_ONCE, len(every)), every[first : first + AT_ONCE]) for first in range(0, len(every), AT_ONCE)
    ]
