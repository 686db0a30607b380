"""Filled parts of drawings, in SVG pages and in their pictures: those without an outline become their edges, and a tile
behind the drawing is paper.
"""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visketch.data import image, ink, resvg, svg, svg_page
from visketch.data.read import read

FILLED = {
    "a coloured roof on outlined walls": (
        '<path d="M10 40h80v45H10z" fill="none" stroke="#000" stroke-width="4"/>'
        '<path d="M10 40 50 8 90 40z" fill="#a00"/><rect x="42" y="60" width="16" height="25" fill="#630"/>',
        3,
        [(30, 24), (70, 24), (50, 60)],
    ),
    "black wheels of a red car": (
        '<path d="M10 70V55L28 52 38 35H68L78 52 92 55V70Z" fill="#e33" stroke="#222" stroke-width="3"/>'
        '<circle cx="30" cy="70" r="10" fill="#222"/><circle cx="75" cy="70" r="10" fill="#222"/>',
        3,
        [(30, 80), (75, 80)],
    ),
    "black eyes of a yellow face": (
        '<circle cx="50" cy="50" r="39" fill="#fd6" stroke="#232020" stroke-width="1.6"/>'
        '<ellipse cx="36" cy="40" rx="4.3" ry="5.9" fill="#232020"/><ellipse cx="64" cy="40" rx="4.3" ry="5.9" '
        'fill="#232020"/><path d="M30 60q20 26 40 0" fill="none" stroke="#232020" stroke-width="1.6"/>',
        4,
        [(36, 34), (64, 34)],
    ),
}


@pytest.mark.parametrize("name", FILLED)
def test_filled_parts_beside_outlined_ones_are_outlines(tmp_path, name: str) -> None:
    """In the page itself and in its picture. Each place is on the edge of a filled part without an outline."""
    shapes, count, places = FILLED[name]
    path = tmp_path / "a.svg"
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">{shapes}</svg>')
    assert len(next(read(path)).strokes or ()) == count
    picture = resvg.draw(svg_page.parsed(path), 100.0, 100.0, 400)
    assert picture is not None
    picture.save(tmp_path / "clear.png")
    svg.on_paper(picture, "white").save(tmp_path / "white.png")
    for other in ("clear.png", "white.png"):
        ink = next(read(tmp_path / other)).pixels
        assert ink is not None
        for x, y in places:
            near = ink[4 * y - 8 : 4 * y + 9, 4 * x - 8 : 4 * x + 9]
            assert near.any(), (other, x, y)
            assert not near.all(), (other, x, y)


@pytest.mark.parametrize("face", ["#fcea2b", "#fd6", "#fc9", "#b98858", "#ccc"])
def test_a_coloured_shape_without_an_outline_is_on_white_paper(tmp_path, face: str) -> None:
    """Its transparent picture is read like that on white: a bright face is not the hole in a black page."""
    path = tmp_path / "a.svg"
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><circle cx="50" cy="50" r="40" fill="{face}"/>'
        '<g fill="#3b2410"><circle cx="35" cy="42" r="6"/><circle cx="65" cy="42" r="6"/></g></svg>'
    )
    picture = resvg.draw(svg_page.parsed(path), 100.0, 100.0, 400)
    assert picture is not None
    picture.save(tmp_path / "clear.png")
    svg.on_paper(picture, "white").save(tmp_path / "white.png")
    clear, white = (next(read(tmp_path / name)) for name in ("clear.png", "white.png"))
    assert not clear.about["inverted"]
    assert np.array_equal(clear.pixels, white.pixels)


@pytest.mark.parametrize(("tile", "pen"), [("#0b1020", "#fff"), ("#ffd", "#222")])
def test_the_corners_of_a_rounded_tile_are_no_lines(tmp_path, tile: str, pen: str) -> None:
    lines = '<path d="M30 110L60 60H140L170 110V140H30Z"/><circle cx="65" cy="140" r="16"/>'
    (tmp_path / "a.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200"><rect width="200" height="200" rx="20" '
        f'fill="{tile}"/><g stroke="{pen}" stroke-width="6" fill="none">{lines}</g></svg>'
    )
    assert len(next(read(tmp_path / "a.svg")).strokes or ()) == 2
    picture = resvg.draw(svg_page.parsed(tmp_path / "a.svg"), 200.0, 200.0, 400)
    assert picture is not None
    picture.save(tmp_path / "a.png")
    pixels = next(read(tmp_path / "a.png")).pixels
    assert pixels is not None
    y, x = np.nonzero(pixels)
    assert (x.min() > 40, x.max() < 360, y.min() > 100, y.max() < 320) == (True,) * 4


def test_discs_without_an_outline_beside_lines_are_whole_circles() -> None:
    """The colours of a palette below a drawing. They became four short lines each."""
    page = Image.new("RGB", (1080, 2160), "white")
    pen = ImageDraw.Draw(page)
    pen.line([(140, 1080), (540, 700), (940, 1080), (540, 1500), (140, 1080)], fill="black", width=12, joint="curve")
    for place, colour in enumerate([(54, 130, 86), (170, 85, 34), (95, 75, 150), (105, 55, 85), (40, 110, 20)]):
        pen.ellipse((80 + 200 * place, 1960, 200 + 200 * place, 2080), fill=colour)
    found = ink.find(np.asarray(page.resize((540, 1080), Image.Resampling.LANCZOS))).pixels
    for place in range(5):
        middle = 70 + 100 * place
        around = [(middle + 28 * np.cos(turn), 1010 + 28 * np.sin(turn)) for turn in np.linspace(0, 6.2, 24)]
        assert all(found[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].any() for x, y in around)
        assert not found[1002:1018, middle - 8 : middle + 8].any()


def test_what_is_cut_out_closely_is_drawn_to_its_edge() -> None:
    """A house of one colour that touches all sides of a transparent picture. Its floor was no line."""
    house = Image.new("RGBA", (120, 120), (0, 0, 0, 0))
    ImageDraw.Draw(house).polygon([(0, 60), (60, 0), (119, 60), (119, 119), (0, 119)], fill=(200, 120, 60, 255))
    found = image.understand(house)[0].pixels
    assert found.shape == (120, 120)
    assert all(found[-4:, x].any() for x in range(5, 115))
    assert all(found[y, :4].any() and found[y, -4:].any() for y in range(65, 115))
    assert not found[70:110, 20:100].any()


def test_a_page_of_too_many_points_is_read_from_its_rendering(tmp_path) -> None:
    turns = np.linspace(0, 2 * np.pi, 30_000)
    points = " ".join(f"{50 + 40 * np.cos(turn):.3f},{50 + 40 * np.sin(turn):.3f}" for turn in turns)
    (tmp_path / "a.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
        f'<polyline points="{points}" fill="none" stroke="#000" stroke-width="2"/></svg>'
    )
    line = np.concatenate(next(read(tmp_path / "a.svg")).lines())
    assert len(line) < 2000
    assert np.allclose(np.ptp(line, axis=0), np.ptp(line, axis=0).max(), rtol=0.05)
