"""Setup for all tests: one thread, checked shapes, and drawings as fixtures."""

import os
from collections.abc import Iterator

# Two workers on two cores are faster than one with two threads. torch reads this when it is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import checked

# From here on, every call of a function of visketch checks its annotations: the types, the shapes, and that a letter
# means the same size everywhere within the call. This must precede every import of visketch.
checked.install()

import drawings  # noqa: E402
import pytest  # noqa: E402

import visketch.model  # noqa: E402
from visketch.config import SketchConfig  # noqa: E402
from visketch.geometry.sketch import Sketch  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def single_precision() -> Iterator[None]:
    """Use single precision on every machine, since random weights magnify rounding. Tests of bfloat16 enable it
    themselves.
    """
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
    """One drawing of every subject. A test that takes this fixture runs once for each."""
    return drawings.draw(request.param)


@pytest.fixture(scope="session")
def sketches() -> list[Sketch]:
    """Sixteen different drawings, two of every subject, labelled."""
    return drawings.draw_many(16)


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that share a fixture of their module in one process, so that the fixture is set up only once."""
    for item in items:
        module = item.nodeid.partition("::")[0]
        found = item._fixtureinfo.name2fixturedefs.values() if isinstance(item, pytest.Function) else ()
        if any(one.scope != "function" and one.baseid.startswith(module) for defs in found for one in defs):
            item.add_marker(pytest.mark.xdist_group(module))
