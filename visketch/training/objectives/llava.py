"""The objective of the language model: questions about two pictures and their answers, on the tokens of a frozen tower.

All questions about a pair of pictures share one opening: first the pictures, once, and then turns that see only the
pictures and themselves. Positions are counted from the pictures. Short sequences share a row. The loss equals that of
separate sequences, at a third of the cost.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor, nn

from visketch.language.config import StageTraining
from visketch.language.dataset.rows import InstructionRow, InstructionRows
from visketch.language.llm.llava import hidden_states, unwrapped
from visketch.language.llm.tokenizer import IGNORED, Prompts, Turn
from visketch.language.vision.features import Features

Batch = dict[str, Tensor]
Sequenced = dict[str, np.ndarray]


def packed(opening: Int[np.ndarray, " o"], turns: Sequence[Turn]) -> Sequenced:
    """Pack several turns after one opening.

    Returns the ids, the labels (only of the answers), the weights, the turn of each token (0 is the opening), and its
    position; each is (n).
    """
    ids, labels, weights = [opening], [np.full(len(opening), IGNORED)], [np.zeros(len(opening))]
    turn, place = [np.zeros(len(opening), np.int64)], [np.arange(len(opening))]
    for number, one in enumerate(turns, 1):
        asked, said = len(one.question), len(one.answer)
        ids += [one.question, one.answer]
        labels += [np.full(asked, IGNORED), one.answer]
        # A long answer has more weight than a short one, but not in proportion to its length.
        weights += [np.zeros(asked), np.full(said, said**-0.5)]
        turn.append(np.full(asked + said, number))
        place.append(len(opening) + np.arange(asked + said))
    columns = {"ids": ids, "labels": labels, "weights": weights, "turn": turn, "place": place}
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def stacked(some: Sequence[Sequenced], pad: int) -> tuple[Batch, list[int]]:
    """Stack sequences of different lengths as rows (b n), with as many in a row as fit into the length of the longest.

    Returns the rows, and the new order of the sequences. `pair` tells the sequences of a row apart, and -1 is padding.
    """
    sizes = [len(one["ids"]) for one in some]
    longest = max(sizes)
    bins: list[list[int]] = []
    for number in sorted(range(len(some)), key=lambda number: -sizes[number]):
        room = (row for row in bins if sum(sizes[other] for other in row) + sizes[number] <= longest)
        found = next(room, None)
        if found is None:
            bins.append([number])
        else:
            found.append(number)
    filler = {"ids": pad, "labels": IGNORED, "weights": 0.0, "turn": 0, "place": 0, "pair": -1}
    batch = {}
    for name, value in filler.items():
        whole = np.full((len(bins), longest), value)
        for row, numbers in zip(whole, bins, strict=True):
            parts = [np.full(sizes[n], n) if name == "pair" else some[n][name] for n in numbers]
            row[: sum(map(len, parts))] = np.concatenate(parts)
        batch[name] = torch.from_numpy(whole)
    return batch | {"weights": batch["weights"].float()}, [number for row in bins for number in row]


def visible(pair: Int[Tensor, "b n"], turn: Int[Tensor, "b n"]) -> Bool[Tensor, "b 1 n n"]:
    """Which positions each position sees: the opening of its pair, and its own turn up to itself."""
    n = turn.shape[1]
    same = (turn[:, :, None] == turn[:, None]) | (turn[:, None] == 0)
    before = torch.ones(n, n, dtype=torch.bool, device=turn.device).tril()
    return (same & (pair[:, :, None] == pair[:, None]) & before)[:, None]


class LlavaBatches:
    """The batch of pairs for each step.

    The sketch of a row is replaced by another one of the same class, which keeps the answers right.
    """

    def __init__(
        self, rows: InstructionRows, speech: Prompts, features: Features, settings: StageTraining, stage: str, seed: int
    ):
        self.features, self.settings, self.seed, self.speech = features, settings, seed, speech
        pairs = [[row for row in pair if stage != "align" or row.task == "DESC"] for pair in rows.pairs]
        self.pairs = [pair for pair in pairs if pair]
        self.alike: dict[str, list[str]] = {}
        for path, label in rows.sketches.items():
            self.alike.setdefault(label, []).append(path)
        self._turns: dict[str, Turn] = {}
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return self.settings.steps

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self.seed, step))
        some, seen = [], []
        for place in range(step * self.settings.batch, (step + 1) * self.settings.batch):
            pair = self.pairs[self._pair(place)]
            chosen = rng.permutation(len(pair))[: self.settings.questions]
            some.append(packed(self.speech.opening, [self._turn(pair[number]) for number in chosen]))
            alike = self.alike[pair[0].label]
            sketch = alike[int(rng.integers(len(alike)))]
            seen.append(np.stack([self.features[sketch], self.features[pair[0].scene]]))
        batch, order = stacked(some, self.speech.pad)
        return batch | {"seen": torch.from_numpy(np.concatenate([seen[number] for number in order]))}

    def _pair(self, number: int) -> int:
        epoch, place = divmod(number, len(self.pairs))
        if epoch != self._order[0]:
            self._order = epoch, np.random.default_rng((self.seed, epoch)).permutation(len(self.pairs))
        return int(self._order[1][place])

    def _turn(self, row: InstructionRow) -> Turn:
        if row.id not in self._turns:
            self._turns[row.id] = self.speech.turn(row.text, row.answer)
        return self._turns[row.id]


class LlavaObjective(nn.Module):
    """The loss of the answers, given the tokens of the pictures."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model  # a model of transformers, possibly wrapped by peft
        self.parts = {"language": model}

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        hidden = hidden_states(
            self.model, batch["ids"], batch["seen"], batch["place"], visible(batch["pair"], batch["turn"])
        )
        wanted = batch["labels"][:, 1:]
        spoken = wanted != IGNORED
        whole = unwrapped(self.model)
        logits = whole.lm_head(hidden[:, :-1][spoken]).float()
        weight = batch["weights"][:, 1:][spoken]
        losses = F.cross_entropy(logits, wanted[spoken], reduction="none")
        loss = (losses * weight).sum() / weight.sum()
        with torch.no_grad():
            right = (logits.argmax(1) == wanted[spoken]).float().mean()
        return loss, {"words": losses.mean(), "right": right}

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """Only the weights that are trained. In a large model, these are a fortieth."""
        return {name: value.detach() for name, value in self.named_parameters() if value.requires_grad}

    def load_state_dict(self, state: Mapping[str, Any], *_: Any, **__: Any) -> Any:  # type: ignore[override]
        if state.keys() != self.state_dict().keys():
            raise RuntimeError("the state has other weights than are trained")
        return super().load_state_dict(state, strict=False)
