"""SketchLanguage: count, locate, ask and retrieve with a sketch as the question (after O3SLM, arXiv 2511.14368).

The sketch's tokens, the scene's tokens and the question, in that order, go through the language model. Pictures are
looked at once, however much is asked about them. A number or a box is read from a description of the whole scene
("describe, then filter"); beside it stands what the matcher finds without a language model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from visketch.errors import UsageError, VisketchError
from visketch.language import answers, llava, pictures, settings
from visketch.language.answers import Description, Found, Said
from visketch.language.features import look
from visketch.language.instructions import WORDINGS, whereabouts
from visketch.language.matcher import Matcher
from visketch.language.settings import LanguageSettings
from visketch.language.speaking import embedded, unwrapped
from visketch.language.words import Speech

BATCH = 32  # pairs answered together
LONGEST = 160  # words of an answer
By = Literal["language", "matcher"]
Some = TypeVar("Some")


@dataclass(frozen=True)
class Seen:
    """A picture as the tower saw it, and how to find from its square back to it."""

    tokens: Float[Tensor, "t e"]
    picture: pictures.Picture


@dataclass(frozen=True)
class Answer:
    """What was found of the sketch's object in a scene, by whom, and what the other would have said."""

    by: By
    label: str  # what the sketch is taken for
    found: tuple[Found, ...]  # boxes in shares of the picture's sides, from left to right
    raw: tuple[Found, ...]  # before duplicates were taken out
    said: str = ""  # the language model's words

    @property
    def count(self) -> int:
        return len(self.found)


class SketchLanguage:
    """A checkpoint's language model, tower and matcher."""

    def __init__(self, model: Any, tokenizer: Any, knobs: LanguageSettings, device: str = "cpu") -> None:
        self.model, self.settings = model.to(device).eval(), knobs
        self.sight = llava.Sight(unwrapped(model)).eval()
        self.speech = Speech(tokenizer, llava.tokens_of(unwrapped(model).config))
        tower = getattr(self.sight.tower, "tower", None)
        self.matcher = Matcher(tower, list(knobs.labels)) if knobs.tower.kind == "pair" and not knobs.base else None

    @classmethod
    def load(cls, folder: str | Path | None = None, device: str = "cpu") -> "SketchLanguage":
        """A checkpoint's folder, or a shipped one's name (by default the shipped `language`). Raises VisketchError."""
        path = find(folder)
        knobs = settings.read(path)
        return cls(*llava.load(knobs, path), knobs, device)

    def look(self, pictured: Sequence[str | Path | pictures.Picture]) -> list[Seen]:
        """Pictures, or files of them, → what the tower sees, each once. Raises VisketchError for an unreadable file."""
        side = self.sight.canvas
        read = [one if isinstance(one, pictures.Picture) else pictures.read(one, side) for one in pictured]
        some: list[Seen] = []
        for part in cut(read):
            some += map(Seen, look(self.sight, [one.square for one in part]).unbind(0), part)
        return some

    def sketch(self, path: str | Path) -> Seen:
        """A sketch to ask with, fitted to its square whatever its size. Raises VisketchError if it is blank."""
        return self.look([drawn(path, self.sight.canvas)])[0]

    def scene(self, path: str | Path) -> Seen:
        """A picture to ask about. Raises VisketchError if there is nothing on it."""
        picture = pictures.read(path, self.sight.canvas)
        if pictures.is_blank(picture):
            raise VisketchError(f"{path}: blank, there is nothing in it to ask about; give another picture")
        return self.look([picture])[0]

    @cached_property
    def mark(self) -> str:
        """What stands for the tower's weights."""
        return self.sight.mark()

    def kept(self, tokens: Float[np.ndarray, "t e"], path: Path) -> Seen:
        """What was seen of a picture before, again; its letterbox is that of a square."""
        side = self.sight.canvas
        blank = pictures.Picture(np.zeros((side, side, 3), np.uint8), pictures.Letterbox(side, side), str(path))
        return Seen(torch.from_numpy(np.array(tokens, np.float32)), blank)

    def say(self, pairs: Sequence[tuple[Seen, Seen]], texts: Sequence[str], longest: int = LONGEST) -> list[Said]:
        """The language model's answer to a text about each pair of a sketch and a scene."""
        said: list[Said] = []
        for part in cut(list(zip(pairs, texts, strict=True))):
            said += self._say([pair for pair, _ in part], [text for _, text in part], longest)
        return said

    @torch.inference_mode()
    def _say(self, pairs: Sequence[tuple[Seen, Seen]], texts: Sequence[str], longest: int) -> list[Said]:
        words, mask = self._heard(pairs, texts)
        made = unwrapped(self.model).generate(
            inputs_embeds=words,
            attention_mask=mask,
            max_new_tokens=longest,
            do_sample=False,
            pad_token_id=self.speech.pad,
            eos_token_id=self.speech.end,
            output_scores=True,
            return_dict_in_generate=True,
        )
        numbers = made.sequences.cpu()
        chances = torch.stack([score.float().softmax(dim=1).amax(dim=1) for score in made.scores], dim=1).cpu()
        return [self._read(*row) for row in zip(numbers.tolist(), chances.tolist(), strict=True)]

    def _heard(self, pairs: Sequence[tuple[Seen, Seen]], texts: Sequence[str]) -> tuple[Tensor, Int[Tensor, "b n"]]:
        """Pictures and questions in the language model's space, filled up on the left; and the mask."""
        asked = [np.concatenate([self.speech.opening, self.speech.question(text)]) for text in texts]
        most = max(map(len, asked))
        ids = np.stack([np.pad(one, (most - len(one), 0), constant_values=self.speech.pad) for one in asked])
        mask = np.stack([np.arange(most) >= most - len(one) for one in asked])
        device, whole = self.sight.mean.device, unwrapped(self.model)
        seen = torch.stack([one.tokens for pair in pairs for one in pair]).to(device)
        words = embedded(whole.model, torch.from_numpy(ids).to(device), seen, whole.config.image_token_id)
        return words, torch.from_numpy(mask.astype(np.int64)).to(device)

    def _read(self, numbers: list[int], chances: list[float]) -> Said:
        """Numbers → text, with the chance of each stretch: how much longer each number makes the text."""
        if self.speech.end in numbers:
            numbers = numbers[: numbers.index(self.speech.end)]
        ends = [len(self.speech.text(numbers[: place + 1])) for place in range(len(numbers))]
        spans = zip([0, *ends], ends, chances, strict=False)
        spoken = tuple((start, end, chance) for start, end, chance in spans if end > start)
        return Said(self.speech.text(numbers), spoken)

    def describe(self, pairs: Sequence[tuple[Seen, Seen]]) -> list[Description | VisketchError]:
        """What each sketch shows and what is where in its scene; an answer that is none is asked for once more."""
        made: list[Description | VisketchError] = []
        for pair, said in zip(pairs, self.say(pairs, [_asked("DESC")] * len(pairs)), strict=True):
            try:
                made.append(answers.description(said))
            except VisketchError:
                try:
                    made.append(answers.description(self.say([pair], [_asked("DESC", 1)])[0]))
                except VisketchError as error:
                    made.append(error)
        return made

    def find(self, pairs: Sequence[tuple[Seen, Seen]], by: By | None = None) -> list[Answer | VisketchError]:
        """Where the sketch's object is in its scene, of each pair, by the one that is better or the one asked."""
        by = self.answering(by)
        if by == "matcher":
            return [self._matched(*pair) for pair in pairs]
        return [
            said if isinstance(said, VisketchError) else self._filtered(said, scene)
            for said, (_, scene) in zip(self.describe(pairs), pairs, strict=True)
        ]

    def able(self) -> list[By]:
        """Who can answer here."""
        return ["language", "matcher"] if self.matcher else ["language"]

    def answering(self, by: By | None = None) -> By:
        """Who answers. Raises UsageError where there is no matcher."""
        by = by or self.settings.answers
        if by == "matcher" and self.matcher is None:
            raise UsageError("this model has no matcher (its tower was not trained on pairs); take --by language")
        return by

    def _filtered(self, said: Description, scene: Seen) -> Answer:
        raw = placed(said.of_label(), scene)
        return Answer("language", said.label, tuple(answers.suppressed(raw)), tuple(raw))

    def _matched(self, sketch: Seen, scene: Seen) -> Answer:
        assert self.matcher is not None
        found = self.matcher.match(sketch.tokens, scene.tokens)
        sure = [thing for thing in found if thing.sure >= self.settings.threshold]
        label = self.matcher.labels[int(self.matcher.name(sketch.tokens).argmax())]
        raw = placed(sure, scene)
        return Answer("matcher", label, tuple(answers.suppressed(raw)), tuple(raw))

    def score(self, pairs: Sequence[tuple[Seen, Seen]], by: By | None = None) -> list[float]:
        """How likely each scene shows the sketch's object: p(yes) of SBIR, or the matcher's surest region."""
        if self.answering(by) == "matcher":
            assert self.matcher is not None
            return [
                max((thing.sure for thing in self.matcher.match(sketch.tokens, scene.tokens)), default=0.0)
                for sketch, scene in pairs
            ]
        text = _asked("SBIR")
        yes, no = self.speech.first(text, "yes", "no")
        return [chance for part in cut(pairs) for chance in self._yes(part, text, yes, no)]

    @torch.inference_mode()
    def _yes(self, pairs: Sequence[tuple[Seen, Seen]], text: str, yes: int, no: int) -> list[float]:
        words, mask = self._heard(pairs, [text] * len(pairs))
        logits = unwrapped(self.model)(inputs_embeds=words, attention_mask=mask, logits_to_keep=1).logits[:, -1]
        return logits[:, [yes, no]].float().softmax(dim=1)[:, 0].tolist()

    def ask(self, sketch: Seen, scene: Seen, question: str) -> str:
        """The language model's answer in its own words. Raises UsageError for an empty question."""
        if not question.strip():
            raise UsageError("the question is empty; ask something, such as 'what is it next to?'")
        known = question.partition(":")[0] in ("VQA", *WORDINGS)
        (said,) = self.say([(sketch, scene)], [question if known else f"VQA: {question}"])
        return said.text

    def where(self, answer: Answer) -> str:
        """The part of the picture in which the surest of what was found is; `none` if nothing was."""
        if not answer.found:
            return "none"
        return whereabouts(max(answer.found, key=lambda thing: thing.sure).box)


def _asked(task: str, wording: int = 0) -> str:
    return f"{task}: {WORDINGS[task][wording]}"


def placed(things: Sequence[Found], scene: Seen) -> list[Found]:
    """Boxes on the square → on the picture; what lies beside the picture is left out."""
    back = [replace(thing, box=scene.picture.letterbox.back(thing.box)) for thing in things]
    return [thing for thing in back if thing.box[0] < thing.box[2] and thing.box[1] < thing.box[3]]


def drawn(path: str | Path, canvas: int) -> pictures.Picture:
    """A sketch in any form that visketch reads, as training drew it: fitted to the canvas, dark lines of one pen.

    Raises VisketchError if it is blank or cannot be read.
    """
    from visketch import sdf
    from visketch.config import SketchConfig
    from visketch.data.drawing import sketch

    shape = SketchConfig(canvas=canvas)
    ink = sdf.ink(sdf.render(sketch(path), shape), shape.clamp)
    grey = (255 * (1 - ink)).round().astype(np.uint8)
    return pictures.Picture(np.repeat(grey[..., None], 3, axis=2), pictures.Letterbox(canvas, canvas), str(path))


def find(folder: str | Path | None) -> Path:
    """A sketch-language model's folder: the path given, or a shipped one by its name. Raises VisketchError."""
    if folder is not None and (Path(folder) / settings.FILE).exists():
        return Path(folder)
    name = str(folder or "language")
    home = Path(str(resources.files("visketch.checkpoints"))) / name
    if (home / settings.FILE).exists():
        return home
    message = f"{name}: no sketch-language model there (no {settings.FILE}); `visketch train language` makes one"
    raise VisketchError(message)


def cut(some: Sequence[Some]) -> Iterator[Sequence[Some]]:
    """As many at a time as are answered together."""
    return (some[first : first + BATCH] for first in range(0, len(some), BATCH))
