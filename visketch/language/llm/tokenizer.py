"""The small model's tokenizer, and how questions, answers and pictures become one sequence of tokens.

    USER: <image> ... <image> <image> ... <image> COUNT: how many ...? ASSISTANT: 2 </s>

This is the conversation format of LLaVA-1.5, with the sketch first and the scene second. The same functions work with
LLaVA's own tokenizer.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Int

from visketch.errors import UsageError

IMAGE, PAD, UNKNOWN, BEGIN, END = "<image>", "<pad>", "<unk>", "<s>", "</s>"
# A token is a coordinate (0.00 to 1.00), a digit, a word, or a punctuation mark. `tidy` adds the commas again.
PIECES = r"<image>|</s>|[01]\.\d\d|\d|[^\W\d_]+(?:['-][^\W\d_]+)*|[\[\].:;?!]"
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: "
    "{% for part in message['content'] if part['type'] == 'image' %}<image>\n{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] }}{% endfor %} "
    "{% else %}ASSISTANT: {% for part in message['content'] %}{{ part['text'] }}{% endfor %}{{ eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
IGNORED = -100  # a label with this value has no loss


def learn(texts: Iterable[str]) -> Any:
    """Make a transformers tokenizer of all words in `texts`. Every coordinate and every digit is always one token."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    cut = pre_tokenizers.Split(Regex(PIECES), behavior="removed", invert=True)
    special = [PAD, UNKNOWN, BEGIN, END, IMAGE]
    always = [f"{place / 100:.2f}" for place in range(101)] + [str(digit) for digit in range(10)]
    always += ["USER", "ASSISTANT", *"[].:;?!"]
    found = {word for text in texts for word in re.findall(PIECES, text)}
    words = [*special, *always, *sorted(found - {*special, *always})]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = cut
    tokenizer.add_special_tokens([*special])
    return _wrapped(tokenizer)


def _wrapped(tokenizer: Any) -> Any:
    from visketch.language.llm.llava import transformers

    return transformers().PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        bos_token=BEGIN,
        eos_token=END,
        extra_special_tokens={"image_token": IMAGE},
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


@dataclass(frozen=True)
class Turn:
    """A question and its answer, as the numbers of their tokens."""

    question: Int[np.ndarray, " q"]
    answer: Int[np.ndarray, " a"]


class Prompts:
    """Turns text into token numbers and back, for two pictures of `tokens` tokens each."""

    def __init__(self, tokenizer: Any, tokens: int) -> None:
        self.tokenizer, self.tokens = tokenizer, tokens
        self.image = int(tokenizer.convert_tokens_to_ids(IMAGE))
        self.end = int(tokenizer.eos_token_id)
        self.pad = int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.end)

    def _split(self, text: str) -> tuple[list[int], list[int]]:
        """The token numbers up to the last picture, and those after it."""
        ids = self.tokenizer(text)["input_ids"]
        last = len(ids) - ids[::-1].index(self.image)
        return ids[:last], ids[last:]

    @cached_property
    def opening(self) -> Int[np.ndarray, " o"]:
        """The tokens before every question: both pictures, with one number for each of their tokens."""
        before, _ = self._split(f"USER: {IMAGE}\n{IMAGE}\n")
        many = [[number] * self.tokens if number == self.image else [number] for number in before]
        return np.array([number for some in many for number in some], np.int64)

    def question(self, text: str) -> Int[np.ndarray, " q"]:
        """The tokens after the pictures, for a question. Raises UsageError if the text contains a picture."""
        if IMAGE in text:
            raise UsageError(f"a question cannot contain {IMAGE}, since the two pictures come before it; leave it out")
        return np.array(self._split(f"USER: {IMAGE}\n{IMAGE}\n{text} ASSISTANT:")[1], np.int64)

    def turn(self, text: str, answer: str) -> Turn:
        whole = self._split(f"USER: {IMAGE}\n{IMAGE}\n{text} ASSISTANT: {answer}")[1]
        asked = self.question(text)
        return Turn(asked, np.array([*whole[len(asked) :], self.end], np.int64))

    def text(self, numbers: Iterable[int]) -> str:
        """The text of an answer, from its token numbers."""
        return tidy(self.tokenizer.decode([*numbers], skip_special_tokens=True))

    def first(self, text: str, *answers: str) -> list[int]:
        """The token numbers in which answers to a question differ. For each answer, this is the first one that the
        answers do not all share.
        """
        turns = [self.turn(text, answer).answer.tolist() for answer in answers]
        place = next(i for i in range(min(map(len, turns))) if len({turn[i] for turn in turns}) == len(turns))
        return [turn[place] for turn in turns]


def tidy(text: str) -> str:
    """Turn words with spaces between them into normal text: punctuation without spaces before it, and boxes with
    commas.
    """
    text = re.sub(r"\s+([.;?!:\]])", r"\1", re.sub(r"\[\s+", "[", text))
    text = re.sub(r"(?<=\d\.\d\d)\s+(?=\d\.\d\d)", ", ", text)
    return re.sub(r"\]\s+(?=an? )", "], ", text).strip()
