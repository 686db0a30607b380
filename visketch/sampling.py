"""Sampling: its options, its random numbers, and what can be seen while it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from visketch.config import Coarse
from visketch.errors import UsageError, nearest
from visketch.quadtree import Order

Amount = Literal["few", "usual", "many"]
# The number of seeds. Commands and HTTP take half of them, and add the number of the sketch; `candidate_seeds` uses
# larger ones.
SEEDS = 2**33
TRIES = 4  # how many places are tried for each completion by default


@dataclass(frozen=True)
class SamplingOptions:
    """How a sketch is drawn. The command line, Python and HTTP share these options and their defaults.

    For `steps` and `guidance`, `None` means the value in the checkpoint's configuration; but strokes are completed with
    a guidance of their own (`complete.GUIDANCE`). For `refine`, it means that fields are refined and strokes are not,
    since refined strokes are less like people's drawings (docs/results.md). For `tries`, it means 1 for a new sketch
    and TRIES for a completion. (With more tries, new sketches would be tidier and less varied than people's drawings:
    see docs/results.md.) Raises UsageError for a value out of range.
    """

    steps: int | None = None  # steps of the coarse stage
    guidance: float | None = None  # how much the class counts in the coarse stage; 1: no guidance
    temperature: float = 0.7  # of the refiner's codes; 0 takes the most probable code
    top_p: float = 0.95  # the refiner samples among the most probable codes that together have this probability
    order: Order = "waves"  # refine many leaves at once, or one after another
    coarse: Coarse | None = None  # whether the coarse stage draws strokes or a field; None: the checkpoint's default
    detail: Amount | int = "usual"  # how many strokes, compared with what is usual for the class; or their number
    refine: bool | None = None  # whether the refiner redraws the leaves; None: those of a field, not those of strokes
    tries: int | None = None  # candidates drawn for each sketch; the classifier keeps the most probable one
    soon: bool = False  # draw the first sketch before the others, since somebody is waiting; only for strokes

    def refined(self, coarse: Coarse) -> bool:
        """Whether what the coarse stage draws is refined."""
        return coarse == "field" if self.refine is None else self.refine

    def __post_init__(self) -> None:
        for name in ("tries", "steps"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, check_number(name, getattr(self, name), 1))
        if self.guidance is not None:
            check_real("guidance", self.guidance, lambda value: 0 <= value <= 20, "a number from 0 to 20")
        temperatures = "a number from 0 (the most probable code) to 10"
        check_real("temperature", self.temperature, lambda value: 0 <= value <= 10, temperatures)
        check_real("top_p", self.top_p, lambda value: 0 < value <= 1, "a share above 0, up to 1")
        if isinstance(self.detail, str) and self.detail not in get_args(Amount):
            raise UsageError(f"detail = {self.detail!r}: take few, usual, many or a number of strokes")
        if not isinstance(self.detail, str):
            object.__setattr__(self, "detail", check_number("detail", self.detail, 1))
        if self.coarse not in (None, *get_args(Coarse)):
            raise UsageError(f"coarse = {self.coarse!r}: must be 'strokes' or 'field'")
        if self.order not in ("waves", "one-by-one"):
            raise UsageError(f"order = {self.order!r}: must be 'waves' or 'one-by-one'")
        if self.refine not in (None, True, False):
            raise UsageError(f"refine = {self.refine!r}: must be True, False or None")
        if self.soon not in (True, False):
            raise UsageError(f"soon = {self.soon!r}: must be True or False")

    @staticmethod
    def changed(options: "SamplingOptions", changes: dict[str, Any]) -> "SamplingOptions":
        """The same options with some changed. Raises UsageError for an unknown name, for a value out of range, and if
        `options` are no SamplingOptions.
        """
        if not isinstance(options, SamplingOptions):
            raise UsageError(f"options = {options!r}: pass SamplingOptions(...), or single options by their names")
        if unknown := sorted(changes.keys() - {field.name for field in fields(options)}):
            raise UsageError(f"{unknown[0]}: no such option; {nearest(unknown[0], [f.name for f in fields(options)])}")
        return replace(options, **changes)


@dataclass(frozen=True)
class Frame:
    """A step of generating: the stage, the progress, and the canvases so far."""

    stage: str  # "coarse" or "refine"
    done: int
    total: int
    draw: Callable[[], Float[Tensor, "b h h"]]  # called when `canvas` is read, so that strokes are only rendered then
    strokes: Callable[[], list[list[np.ndarray]]] | None = None  # in [-1, 1], if the coarse stage draws strokes
    shares: tuple[float, ...] | None = None  # the share of each of these sketches that is done; 1: it is complete

    @property
    def canvas(self) -> Float[Tensor, "b h h"]:
        """The canvases so far. In the coarse stage they are still noisy.

        The refiner modifies them further, so copy what you keep.
        """
        return self.draw()


@dataclass(frozen=True, eq=False)
class Generated:
    """New sketches as fields, with how each was chosen among its candidates."""

    canvas: Float[Tensor, "b h h"]
    chosen: Int[Tensor, " b"]  # the number of each sketch among all candidates
    probability: Float[Tensor, " b"] | None  # the classifier's, of its class; None if each had one candidate
    strokes: tuple[tuple[np.ndarray, ...], ...] | None = (
        None  # the strokes of each sketch, in pixels, if the coarse stage draws strokes and they are not refined
    )


def check_number(name: str, value: object, least: int, most: int | None = None) -> int:
    """A whole number, which may be one of numpy's, as an int.

    Raises UsageError for anything else, and for a number below `least` or above `most`.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):  # type: ignore[operator]
        upwards = "on" if most is None else f"to {most}"
        raise UsageError(f"{name} = {value!r}: take a whole number from {least} {upwards}")
    return int(value)  # type: ignore[call-overload]


def check_seed(seed: object) -> int:
    """A seed as an int. Raises UsageError for anything but a whole number below SEEDS."""
    return check_number("seed", seed, 0, SEEDS - 1)


def check_real(name: str, value: object, valid: Callable[[float], bool], take: str) -> None:
    """Raises UsageError for anything but a real number that is `valid`, and says which to `take`."""
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not valid(value):  # type: ignore[arg-type]
        raise UsageError(f"{name} = {value!r}: take {take}")


def candidate_seeds(seeds: Sequence[int], tries: int) -> list[int]:
    """`tries` seeds for each seed: the seed itself, and then seeds outside the range that users can give."""
    return [seed + (other << 34) for seed in seeds for other in range(tries)]


def generator(seed: int, stage: int) -> torch.Generator:
    """The random numbers for one stage of one sketch.

    Each stage has its own generator, so that stages do not affect each other.
    """
    mixed = np.random.SeedSequence([seed, stage]).generate_state(1)  # torch uses only 32 bits of a seed
    return torch.Generator().manual_seed(int(mixed[0]))
