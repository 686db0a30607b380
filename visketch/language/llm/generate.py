"""Generate answers with the language model.

The tokens of two pictures and a text give an answer or p(yes).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from visketch.errors import VisketchError
from visketch.language.answers import Output
from visketch.language.config import LanguageConfig
from visketch.language.llm import llava
from visketch.language.llm.llava import embedded, unwrapped
from visketch.language.llm.tokenizer import Prompts

BATCH = 32  # the number of pairs that are answered together
LONGEST = 160  # the most tokens of an answer
Some = TypeVar("Some")
Tokens = Float[Tensor, "t e"]
Pairs = Sequence[tuple[Tokens, Tokens]]  # sketch, scene


class LlavaGenerator:
    """A LLaVA for two pictures, without its tower."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = unwrapped(model).eval()
        self.speech = Prompts(tokenizer, llava.tokens_of(self.model.config))

    @classmethod
    def load(
        cls, settings: LanguageConfig, folder: Path, device: str = "cpu", *, tower: nn.Module | None = None
    ) -> "LlavaGenerator":
        """Load the language model from a checkpoint's folder.

        Raises UsageError without transformers. Raises VisketchError if the model is missing or damaged, or was trained
        with another tower than `tower`.
        """
        model, tokenizer = llava.load(settings, folder)
        if tower is not None and not _same(tower, model.model.vision_tower.tower):
            mend = "train the stages align and instruct again"
            raise VisketchError(f"{folder}: the language model was trained with another tower; {mend}")
        return cls(model.to(device), tokenizer)

    def say(self, pairs: Pairs, texts: Sequence[str], longest: int = LONGEST) -> list[Output]:
        """Answer a text about each pair. At each token, the most probable one is taken. `longest` is the most tokens of
        an answer.
        """
        said: list[Output] = []
        for part in cut(list(zip(pairs, texts, strict=True))):
            said += self._say([pair for pair, _ in part], [text for _, text in part], longest)
        return said

    @torch.inference_mode()
    def _say(self, pairs: Pairs, texts: Sequence[str], longest: int) -> list[Output]:
        words, mask = self._heard(pairs, texts)
        made = self.model.generate(
            inputs_embeds=words,
            attention_mask=mask,
            max_new_tokens=longest,
            do_sample=False,
            pad_token_id=self.speech.pad,
            eos_token_id=self.speech.end,
            output_scores=True,
            return_dict_in_generate=True,
        )
        chances = torch.stack([score.float().softmax(dim=1).amax(dim=1) for score in made.scores], dim=1)
        return [self._read(*row) for row in zip(made.sequences.tolist(), chances.tolist(), strict=True)]

    def yes(self, pairs: Pairs, text: str) -> list[float]:
        """For each pair, the probability that the answer to a text is yes rather than no."""
        return [chance for part in cut(pairs) for chance in self._yes(part, text)]

    @torch.inference_mode()
    def _yes(self, pairs: Pairs, text: str) -> list[float]:
        yes, no = self.speech.first(text, "yes", "no")
        words, mask = self._heard(pairs, [text] * len(pairs))
        logits = self.model(inputs_embeds=words, attention_mask=mask, logits_to_keep=1).logits[:, -1]
        return logits[:, [yes, no]].float().softmax(dim=1)[:, 0].tolist()

    def _heard(self, pairs: Pairs, texts: Sequence[str]) -> tuple[Float[Tensor, "b n w"], Int[Tensor, "b n"]]:
        """Pictures and questions as embeddings of the language model, padded on the left; and their mask."""
        asked = [np.concatenate([self.speech.opening, self.speech.question(text)]) for text in texts]
        most = max(map(len, asked))
        ids = np.stack([np.pad(one, (most - len(one), 0), constant_values=self.speech.pad) for one in asked])
        mask = np.stack([np.arange(most) >= most - len(one) for one in asked]).astype(np.int64)
        device = self.model.lm_head.weight.device
        seen = torch.stack([tokens for pair in pairs for tokens in pair]).to(device)
        words = embedded(self.model.model, torch.from_numpy(ids).to(device), seen, self.model.config.image_token_id)
        return words, torch.from_numpy(mask).to(device)

    def _read(self, numbers: list[int], chances: list[float]) -> Output:
        """Turn token numbers into text, with the probability of each stretch. A stretch is what one token adds to the
        text.
        """
        if self.speech.end in numbers:
            numbers = numbers[: numbers.index(self.speech.end)]
        ends = [len(self.speech.text(numbers[: place + 1])) for place in range(len(numbers))]
        spans = zip([0, *ends], ends, chances, strict=False)
        return Output(self.speech.text(numbers), tuple(span for span in spans if span[1] > span[0]))


def cut(some: Sequence[Some]) -> Iterator[Sequence[Some]]:
    """Cut pairs into batches that are answered together."""
    return (some[first : first + BATCH] for first in range(0, len(some), BATCH))


def _same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two towers have the same weights in half precision, in which a language model stores its tower."""
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(value.half(), theirs[name].half()) for name, value in ours.items() if value.is_floating_point()
    )
