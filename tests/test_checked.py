"""The tests check the types and the shapes that functions declare."""

from collections.abc import Iterator

import checked
import jaxtyping
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from visketch import quadtree


def first(one: Float[Tensor, " a"], other: Float[Tensor, " a"], times: int = 1) -> Float[Tensor, " a"]:
    return one.repeat(times) + 0 * other.sum()


def each(one: Float[Tensor, " a"], other: Float[Tensor, " a"]) -> Iterator[Tensor]:
    yield from (one, other)


def quoted(one: "Float[Tensor, ' a']", other: "Float[Tensor, ' a']") -> "int":
    return len(one)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="canvas"):
        quadtree.information(torch.zeros(2, 32, 31), 1, 0.1)
    assert quadtree.information(torch.zeros(2, 32, 32), 1, 0.1).ndim == 2


@pytest.mark.parametrize("function", [first, each, quoted])
def test_a_letter_means_one_size_among_the_arguments(function) -> None:
    call = checked.checked(function, checked.when_called)
    for size in (2, 3):
        call(torch.zeros(size), torch.ones(size))
    with pytest.raises(jaxtyping.TypeCheckError, match="other"):
        call(torch.zeros(2), torch.ones(3))


def test_and_in_the_result() -> None:
    call = checked.checked(first, checked.when_called)
    with pytest.raises(jaxtyping.TypeCheckError, match="return"):
        call(torch.zeros(2), torch.ones(2), times=2)
    with pytest.raises(jaxtyping.TypeCheckError, match="times"):
        call(torch.zeros(2), torch.ones(2), times="many")
    assert len(call(torch.zeros(2), torch.ones(2))) == 2
