"""The tests check the shapes that functions declare."""

import jaxtyping
import pytest
import torch

from visketch import quadtree


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="canvas"):
        quadtree.information(torch.zeros(2, 32, 31), 1, 0.1)
    assert quadtree.information(torch.zeros(2, 32, 32), 1, 0.1).ndim == 2
