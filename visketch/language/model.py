"""SketchLanguage: count, locate, ask and retrieve with a sketch as the question (after O3SLM, arXiv 2511.14368).

The language model reads the tokens of the sketch, the tokens of the scene and the question, in this order. Each picture
is encoded once, however many questions are asked about it. A count or a box comes from a description of the whole scene
("describe, then filter"), or from a predictor that needs no language model (see `SketchLanguage.select`).
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from visketch import checkpoint
from visketch.device import resolve
from visketch.errors import UsageError, VisketchError
from visketch.language import answers, config, image
from visketch.language.answers import Answer, Description, Detection, Output, Predictor, relabelled
from visketch.language.asked import MEND, SceneQuestion, refusal
from visketch.language.attributes import Filter, only
from visketch.language.closed_questions import kind, reason
from visketch.language.config import LanguageConfig
from visketch.language.dataset.instructions import WORDINGS, asked
from visketch.language.detect.coco import NAMES, CocoDetector, found_as
from visketch.language.detect.matcher import Matcher
from visketch.language.detect.open_vocabulary import Recogniser, classes
from visketch.language.detect.owlv2 import LEAST, Detector
from visketch.language.llm import llava
from visketch.language.llm.generate import LlavaGenerator, cut
from visketch.language.scene import EncodedScene
from visketch.language.vision.encoder import PairTower
from visketch.language.vision.features import EncodedPicture, look
from visketch.language.vision.pen import as_trained
from visketch.model import SketchModel

Pair = tuple[EncodedPicture, EncodedPicture]  # sketch, scene
Some = TypeVar("Some")


class SketchLanguage:
    """Counts, locates and answers questions about what a sketch shows.

    It consists of a checkpoint's tower, the predictors that work on the tower's tokens, and the language model if the
    checkpoint has one.
    """

    def __init__(
        self,
        settings: LanguageConfig,
        tower: PairTower | None = None,
        load_generator: Callable[[], LlavaGenerator] | None = None,
        device: str = "cpu",
        classifier: SketchModel | None = None,
    ) -> None:
        """`load_generator` loads the language model when it is first needed. It is None if the checkpoint has no
        language model. Without a `tower`, the language model's own tower is used. `classifier` recognises drawings for
        the recogniser and the detector. By default it is the shipped one.
        """
        self.settings, self.canvas = settings, settings.tower.canvas
        self.load_generator = load_generator
        self.device, self.classifier = device, classifier
        self.sight: nn.Module
        if tower is None:
            self.sight = llava.VisionTower(self.generator.model).eval()
            tower = getattr(self.sight.tower, "tower", None)
        else:
            self.sight = tower.eval()
        self.matcher = Matcher(tower, list(settings.labels)) if isinstance(tower, PairTower) else None
        self.detector: Detector | None = None  # an OWLv2 that takes the place of the shipped detector (experimental)

    @classmethod
    def load(
        cls, folder: str | Path | None = None, device: str = "cpu", classifier: SketchModel | None = None
    ) -> "SketchLanguage":
        """Load a checkpoint: a folder, or the name of a shipped one (by default `language`). Raises VisketchError.

        A checkpoint with a tower of pairs counts, locates and retrieves without the library transformers.
        """
        path = config.find(folder)
        settings = config.read(path)
        tower, device = None, resolve(device)
        if settings.tower.kind == "pair" and not settings.base and (path / "tower.safetensors").exists():
            tower = PairTower(settings.tower, len(settings.labels))
            checkpoint.load_part(path, "tower", tower)
            tower.to(device)
        matcher_only = tower is not None and not (path / "model.safetensors").exists()
        load_generator = None if matcher_only else partial(LlavaGenerator.load, settings, path, tower=tower)
        return cls(settings, tower, load_generator, device, classifier)

    def to(self, device: str) -> "SketchLanguage":
        """The same model, moved to a device ("cpu", "cuda", "cuda:1" ...). Raises UsageError if there is none."""
        self.device = device = resolve(device)
        self.sight.to(device)
        if "generator" in vars(self):
            self.generator.model.to(device)
        vars(self).pop("recogniser", None)  # created again on the new device when it is needed
        return self

    def __getstate__(self) -> dict[str, Any]:
        """The state without what is loaded on first use, so that a model can be sent to another process."""
        return {name: value for name, value in vars(self).items() if name not in ("generator", "coco", "recogniser")}

    @cached_property
    def generator(self) -> LlavaGenerator:
        """The language model, loaded on first use.

        Raises UsageError if the checkpoint has none or transformers is not installed, VisketchError if it is damaged.
        """
        if self.load_generator is None:
            raise UsageError("this checkpoint has a matcher and no language model; leave out --by language")
        generator = self.load_generator()
        generator.model.to(self.device)
        return generator

    def look(self, pictured: Sequence[str | Path | image.Picture]) -> list[EncodedPicture]:
        """Encode pictures, or files of pictures. Raises VisketchError if a file cannot be read."""
        side = self.canvas
        read = [one if isinstance(one, image.Picture) else image.read(one, side) for one in pictured]
        some: list[EncodedPicture] = []
        for part in cut(read):
            some += map(EncodedPicture, look(self.sight, [one.square for one in part]).unbind(0), part)
        return some

    def encode(self, scene: Any) -> EncodedScene:
        """Encode a scene once, to ask many questions about it: a path, a PIL image, an array or a tensor.

        Raises VisketchError if it cannot be read or is blank.
        """
        return EncodedScene(self, self.scene(scene))

    def sketch(self, drawing: Any) -> EncodedPicture:
        """Encode a sketch as a query, in any form that `ViSketch.classify` takes. It is scaled to fill its square.

        Raises VisketchError if it is blank.
        """
        return self.look([image.drawn(drawing, self.canvas)])[0]

    def scene(self, scene: Any) -> EncodedPicture:
        """Encode a picture to ask about. Of a thick pen, the tower sees thinner lines (`vision/pen.py`).

        Raises VisketchError if it cannot be read or is blank.
        """
        is_path = isinstance(scene, str | Path)
        picture = image.read(scene, self.canvas) if is_path else image.of(scene, self.canvas)
        if image.is_blank(picture):
            raise VisketchError(f"{picture.source or 'picture'}: blank, it shows nothing; give another picture")
        return EncodedPicture(look(self.sight, [as_trained(picture)])[0], picture)

    def kept(self, tokens: Float[np.ndarray, "t e"], path: Path) -> EncodedPicture:
        """A picture whose tokens were computed earlier. Raises VisketchError if its file is gone."""
        return EncodedPicture(
            torch.from_numpy(np.array(tokens, np.float32)).to(self.device), image.read(path, self.canvas)
        )

    def say(self, pairs: Sequence[Pair], texts: Sequence[str]) -> list[Output]:
        """The language model's own answer to a text about each pair. Raises UsageError without a language model."""
        return self.generator.say([(sketch.tokens, scene.tokens) for sketch, scene in pairs], texts)

    def describe(self, pairs: Sequence[Pair]) -> list[Description | VisketchError]:
        """What each sketch shows, and what is where in its scene, as described by the language model.

        Answers that cannot be parsed are asked for once more, in other words. Where that fails too, the result is an
        error.
        """
        made = [_described(said) for said in self.say(pairs, [asked("DESC")] * len(pairs))]
        again = [place for place, one in enumerate(made) if isinstance(one, VisketchError)]
        said = self.say([pairs[place] for place in again], [asked("DESC", 1)] * len(again))
        for place, one in zip(again, said, strict=True):
            made[place] = _described(one)
        return made

    def find(
        self, pairs: Sequence[Pair], by: Predictor | None = None, min_score: float | None = None
    ) -> list[Answer | VisketchError]:
        """Where the sketch's object is in the scene, for each pair.

        `by` is the predictor that answers; by default it is the best one for the scene (see `select`). `min_score` is
        the least score of a box; by default it is the threshold that was best on validation scenes.
        """
        return self._each(pairs, by, partial(self._found, min_score=min_score))

    def _each(
        self, pairs: Sequence[Pair], by: Predictor | None, answer: Callable[[list[Pair], Predictor], Sequence[Some]]
    ) -> list[Some]:
        """The answers in the order of the pairs. Pairs with the same predictor are answered together."""
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
            kept = [(label, [one for one in found if one.score >= least]) for label, found in told]
            return [answers.answer(by, label, found, ()) for label, found in kept]
        return [self._matched(by, scene, *one, least) for (_, scene), one in zip(pairs, told, strict=True)]

    def _detected(
        self, sketch: EncodedPicture, scene: EncodedPicture, min_score: float | None
    ) -> Answer | VisketchError:
        try:
            return self.coco.answer(sketch, scene, min_score)
        except VisketchError as error:  # the detector does not know the word, or a file is gone
            return error

    def match(self, pairs: list[Pair], by: Predictor) -> list[tuple[str, list[Detection]]]:
        """The class of each sketch, and what each region of its scene shows.

        Boxes are on the square, except for those of an OWLv2, which are on the picture.
        """
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
        """The shipped detector, loaded on first use. Raises VisketchError if it cannot be loaded."""
        return CocoDetector(self.recogniser.chances)

    @cached_property
    def recogniser(self) -> Recogniser:
        """The matcher with the classes of ViSketch, loaded on first use."""
        assert self.matcher is not None
        return Recogniser(self.matcher, self.device, self.classifier)

    def available(self, scene: EncodedPicture | None = None) -> list[Predictor]:
        """The predictors that can answer. The recogniser is not among them for a photo, nor the shipped detector for a
        drawing; `by` can still name them.
        """
        some: list[Predictor] = ["language"] if self.load_generator else []
        photo = scene is not None and not image.is_drawing(scene.picture)
        some += ["detector"] if self.matcher and (photo or self.detector) else []
        some += ["matcher", "recogniser"] if self.matcher else []
        return [by for by in some if by != "recogniser" or not photo]

    def select(self, scene: EncodedPicture, by: Predictor | None = None) -> Predictor:
        """The predictor that answers about a scene.

        It is `by` if that is given. Otherwise it is the language model if that was better on validation scenes, and
        otherwise `fallback`. Raises UsageError if this model has no such predictor.
        """
        self.require(by)
        if by:
            return by
        return "language" if self.prefers_language else self.fallback(scene)

    @property
    def prefers_language(self) -> bool:
        """Whether the language model answers by default."""
        return self.load_generator is not None and (self.settings.answers == "language" or not self.matcher)

    def fallback(self, scene: EncodedPicture) -> Predictor:
        """The predictor that answers without a language model.

        It is the detector for photos. For drawn scenes it is the recogniser if that knows all classes of the tower, and
        otherwise the matcher.
        """
        if not image.is_drawing(scene.picture):
            return "detector"
        return "recogniser" if classes().issuperset(self.settings.labels) else "matcher"

    def require(self, by: Predictor | None) -> None:
        """Raises UsageError if this model has no such predictor."""
        if by == "language":
            _ = self.generator
        elif by and not self.matcher:
            raise UsageError("this model has no matcher, since its tower was not trained on pairs; use --by language")
        elif by == "detector" and not self.detector:
            _ = self.coco

    def _filtered(self, said: Description, scene: EncodedPicture, least: float) -> Answer:
        others = scene.placed([thing for thing in said.things if thing.label != said.label])
        own = [thing for thing in said.of_label() if thing.score >= least]
        return answers.answer("language", said.label, scene.placed(own), others, image.is_drawing(scene.picture))

    def _matched(
        self, by: Predictor, scene: EncodedPicture, label: str, things: list[Detection], least: float
    ) -> Answer:
        own, drawn = [thing for thing in things if thing.score >= least], image.is_drawing(scene.picture)
        others = [thing for thing in things if thing.score < least]
        return answers.answer(by, label, scene.placed(relabelled(own, label)), scene.placed(others), drawn)

    def _min_score(self, by: Predictor) -> float:
        """The least score at which a region counts as the sketch's object."""
        if by == "detector":
            return LEAST if self.detector else self.coco.present_from
        return self.settings.recognised if by == "recogniser" else self.settings.threshold

    def score(self, pairs: Sequence[Pair], by: Predictor | None = None, which: Filter | None = None) -> list[float]:
        """The probability that each scene shows the sketch's object, 0 to 1, for retrieval.

        The language model gives its p(yes) to the SBIR question, and the detector its own probability (0 for a class
        that it does not know). The matcher and the recogniser give s / (s + threshold), where s is the highest score of
        a region. This is one half where the region is just counted, so that the scores of all predictors can be
        compared. With `which`, only objects that it describes count.
        """
        return self._each(pairs, by, partial(self._scores, which=which))

    def _scores(self, pairs: list[Pair], by: Predictor, which: Filter | None) -> list[float]:
        if by == "language":
            sure = self.generator.yes([(sketch.tokens, scene.tokens) for sketch, scene in pairs], asked("SBIR"))
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
            if which is not None:  # "the largest" means the largest of the sketch's objects, if there are any
                own = [thing for thing in things if thing.score >= self._min_score(by)] or things
                meant = which.of(own if by == "detector" else scene.placed(own), scene.picture)
            surest.append(max((thing.score for thing in meant), default=0.0))
        return [sure / (sure + max(self._min_score(by), 1e-9)) for sure in surest]

    def ask(
        self, sketch: EncodedPicture, scene: EncodedPicture, question: str, by: Predictor | None = None
    ) -> tuple[str, str]:
        """The answer to a question, and the predictor that gave it.

        A closed question (how many, where, what colour ...) is answered from the boxes that were found, and any other
        question by the language model: one that begins with a task, and an open one if it was trained on such questions
        or if `by` says so. Raises UsageError as `check` does, and if there is no language model. Raises VisketchError
        for other open questions, if answering fails, or if the question names an unknown class.
        """
        self.check(question, by)
        task = question.partition(":")[0]
        if task not in WORDINGS:  # a question that begins with a task, such as "COUNT:", is for the language model
            (found,) = self.find([(sketch, scene)], by)
            if isinstance(found, VisketchError):
                if self.select(scene, by) != "language":
                    raise found  # the language model must not guess what another predictor refuses
            elif (told := self.reason(question, found, scene)) is not None:
                return told, found.by
        if self.load_generator is None:
            raise UsageError(f"{question!r} needs a language model, and this checkpoint has only a matcher; {MEND}")
        if self.is_free(question) and by != "language":
            raise refusal(question, mend=", or let the small language model guess (--by language)")
        text = question if task in ("VQA", *WORDINGS) else f"VQA: {question}"
        return self.say([(sketch, scene)], [text])[0].text, "language"

    def check(self, question: str, by: Predictor | None = None) -> None:
        """Raises UsageError if the question is empty, or begins with a task and `by` is not the language model."""
        if not question.strip():
            raise UsageError("the question is empty; ask one, such as 'what is it next to?'")
        task = question.partition(":")[0]
        if task in WORDINGS and by not in (None, "language"):
            raise UsageError(f"{question!r}: only the language model answers {task}:, not the {by}; leave out --by")

    def is_free(self, question: str) -> bool:
        """Whether a question is open and does not begin with a task.

        The small language model was not trained on such questions.
        """
        return not self.settings.base and question.partition(":")[0] not in WORDINGS and kind(question) is None

    def reason(self, question: str, answer: Answer, scene: EncodedPicture, single: bool = False) -> str | None:
        """The answer to a closed question, from what was found in a scene. Returns None for an open question.

        `single` says that there is one object of each class, so only the surest is told. Raises VisketchError if the
        question is not understood, or names something that is not a class, or not one of the predictor's classes.
        """
        labels = frozenset(self.settings.labels)
        known, kinds = classes() | labels, dict[str, str]()
        told = {"recogniser": classes(), "detector": frozenset([answer.label])}.get(answer.by, labels or None)
        if answer.by == "detector" and not self.detector:
            known, told, kinds = known | NAMES, NAMES, found_as(classes())
        things = answer.found, answer.others
        return reason(SceneQuestion(question, answer.label, *things, known, told, scene.picture, kinds, single))


def _described(said: Output) -> Description | VisketchError:
    """The description that was said, or the error if it cannot be parsed."""
    try:
        return answers.description(said)
    except VisketchError as error:
        return error
