"""SketchLanguage: count, locate, ask and retrieve with a sketch as the question (after O3SLM, arXiv 2511.14368).

The sketch's tokens, the scene's tokens and the question, in that order, go through the language model. Pictures are
looked at once, however much is asked about them. A number or a box is read from a description of the whole scene
("describe, then filter"); beside it stands what the matcher finds without a language model.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from visketch import checkpoint
from visketch.errors import UsageError, VisketchError
from visketch.language import answers, config, image
from visketch.language.answers import Answer, Description, Detection, Output, Predictor, relabelled
from visketch.language.attributes import Filter, only
from visketch.language.closed_questions import kind, reason
from visketch.language.config import LanguageConfig
from visketch.language.dataset.instructions import WORDINGS, asked
from visketch.language.detect.coco import NAMES, CocoDetector
from visketch.language.detect.matcher import Matcher
from visketch.language.detect.open_vocabulary import Recogniser, classes
from visketch.language.detect.owlv2 import LEAST, Detector
from visketch.language.llm import llava
from visketch.language.llm.generate import LlavaGenerator, cut
from visketch.language.vision.encoder import PairTower
from visketch.language.vision.features import EncodedPicture, look
from visketch.language.vision.pen import as_trained
from visketch.model import SketchModel

Pair = tuple[EncodedPicture, EncodedPicture]  # sketch, scene
Some = TypeVar("Some")


class SketchLanguage:
    """A checkpoint's tower, its matcher, and its language model if it has one."""

    def __init__(
        self,
        knobs: LanguageConfig,
        tower: PairTower | None = None,
        speaks: Callable[[], LlavaGenerator] | None = None,
        device: str = "cpu",
        classifier: SketchModel | None = None,
    ) -> None:
        """`speaks` loads the language model when it is first asked; without it the matcher answers. Without a `tower`
        the language model brings its own. `classifier` names drawings for the recogniser, by default the shipped one.
        """
        self.settings, self.canvas = knobs, knobs.tower.canvas
        self.speaks = speaks
        self.sight: nn.Module
        if tower is None:
            self.sight = llava.VisionTower(self.speaker.model).eval()
            tower = getattr(self.sight.tower, "tower", None)
        else:
            self.sight = tower.eval()
        self.matcher = Matcher(tower, list(knobs.labels)) if isinstance(tower, PairTower) else None
        self.device, self.classifier = device, classifier
        self.detector: Detector | None = None  # another one in place of the shipped, for whoever has its weights

    @classmethod
    def load(
        cls, folder: str | Path | None = None, device: str = "cpu", classifier: SketchModel | None = None
    ) -> "SketchLanguage":
        """A checkpoint's folder, or a shipped one's name (by default the shipped `language`). Raises VisketchError.

        With a tower of pairs it counts, locates and retrieves without transformers.
        """
        path = config.find(folder)
        knobs = config.read(path)
        tower = None
        if knobs.tower.kind == "pair" and not knobs.base and (path / "tower.safetensors").exists():
            tower = PairTower(knobs.tower, len(knobs.labels))
            checkpoint.load_part(path, "tower", tower)
            tower.to(device)
        silent = tower is not None and not (path / "model.safetensors").exists()
        return cls(
            knobs,
            tower,
            None if silent else partial(LlavaGenerator.load, knobs, path, device, tower),
            device,
            classifier,
        )

    @cached_property
    def speaker(self) -> LlavaGenerator:
        """The language model. Raises UsageError where there is none or no transformers, VisketchError if damaged."""
        if self.speaks is None:
            raise UsageError("there is no language model in this folder, only a matcher: leave out --by language")
        return self.speaks()

    def look(self, pictured: Sequence[str | Path | image.Picture]) -> list[EncodedPicture]:
        """Pictures, or files of them, → what the tower sees, each once. Raises VisketchError for an unreadable file."""
        side = self.canvas
        read = [one if isinstance(one, image.Picture) else image.read(one, side) for one in pictured]
        some: list[EncodedPicture] = []
        for part in cut(read):
            some += map(EncodedPicture, look(self.sight, [one.square for one in part]).unbind(0), part)
        return some

    def encode(self, scene: Any) -> "EncodedScene":
        """A scene to ask many questions about: a path, a PIL image, an array or a tensor. It is looked at once.

        Raises VisketchError if it cannot be read or is blank.
        """
        return EncodedScene(self, self.scene(scene))

    def sketch(self, drawing: Any) -> EncodedPicture:
        """A sketch to ask with, in any form that `ViSketch.classify` takes, fitted to its square whatever its size.

        Raises VisketchError if it is blank.
        """
        return self.look([image.drawn(drawing, self.canvas)])[0]

    def scene(self, scene: Any) -> EncodedPicture:
        """A picture to ask about. Raises VisketchError if there is nothing on it."""
        is_path = isinstance(scene, str | Path)
        picture = image.read(scene, self.canvas) if is_path else image.of(scene, self.canvas)
        if image.is_blank(picture):
            raise VisketchError(
                f"{picture.source or 'picture'}: blank, there is nothing in it to ask about; give another picture"
            )
        return EncodedPicture(look(self.sight, [as_trained(picture)])[0], picture)

    def kept(self, tokens: Float[np.ndarray, "t e"], path: Path) -> EncodedPicture:
        """What was seen of a picture before, again. Raises VisketchError if its file is gone."""
        return EncodedPicture(
            torch.from_numpy(np.array(tokens, np.float32)).to(self.device), image.read(path, self.canvas)
        )

    def say(self, pairs: Sequence[Pair], texts: Sequence[str]) -> list[Output]:
        """The language model's own words to a text about each pair. Raises UsageError where there is none."""
        return self.speaker.say([(sketch.tokens, scene.tokens) for sketch, scene in pairs], texts)

    def describe(self, pairs: Sequence[Pair]) -> list[Description | VisketchError]:
        """What each sketch shows and what is where in its scene; an answer that is none is asked for once more."""
        made: list[Description | VisketchError] = []
        for pair, said in zip(pairs, self.say(pairs, [asked("DESC")] * len(pairs)), strict=True):
            try:
                made.append(answers.description(said))
            except VisketchError:
                try:
                    made.append(answers.description(self.say([pair], [asked("DESC", 1)])[0]))
                except VisketchError as error:
                    made.append(error)
        return made

    def find(
        self, pairs: Sequence[Pair], by: Predictor | None = None, min_score: float | None = None
    ) -> list[Answer | VisketchError]:
        """Where the sketch's object is in its scene, of each pair, by the one that is better or the one asked.

        `min_score`: how sure a box must be, instead of what was best in validation.
        """
        return self._each(pairs, by, partial(self._found, min_score=min_score))

    def _each(
        self, pairs: Sequence[Pair], by: Predictor | None, answer: Callable[[list[Pair], Predictor], Sequence[Some]]
    ) -> list[Some]:
        """What those who answer about some of the pairs say, together, in the order of the pairs."""
        who = [self.select(scene, by) for _, scene in pairs]
        told: dict[int, Some] = {}
        for one in dict.fromkeys(who):
            places = [place for place, other in enumerate(who) if other == one]
            told |= zip(places, answer([pairs[place] for place in places], one), strict=True)
        return [told[place] for place in range(len(pairs))]

    def _found(self, pairs: list[Pair], by: Predictor, min_score: float | None = None) -> list[Answer | VisketchError]:
        least = self._min_score(by) if min_score is None else min_score
        if by == "language":
            return [
                said if isinstance(said, VisketchError) else self._filtered(said, scene, min_score or 0.0)
                for said, (_, scene) in zip(self.describe(pairs), pairs, strict=True)
            ]
        if by == "detector" and not self.detector:
            return [self._detected(*pair, min_score) for pair in pairs]
        told = self.match(pairs, by)
        if by == "detector":
            return [_answer(by, label, [one for one in found if one.score >= least], ()) for label, found in told]
        return [self._matched(by, scene, *one, least) for (_, scene), one in zip(pairs, told, strict=True)]

    def _detected(
        self, sketch: EncodedPicture, scene: EncodedPicture, min_score: float | None
    ) -> Answer | VisketchError:
        try:
            return self.coco.answer(sketch, scene, min_score)
        except VisketchError as error:  # a word that it does not know, or a file that is gone
            return error

    def match(self, pairs: list[Pair], by: Predictor) -> list[tuple[str, list[Detection]]]:
        """What each sketch shows, and each region of its scene; of the detector, what it found on the picture."""
        if by == "detector":
            assert self.detector is not None
            names = [(self.recogniser.name(sketch), scene) for sketch, scene in pairs]
            return [(label, self.detector.find(label, scene.picture)) for label, scene in names]
        assert self.matcher is not None
        if by == "recogniser":
            return self.recogniser.match(pairs)
        return [self.matcher.match(sketch.tokens, scene.tokens) for sketch, scene in pairs]

    @cached_property
    def coco(self) -> CocoDetector:
        """The shipped detector, loaded when it is first asked. Raises VisketchError if it cannot be."""
        return CocoDetector(self.recogniser.chances)

    @cached_property
    def recogniser(self) -> Recogniser:
        """The matcher with ViSketch's classes, loaded when it is first asked."""
        assert self.matcher is not None
        return Recogniser(self.matcher, self.device, self.classifier)

    def available(self, scene: EncodedPicture | None = None) -> list[Predictor]:
        """Who can answer here; about a photo the recogniser should not, about anything else the shipped detector."""
        some: list[Predictor] = ["language"] if self.speaks else []
        photo = scene is not None and not image.is_drawing(scene.picture)
        some += ["detector"] if self.matcher and (photo or self.detector) else []
        some += ["matcher", "recogniser"] if self.matcher else []
        return [by for by in some if by != "recogniser" or not photo]

    def select(self, scene: EncodedPicture, by: Predictor | None = None) -> Predictor:
        """Who answers about a scene: the one asked, or the language model if it was better on validation scenes, or who
        compares. Raises UsageError if it is not here.
        """
        self.require(by)
        if by:
            return by
        return "language" if self.speaks_first else self.fallback(scene)

    @property
    def speaks_first(self) -> bool:
        """Whether the language model answers if nobody is asked by name."""
        return self.speaks is not None and (self.settings.answers == "language" or not self.matcher)

    def fallback(self, scene: EncodedPicture) -> Predictor:
        """Who answers without a language model: the detector about photos; about drawn scenes the recogniser if it
        knows all the tower's classes, or the matcher.
        """
        if not image.is_drawing(scene.picture):
            return "detector"
        return "recogniser" if classes().issuperset(self.settings.labels) else "matcher"

    def require(self, by: Predictor | None) -> None:
        """Raises UsageError if the one asked is not here."""
        if by == "language":
            _ = self.speaker
        elif by and not self.matcher:
            raise UsageError("this model has no matcher (its tower was not trained on pairs); take --by language")
        elif by == "detector" and not self.detector:
            _ = self.coco

    def _filtered(self, said: Description, scene: EncodedPicture, least: float) -> Answer:
        others = placed([thing for thing in said.things if thing.label != said.label], scene)
        own = [thing for thing in said.of_label() if thing.score >= least]
        return _answer("language", said.label, placed(own, scene), others, image.is_drawing(scene.picture))

    def _matched(
        self, by: Predictor, scene: EncodedPicture, label: str, things: list[Detection], least: float
    ) -> Answer:
        own, drawn = [thing for thing in things if thing.score >= least], image.is_drawing(scene.picture)
        others = [thing for thing in things if thing.score < least]
        return _answer(by, label, placed(relabelled(own, label), scene), placed(others, scene), drawn)

    def _min_score(self, by: Predictor) -> float:
        """How sure it must be that a region shows the sketch's object."""
        if by == "detector":
            return LEAST if self.detector else self.coco.present_from
        return self.settings.recognised if by == "recogniser" else self.settings.threshold

    def score(self, pairs: Sequence[Pair], by: Predictor | None = None, which: Filter | None = None) -> list[float]:
        """How likely each scene shows the sketch's object: p(yes) of SBIR, or by the surest region, a half where that
        is just sure enough, so that whoever answers, scores compare; by the detector the chance itself, 0 of what it
        does not know. With `which`, one of which that is true.
        """
        return self._each(pairs, by, partial(self._scores, which=which))

    def _scores(self, pairs: list[Pair], by: Predictor, which: Filter | None) -> list[float]:
        if by == "language":
            sure = self.speaker.yes([(sketch.tokens, scene.tokens) for sketch, scene in pairs], asked("SBIR"))
            if which is None:
                return sure
            found = zip(self._found(pairs, by), pairs, sure, strict=True)
            return [
                one if not isinstance(answer, VisketchError) and only(answer, scene.picture, which).found else 0.0
                for answer, (_, scene), one in found
            ]
        if by == "detector" and not self.detector:
            return [self.coco.score(*pair, which) for pair in pairs]
        surest = []
        for (_, scene), (_, things) in zip(pairs, self.match(pairs, by), strict=True):
            meant = things
            if which is not None:  # "the largest" is the largest of those that are one, if there is any
                own = [thing for thing in things if thing.score >= self._min_score(by)] or things
                meant = which.of(own if by == "detector" else placed(own, scene), scene.picture)
            surest.append(max((thing.score for thing in meant), default=0.0))
        return [sure / (sure + max(self._min_score(by), 1e-9)) for sure in surest]

    def ask(
        self, sketch: EncodedPicture, scene: EncodedPicture, question: str, by: Predictor | None = None
    ) -> tuple[str, str]:
        """The answer to a question, and who gave it: from what was found, or in the language model's own words.

        A closed question is answered from what was found. Raises UsageError as `check`, and for a question that only a
        language model could answer where there is none; VisketchError if it fails, or for a class that is not known.
        """
        self.check(question, by)
        task = question.partition(":")[0]
        if task not in WORDINGS:  # with a task, the language model's own words are asked for
            (found,) = self.find([(sketch, scene)], by)
            told = None if isinstance(found, VisketchError) else self.reason(question, found, scene)
            if told is not None and not isinstance(found, VisketchError):
                return told, found.by
        if self.speaks is None:
            mend = "ask what it is, how many there are, where, what colour, next to or left of what, or the largest"
            raise UsageError(f"{question!r} needs a language model, and this folder has only a matcher; {mend}")
        text = question if task in ("VQA", *WORDINGS) else f"VQA: {question}"
        return self.say([(sketch, scene)], [text])[0].text, "language"

    def check(self, question: str, by: Predictor | None = None) -> None:
        """Raises UsageError for a question that is empty, or has a task and is for another than the language model."""
        if not question.strip():
            raise UsageError("the question is empty; ask something, such as 'what is it next to?'")
        task = question.partition(":")[0]
        if task in WORDINGS and by not in (None, "language"):
            raise UsageError(f"{question!r}: words of a task are the language model's, not the {by}'s; leave out --by")

    def is_free(self, question: str) -> bool:
        """Whether a question is neither closed nor of a task: to the small language model it is a strange one."""
        return not self.settings.base and question.partition(":")[0] not in WORDINGS and kind(question) is None

    def reason(self, question: str, answer: Answer, scene: EncodedPicture) -> str | None:
        """The answer to a closed question, from what was found in a scene; None for any other question.

        Raises VisketchError if it is about something that is no class, or none that who answered can tell.
        """
        labels = frozenset(self.settings.labels)
        known = classes() | labels
        told = {"recogniser": classes(), "detector": frozenset([answer.label])}.get(answer.by, labels or None)
        if answer.by == "detector" and not self.detector:
            known, told = known | NAMES, NAMES
        return reason(question, answer.label, answer.found, answer.others, known, told, scene.picture)


class EncodedScene:
    """A picture that the tower has looked at, to be asked with sketches. Boxes are shares of the picture's sides.

    A sketch is anything that `ViSketch.classify` takes; each is looked at once too. `which` are words for some of the
    objects, such as "the red ones on the left" (`attributes.Filter`). `by` names a predictor, by default the best one.
    """

    def __init__(self, model: SketchLanguage, picture: EncodedPicture) -> None:
        self.model, self.picture = model, picture

    def find(
        self, sketch: Any, which: str | None = None, by: Predictor | None = None, min_score: float | None = None
    ) -> Answer:
        """What the sketch shows, where it is and what else is there. Raises VisketchError, UsageError."""
        (answer,) = self.model.find([(self._query(sketch), self.picture)], by, min_score)
        if isinstance(answer, VisketchError):
            raise answer
        return only(answer, self.picture.picture, Filter.told(which)) if which else answer

    def count(self, sketch: Any, which: str | None = None, by: Predictor | None = None) -> int:
        """How many of what the sketch shows are in the scene."""
        return self.find(sketch, which, by).count

    def locate(
        self, sketch: Any, which: str | None = None, by: Predictor | None = None, min_score: float | None = None
    ) -> list[Detection]:
        """Where what the sketch shows is, from left to right: each with `label`, `box` and `score`. `min_score`: boxes
        from that score on, instead of those that count.
        """
        return list(self.find(sketch, which, by, min_score).found)

    def ask(self, sketch: Any, question: str, by: Predictor | None = None) -> str:
        """The answer to a question about the scene and what the sketch shows. Raises as `SketchLanguage.ask`."""
        return self.model.ask(self._query(sketch), self.picture, question, by)[0]

    def _query(self, sketch: Any) -> EncodedPicture:
        return sketch if isinstance(sketch, EncodedPicture) else self.model.sketch(sketch)


def _answer(
    by: Predictor, label: str, raw: Sequence[Detection], others: Sequence[Detection], drawn: bool = False
) -> Answer:
    """`drawn`: the scene is a drawing, in which no thing is found again inside itself."""
    return Answer(by, label, tuple(answers.suppressed(raw, drawn)), tuple(raw), tuple(others))


def placed(things: Sequence[Detection], scene: EncodedPicture) -> list[Detection]:
    """Boxes on the square → on the picture; what lies beside the picture is left out."""
    back = [replace(thing, box=scene.picture.letterbox.back(thing.box)) for thing in things]
    return [thing for thing in back if thing.box[0] < thing.box[2] and thing.box[1] < thing.box[3]]
