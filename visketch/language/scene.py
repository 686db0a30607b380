"""An encoded scene: what `SketchLanguage.encode` returns, to ask many questions about one picture."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from visketch.errors import VisketchError
from visketch.language.answers import Answer, Detection, Predictor
from visketch.language.attributes import Filter, only
from visketch.language.vision.features import EncodedPicture


@runtime_checkable
class AnswersPairs(Protocol):
    """The methods that a scene needs. `SketchLanguage` has them, but it imports this module, so it cannot be named
    here.
    """

    def sketch(self, drawing: Any) -> EncodedPicture: ...

    def find(
        self,
        pairs: Sequence[tuple[EncodedPicture, EncodedPicture]],
        by: Predictor | None = None,
        min_score: float | None = None,
    ) -> list[Answer | VisketchError]: ...

    def ask(
        self, sketch: EncodedPicture, scene: EncodedPicture, question: str, by: Predictor | None = None
    ) -> tuple[str, str]: ...


class EncodedScene:
    """An encoded picture, which answers questions that are asked with sketches. Boxes are shares of the picture's
    sides.

    A sketch is anything that `ViSketch.classify` takes. `which` selects some of the objects in words, such as "the red
    ones on the left" (`attributes.Filter`). `by` names a predictor; by default the best one for the picture answers.
    """

    def __init__(self, model: AnswersPairs, picture: EncodedPicture) -> None:
        self.model, self.picture = model, picture

    def find(
        self, sketch: Any, which: str | None = None, by: Predictor | None = None, min_score: float | None = None
    ) -> Answer:
        """The class of the sketch, where it is in the scene, and what else is there.

        Raises VisketchError if the sketch cannot be read or if answering fails, UsageError for words that are not
        known.
        """
        (answer,) = self.model.find([(self._query(sketch), self.picture)], by, min_score)
        if isinstance(answer, VisketchError):
            raise answer
        return only(answer, self.picture.picture, Filter.told(which)) if which else answer

    def count(self, sketch: Any, which: str | None = None, by: Predictor | None = None) -> int:
        """The number of objects in the scene that are what the sketch shows. It raises the same errors as `find`."""
        return self.find(sketch, which, by).count

    def locate(
        self, sketch: Any, which: str | None = None, by: Predictor | None = None, min_score: float | None = None
    ) -> list[Detection]:
        """The objects that are what the sketch shows, from left to right. Each has a `label`, a `score`, and a `box`
        (x1, y1, x2, y2) in shares of the scene's width and height.

        `min_score` is the least score of a box, by default the one that `count` uses. It raises the same errors as
        `find`.
        """
        return list(self.find(sketch, which, by, min_score).found)

    def ask(self, sketch: Any, question: str, by: Predictor | None = None) -> str:
        """The answer to a question about the scene and the sketch's object. It raises the same errors as
        `SketchLanguage.ask`.
        """
        return self.model.ask(self._query(sketch), self.picture, question, by)[0]

    def _query(self, sketch: Any) -> EncodedPicture:
        return sketch if isinstance(sketch, EncodedPicture) else self.model.sketch(sketch)
