"""Whatever bytes come in, the result is sketches that can be drawn, or errors of one line. `bench/fuzz.py` runs for
longer.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visketch.config import SketchConfig
from visketch.data import ink
from visketch.data.read import read
from visketch.errors import VisketchError
from visketch.geometry import sdf

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import fuzz

SEEDS = fuzz.seeds()
SHAPE = SketchConfig(canvas=32, depth=1)
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def attempt(path: Path) -> None:
    """Read everything and draw it. The only exceptions allowed are errors of one line that name the file."""
    problems: list[VisketchError] = []
    for sketch in read(path, problems.append):
        try:
            assert sdf.render(sketch, SHAPE).shape == (32, 32)
        except VisketchError as error:
            problems.append(error)
    for problem in problems:
        assert "\n" not in str(problem)
        assert str(problem).startswith(str(path))


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_are_whole(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(SEEDS[name])
    assert list(read(tmp_path / name))


@pytest.mark.parametrize("name", SEEDS)
@quick
@given(seed=st.integers(0, 2**32 - 1))
def test_mutants(name: str, seed: int, tmp_path: Path) -> None:
    content = fuzz.mutant(list(SEEDS.values()), SEEDS[name], np.random.default_rng(seed))
    (tmp_path / name).write_bytes(content)
    attempt(tmp_path / name)


@quick
@given(content=st.binary(min_size=1, max_size=300), suffix=st.sampled_from([Path(name).suffix for name in SEEDS]))
def test_any_bytes(content: bytes, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"any{suffix}").write_bytes(content)
    attempt(tmp_path / f"any{suffix}")


@quick
@given(
    text=st.text(st.sampled_from("MmLlHhVvCcSsQqTtAaZz0123456789.,-+e \n"), max_size=80),
    transform=st.text(st.sampled_from("rotateskwXYmtrixnl()0123456789.,-e "), max_size=40),
)
def test_any_path_of_svg(text: str, transform: str, tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(f'<svg><path d="M1 1L2 2{text}" transform="{transform}" stroke="red"/></svg>')
    attempt(tmp_path / "a.svg")


@quick
@given(drawing=st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
                            lambda inner: st.lists(inner, max_size=4), max_leaves=30))  # fmt: skip
def test_any_json_for_a_drawing(drawing: object, tmp_path: Path) -> None:
    import json

    (tmp_path / "a.ndjson").write_text(json.dumps({"drawing": drawing}))
    attempt(tmp_path / "a.ndjson")


@quick
@given(
    seed=st.integers(0, 2**32 - 1), high=st.integers(1, 40), wide=st.integers(1, 40), channels=st.sampled_from([1, 3])
)
def test_any_colours(seed: int, high: int, wide: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, rng.integers(2, 257), (high, wide, channels)).astype(np.uint8)
    found = ink.find(colours)
    assert found.pixels.shape == (high, wide)
    assert found.pen >= 0


class TestHostileSvg:
    """Nothing outside the file is read, and nothing small becomes large."""

    @pytest.mark.parametrize(
        "body",
        [
            '<image href="{secret}"/><path d="M0 0L1 1" stroke="red"/>',
            '<use href="{secret}#a"/><path d="M0 0L1 1" stroke="red"/>',
            '<style>@import url("{secret}");</style><path d="M0 0L1 1" stroke="red"/>',
            '<script>while(1);</script><script href="{secret}"/><path d="M0 0L1 1" stroke="red" onload="x()"/>',
        ],
    )
    def test_nothing_else_is_opened(self, body: str, tmp_path: Path, monkeypatch) -> None:
        import socket

        (tmp_path / "secret.svg").write_text('<svg><path id="a" d="M0 0L900 1" stroke="red"/></svg>')
        path = tmp_path / "a.svg"
        path.write_text(f"<svg>{body.format(secret=(tmp_path / 'secret.svg').as_uri())}</svg>")

        def refuse(*_: object) -> None:
            raise AssertionError("the network")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        opened: list[str] = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        (sketch,) = read(path)
        assert max(float(line.max()) for line in sketch.strokes or ()) == 1
        assert not [name for name in opened if "secret" in name]

    @pytest.mark.parametrize("text", ["<svg>" + "<g/>" * 150_000 + "</svg>", "<svg>" + "<g>" * 100_000, "<g/>" * 10**6])
    def test_a_million_nodes(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "a.svg").write_text(text)
        with pytest.raises(VisketchError, match=r"simplify|not complete"):
            list(read(tmp_path / "a.svg"))
