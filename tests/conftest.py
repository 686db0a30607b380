"""What every test gets: one thread, checked shapes, and the drawings."""

import os
from collections.abc import Iterator

# Two workers on two cores are faster than one with two threads. torch reads this when it is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

# From here on every annotation of visketch is checked when a function is called: the types, the shapes, and that one
# letter means one size within a call. It must come before anything imports visketch.
install_import_hook("visketch", "beartype.beartype")

import drawings  # noqa: E402
import pytest  # noqa: E402

import visketch.model  # noqa: E402
from visketch.config import SketchConfig  # noqa: E402
from visketch.geometry.sketch import Sketch  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def single_precision() -> Iterator[None]:
    """On every machine alike, for random weights magnify rounding. Bfloat16 has tests of its own, which ask for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visketch.model, "multiplies_bfloat16", lambda: False)
        yield


@pytest.fixture(scope="session")
def sketch_config() -> SketchConfig:
    """The small preset's canvas: 128 pixels, depth 2, tiles of 32."""
    return SketchConfig()


@pytest.fixture(scope="session")
def cat() -> Sketch:
    """One cat, in strokes."""
    return drawings.draw("cat")


@pytest.fixture(scope="session", params=drawings.SUBJECTS)
def each_drawing(request: pytest.FixtureRequest) -> Sketch:
    """One drawing of every subject: a test that takes it runs once for each."""
    return drawings.draw(request.param)


@pytest.fixture(scope="session")
def sketches() -> list[Sketch]:
    """Sixteen different drawings, two of every subject, labelled."""
    return drawings.draw_many(16)
