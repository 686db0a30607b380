"""Drawings as people really have them: coloured in, silhouettes, grain, pages with invisible parts, several on one
page.
"""

import gzip
import re

import numpy as np
import pytest
from drawings import SUBJECTS, draw
from PIL import Image, ImageDraw
from scipy import ndimage

from visketch.data import ink, svg, svg_page, write
from visketch.data.read import expand, read
from visketch.errors import VisketchError
from visketch.evaluate import styles
from visketch.geometry import sketch as strokes
from visketch.geometry import trace
from visketch.geometry.separate import separate
from visketch.geometry.sketch import Sketch

SIDE, PEN = 400, 6
FILLS = {
    "orange": (250, 150, 40),
    "red": (220, 40, 40),
    "brown": (130, 80, 45),
    "blue": (40, 60, 160),
    "grey": (120,) * 3,
}


def lines_of(label: str, seed: int = 0) -> list[list[tuple[float, float]]]:
    fitted = strokes.fit(draw(label, seed).lines(), 0.1)
    return [[(float(x), float(y)) for x, y in line * SIDE] for line in fitted]


def inked(label: str, seed: int = 0) -> np.ndarray:
    page = Image.new("L", (SIDE, SIDE), 0)
    for line in lines_of(label, seed):
        ImageDraw.Draw(page).line(line, fill=255, width=PEN, joint="curve")
    return np.asarray(page) > 0


def within(pixels: np.ndarray) -> np.ndarray:
    return ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(pixels, 9), iterations=4))[9:-9, 9:-9]


def same(found: np.ndarray, true: np.ndarray, near: int = 3) -> float:
    """The F1 of two masks, within a few pixels."""
    precision = (found & ndimage.binary_dilation(true, iterations=near)).sum() / max(found.sum(), 1)
    recall = (true & ndimage.binary_dilation(found, iterations=near)).sum() / max(true.sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def found_in(page: np.ndarray) -> np.ndarray:
    return ink.find(np.clip(page, 0, 255).astype(np.uint8)).pixels


@pytest.mark.parametrize("texture", ["flat", "halves", "gradient", "crayon"])
@pytest.mark.parametrize("label", ["cat", "fish", "house"])
def test_ink_is_the_dark_line_whatever_the_fill(label: str, texture: str) -> None:
    pixels = inked(label)
    x = np.mgrid[0:SIDE, 0:SIDE][1][..., None] / SIDE
    for colour, rgb in FILLS.items():
        fill = np.full((SIDE, SIDE, 3), rgb, float)
        if texture == "halves":
            fill = np.where(x < 0.5, fill, (90, 180, 90))
        if texture == "gradient":
            fill = fill + x * (np.array([250, 220, 60]) - fill)
        if texture == "crayon":
            rough = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(SIDE, SIDE)), 1.2)
            fill = 255 + (0.75 + 1.2 * rough).clip(0, 1)[..., None] * (fill - 255)
        page = np.where((within(pixels) & ~pixels)[..., None], fill, 255.0)
        page[pixels] = 0
        assert same(found_in(page), pixels) > (0.85 if texture == "crayon" else 0.95), colour


@pytest.mark.parametrize("pen", [20, 24, 28])
def test_a_thick_pen_that_closes_its_own_gaps_leaves_lines(pen: int) -> None:
    """A zigzag whose turns merge into a blob, beside a line without turns. Neither is replaced by an outline."""
    page = Image.new("L", (SIDE, SIDE), 255)
    zigzag = [(60 + pen * 0.6 * turn, 60 + 60 * (turn % 2)) for turn in range(7)]
    for line in (zigzag, [(60, 90), (60, 340), (340, 340), (340, 60), (240, 60)]):
        ImageDraw.Draw(page).line(line, fill=0, width=pen, joint="curve")
    pixels = np.asarray(page) < 128
    assert same(found_in(np.asarray(page)[..., None]), pixels, near=1) > 0.98


@pytest.mark.parametrize("side", [100, 400, 1500])
@pytest.mark.parametrize("paper", [(255, 255, 255), (250, 235, 200)])
@pytest.mark.parametrize("label", ["cat", "fish", "house"])
def test_a_silhouette_is_its_outline(label: str, paper: tuple[int, int, int], side: int) -> None:
    solid = within(inked(label))
    page = np.where(solid[..., None], (30, 40, 90), paper).astype(np.uint8)
    picture = Image.fromarray(page).resize((side, side), Image.Resampling.LANCZOS)
    found = np.asarray(Image.fromarray(ink.find(np.asarray(picture)).pixels).resize((SIDE, SIDE)))
    edge = solid & ~ndimage.binary_erosion(solid, iterations=3)
    middle = ndimage.binary_erosion(solid, iterations=20)
    assert same(found, edge, near=5) > 0.85
    assert not (found & middle).any()


@pytest.mark.parametrize("ground", [0, 40])
@pytest.mark.parametrize("label", ["cat", "fish", "circle"])
def test_a_light_silhouette_on_an_even_dark_ground_is_no_sheet_of_paper(label: str, ground: int) -> None:
    solid = within(inked(label))
    found = found_in(np.where(solid, 250, ground)[..., None])
    assert same(found, solid & ~ndimage.binary_erosion(solid, iterations=3), near=5) > 0.85


@pytest.mark.parametrize("sigma", [4, 9, 14])
def test_the_grain_of_kraft_paper_is_no_ink(sigma: int) -> None:
    pixels = inked("cat")
    grain = np.random.default_rng(1).normal(0, sigma, (SIDE, SIDE, 3))
    page = np.array([176, 137, 95]) - 86 * pixels[..., None] + grain
    assert same(found_in(page), pixels) > 0.9


@pytest.mark.parametrize("dark", [190, 204, 235])
def test_the_squares_behind_what_is_transparent_are_paper(dark: int) -> None:
    pixels = inked("cat")
    y, x = np.mgrid[0:SIDE, 0:SIDE] // 10
    page = np.where((x + y) % 2, dark, 255)[..., None] * np.ones(3)
    page[pixels] = 0
    assert same(found_in(page), pixels) > 0.95


@pytest.mark.parametrize("pen", [0, 255])
def test_dark_squares_are_paper_too(pen: int) -> None:
    pixels = inked("cat")
    y, x = np.mgrid[0:SIDE, 0:SIDE] // 10
    page = np.where((x + y) % 2, 102, 153)[..., None] * np.ones(3)
    page[pixels] = pen
    assert same(found_in(page), pixels) > 0.95


@pytest.mark.parametrize("turn", range(4))
def test_a_dark_half_is_left_out(turn: int) -> None:
    pixels = inked("house")
    page = np.full((SIDE, 2 * SIDE, 3), 45.0)
    page[:, SIDE:] = np.where(pixels, 0, 255)[..., None]
    found = np.rot90(found_in(np.rot90(page, turn)), -turn)
    assert same(found[:, SIDE:], pixels) > 0.9
    assert not found[:, : SIDE - 9].any()


def test_no_picture_with_something_on_it_is_said_to_be_blank(tmp_path) -> None:
    rng = np.random.default_rng(0)
    for number, size in enumerate(((40, 200), (200, 40), (90, 90))):
        page = np.where(rng.random(size) < 0.5, 0, 255).astype(np.uint8)
        path = tmp_path / f"{number}.png"
        Image.fromarray(page).save(path)
        problems: list[VisketchError] = []
        list(read(path, problems.append))
        assert not any("blank" in str(problem) for problem in problems)


@pytest.mark.parametrize(("paper", "pen"), [(255, 243), (250, 230), (20, 35), (128, 138)])
def test_a_faint_line_on_even_paper_is_ink(paper: int, pen: int) -> None:
    pixels = inked("cat")
    assert same(found_in(np.where(pixels, pen, paper)[..., None] * np.ones(3)), pixels) > 0.95


def test_the_faint_grain_and_light_of_blank_paper_are_no_ink() -> None:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    grain = np.random.default_rng(0).normal(0, 2, (SIDE, SIDE))
    for page in (240 + grain, 240 - x / 20, 240 - (x + y) / 50 + grain):
        assert not found_in(page[..., None]).any()


# SVG


def page_of(label: str, under: str = "") -> str:
    paths = "".join("<path d='M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line) + "'/>" for line in lines_of(label))
    drawn = f'<g fill="none" stroke="#000" stroke-width="{PEN}">{paths}</g>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}">{under}{drawn}</svg>'


HIDDEN = {
    "no opacity": '<path stroke="red" stroke-opacity="0" d="M0 0L400 400"/>',
    "a clear group": '<g opacity="0"><path stroke="red" d="M0 0L400 400"/></g>',
    "transparent": '<path stroke="transparent" d="M0 0L400 400"/>',
    "no width": '<path stroke="red" stroke-width="0" d="M0 0L400 400"/>',
    "of the paper's colour": '<path stroke="#fff" d="M0 390H400"/>',
    "off the page": '<path stroke="red" d="M-900 0V900M900 900H2000"/>',
    "clipped": '<clipPath id="c"><path d="M0 0H1V1"/></clipPath><path clip-path="url(#c)" stroke="red" d="M0 9H400"/>',
    "by a style sheet": "<style>.x{stroke:none;fill:none}</style><path class='x' d='M0 390H400'/>",
    "a frame": '<rect x="1" y="1" width="398" height="398" fill="none" stroke="#000" stroke-width="2"/>',
    "a grid": '<path stroke="#ddd" d="' + "".join(f"M{n} 0V400M0 {n}H400" for n in range(8, 400, 32)) + '"/>',
}


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("label", ["cat", "house"])
def test_what_is_not_to_be_seen_on_a_page_is_no_stroke(tmp_path, label: str, hidden: str) -> None:
    (tmp_path / "a.svg").write_text(page_of(label, under=HIDDEN[hidden]))
    (tmp_path / "plain.svg").write_text(page_of(label))
    found, plain = next(read(tmp_path / "a.svg")), next(read(tmp_path / "plain.svg"))
    assert found.strokes is not None
    assert plain.strokes is not None
    assert len(found.strokes) == len(plain.strokes) == len(lines_of(label))
    for one, other in zip(found.strokes, plain.strokes, strict=True):
        assert np.abs(one - other).max() < 1e-3


def test_a_hidden_line_along_a_visible_one_is_no_stroke(tmp_path) -> None:
    shown, hidden = '<path d="M60 200H340"/>', '<path opacity="0" d="M10 202L390 201"/>'
    drawn = f'<g fill="none" stroke="#000" stroke-width="8">{shown}{hidden}</g>'
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400">{drawn}</svg>')
    (stroke,) = next(read(tmp_path / "a.svg")).strokes or ()
    assert stroke.tolist() == [[60, 200], [340, 200]]


SPELLINGS = {
    "a symbol": ("<g", '<use href="#s"/><symbol id="s"><g', "</g>", "</g></symbol>"),
    "a variable": ('stroke="#000"', 'style="--ink: #123; stroke: var(--ink)"', "", ""),
    "a value without its variable": ('stroke="#000"', 'stroke="var(--no, rgb(1, 2, 3))"', "", ""),
    "a newer colour": ('stroke="#000"', 'stroke="oklch(40% 0.2 20)"', "", ""),
    "an angle in degrees": ('stroke="#000"', 'style="stroke: hsl(0.1turn 80% 30% / 90%)"', "", ""),
    "a colour that is none": ('stroke="#000"', 'stroke="rgb(1, 2)" style="stroke: #000"', "", ""),
    "light and dark": ('stroke="#000"', 'style="stroke: light-dark(rgb(0, 0, 9), var(--dark, #fff))"', "", ""),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_page_is_spelled_in_many_ways(tmp_path, spelling: str) -> None:
    one, other, end, other_end = SPELLINGS[spelling]
    page = page_of("cat").replace(one, other).replace(end or "</g>", other_end or "</g>")
    (tmp_path / "a.svg").write_text(page)
    assert len(next(read(tmp_path / "a.svg")).strokes or ()) == len(lines_of("cat"))


def lines_on(tmp_path, drawn: str, size: str = "") -> list[list[list[float]]]:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" {size}>'
    (tmp_path / "a.svg").write_text(f"{head}{drawn}</svg>")
    found = next(read(tmp_path / "a.svg"))
    assert found.strokes is not None
    return [np.round(stroke, 2).tolist() for stroke in found.strokes]


MOVES = {
    "translate(10px, 1in)": "translate(10,96)",
    "translateX(-10px) translateY(30.5px)": "translate(-10,0) translate(0,30.5)",
    "scale(.5) rotate(45deg)": "scale(.5) rotate(45)",
    "scaleX(.5) skewY(0.1turn)": "scale(.5,1) skewY(36)",
    "matrix(.5, .25, 0, .5, 9, 8)": "matrix(.5 .25 0 .5 9 8)",
    "none": "",
}
LINE = '<path d="M60 200H340L200 90" fill="none" stroke="#000" stroke-width="4" {}/>'


@pytest.mark.parametrize("css", MOVES)
@pytest.mark.parametrize("form", ["attribute", "style", "sheet"])
def test_a_transform_is_an_attribute_or_a_style(tmp_path, css: str, form: str) -> None:
    expected = lines_on(tmp_path, LINE.format(f'transform="{MOVES[css]}"'))
    if form == "attribute":  # which a style overrides
        given = LINE.format(f'class="a" transform="scale(9)" style="transform: {css}"')
    elif form == "style":
        given = LINE.format(f'style="fill: none; transform:{css}; opacity: 1"')
    else:
        rules = f"path.a:hover {{ transform: scale(3) }} .a {{ transform: scale(2) }} g > .a {{ transform: {css} }}"
        rules += "@media print { .a { transform: none } }"
        given = "<style>" + rules + "</style><g>" + LINE.format('class="a"') + "</g>"
    assert lines_on(tmp_path, given) == expected


@pytest.mark.parametrize(
    ("origin", "x", "y"),
    [("50% 100px", 200, 100), ("right", 400, 200), ("bottom center", 200, 400), ("7px 8px 0", 7, 8)],
)
def test_the_origin_of_a_transform(tmp_path, origin: str, x: int, y: int) -> None:
    given = LINE.format(f'style="transform-origin: {origin}; transform: scale(0.5)"')
    expected = LINE.format(f'transform="translate({x} {y}) scale(0.5) translate({-x} {-y})"')
    assert lines_on(tmp_path, given) == lines_on(tmp_path, expected)


@pytest.mark.parametrize(
    "style",
    [
        "translate(10%)",
        "rotate3d(1, 1, 1, 45deg)",
        "scale(2, calc(1 + 1))",
        "scale(2); transform-box: fill-box",
        "translate(2em)",
        "sideways",
        "scale(2); transform-origin: 2em up",
        "scale(2); transform-origin: up",
    ],
)
def test_a_transform_that_cannot_be_read_is_an_error(tmp_path, style: str) -> None:
    line = f'<path d="M0 0L5 5" style="transform:{style}"/>'
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{line}</svg>')
    problems: list[VisketchError] = []
    assert not list(read(tmp_path / "a.svg", problems.append))
    assert "apply the transforms" in str(problems[0])


@pytest.mark.parametrize("size", ["", 'width="800" height="800"', 'width="10mm"'])
def test_the_width_of_a_line_that_is_not_scaled(tmp_path, size: str) -> None:
    """It is in CSS pixels, whatever the transforms."""
    one = "M60 200H340L200 90"
    pages = [
        f'<path d="{one}" fill="none" stroke="#000" stroke-width="4" vector-effect="non-scaling-stroke"/>',
        f'<g stroke-width="3pt" transform="scale(20)"><path class="a" transform="scale(.05)" d="{one}"/></g>'
        "<style>.a{vector-effect:non-scaling-stroke;stroke:#000;fill:none}</style>",
    ]
    pixel = 1.0 if not size else 0.5 if "800" in size else 400 / (10 * 96 / 25.4)
    for page in pages:
        assert lines_on(tmp_path, page, size) == [[[60, 200], [340, 200], [200, 90]]]
        assert next(read(tmp_path / "a.svg")).about["pen"] == pytest.approx(4 * pixel, rel=1e-4)


def test_newer_colours_are_those_of_the_page(tmp_path) -> None:
    """Half-transparent white on white, which resvg would draw black, is not seen."""
    page = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">
        <rect width="30" height="30" fill="rgb(255 255 255 / 50%)"/>
        <rect width="9" height="9" fill="RGB(100% 99% 99%)"/>
        <path d="M5 50H95" stroke="color(display-p3 0.2 0.4 0.1)" stroke-width="3"/></svg>"""
    (tmp_path / "a.svg").write_text(page)
    (stroke,) = next(read(tmp_path / "a.svg")).strokes or ()
    assert stroke.tolist() == [[5, 50], [95, 50]]


@pytest.mark.parametrize("width", ["0.001", "1e-6"])
def test_hairlines_for_a_laser_cutter_are_lines(tmp_path, width: str) -> None:
    (tmp_path / "a.svg").write_text(page_of("cat").replace(f'stroke-width="{PEN}"', f'stroke-width="{width}"'))
    assert len(next(read(tmp_path / "a.svg")).strokes or ()) == len(lines_of("cat"))
    assert next(read(tmp_path / "a.svg")).page is not None
    traced, page = trace.on_page(next(read(tmp_path / "a.svg")))
    again = write.svg([(traced.strokes, traced.pen)], *page.box[2:], {}, page)
    assert float(re.findall(r'stroke-width="([^"]+)"', again)[0]) == pytest.approx(float(width))
    assert len(again) < 20_000, "it is not sampled as finely as its pen"
    for colour in ("none", "#fff"):
        (tmp_path / "b.svg").write_text((tmp_path / "a.svg").read_text().replace("#000", colour))
        with pytest.raises(VisketchError, match="blank"):
            next(read(tmp_path / "b.svg"))


@pytest.mark.parametrize(("wide", "width", "seen"), [(1, "0.02", True), (1000, "20", False)])
def test_how_thin_a_line_is_depends_on_the_page(tmp_path, wide: int, width: str, seen: bool) -> None:
    """A hundredth of a pixel is thin. A line that is wide and hidden is not a hairline."""
    cover = "" if seen else '<rect width="1000" height="1000" fill="#fff"/>'
    line = f'<path fill="none" stroke="#00f" stroke-width="{width}" d="M100 100L900 500V800"/>'
    size = f'width="{wide}" height="{wide}" viewBox="0 0 1000 1000"'
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{line}{cover}</svg>')
    found: list[VisketchError] = []
    assert len(list(read(tmp_path / "a.svg", found.append))) == seen
    assert [" blank," in str(error) for error in found] == [True] * (not seen)


def test_variables_of_variables_do_not_grow_without_limit(tmp_path) -> None:
    style = "".join(f"--{n}:{f'var(--{n + 1})' * 5};" for n in range(9))
    line = f'<path style="{style} stroke: {"var(--0)" * 20}" d="M0 0L9 9"/>'
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{line}</svg>')
    problems: list[VisketchError] = []
    list(read(tmp_path / "a.svg", problems.append))
    assert all("\n" not in str(problem) for problem in problems)
    root = svg_page.parsed(tmp_path / "a.svg")
    assert max(len(text) for element in root.iter() for text in element.attrib.values()) < 9e3


@pytest.mark.parametrize("name", ["a.svgz", "a.svg.gz"])
def test_a_compressed_page_is_a_page(tmp_path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(page_of("house").encode()))
    assert expand([tmp_path]) == [tmp_path / name]
    assert len(next(read(tmp_path / name)).strokes or ()) == len(lines_of("house"))


def test_what_lines_do_not_account_for_is_read_from_the_rendering(tmp_path) -> None:
    """A line that is drawn as an area gives one line through its middle, and not two lines beside it."""
    (tmp_path / "a.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><path d="M10 40H90V46H16V90H10Z"/></svg>'
    )
    assert next(read(tmp_path / "a.svg")).pixels is not None


def test_the_entities_of_illustrator_are_harmless(tmp_path) -> None:
    page = page_of("cat").replace('"http://www.w3.org/2000/svg"', '"&ns;"')
    page = f'<!DOCTYPE svg [<!ENTITY ns "http://www.w3.org/2000/svg">]>{page}'
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / "a.svg").write_text(f'<?xml version="1.0" encoding="{encoding}"?>{page}', encoding)
        assert len(next(read(tmp_path / "a.svg")).strokes or ()) == len(lines_of("cat"))


@pytest.mark.parametrize("depth", [100, 800, 2400])
def test_a_page_too_deep_for_the_renderer_is_read_or_refused(tmp_path, depth: int) -> None:
    nested = '<g opacity="0.9">' * depth + '<path stroke="red" d="M0 0L9 9"/>' + "</g>" * depth
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{nested}</svg>')
    problems: list[VisketchError] = []
    assert list(read(tmp_path / "a.svg", problems.append)) or "simplify" in str(problems[0])


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_trace_lies_over_its_picture(tmp_path, name: str) -> None:
    page = Image.new("L", (3000, 2000), 255)
    ImageDraw.Draw(page).line([(300, 300), (2700, 1700)], fill=0, width=14)
    page.save(tmp_path / name)
    drawn, place = trace.on_page(next(read(tmp_path / name)))
    assert place.box == (0, 0, 3000, 2000)
    assert np.abs(np.concatenate(drawn.strokes) @ (1400, -2400) - (300 * 1400 - 300 * 2400)).max() / 2778 < 4
    assert drawn.pen == pytest.approx(14, abs=4)


def test_a_trace_keeps_an_svg_s_page_and_unit(tmp_path) -> None:
    head = 'width="210mm" height="297mm" viewBox="-10 5 210 297"'
    line = '<path fill="none" stroke="#000" d="M100 200L150 200L150 250"/>'
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {head}>{line}</svg>')
    drawn, place = trace.on_page(next(read(tmp_path / "a.svg")))
    assert (place.width, place.height) == ("210mm", "297mm")
    assert place.box == pytest.approx((-10, 5, 210, 297), abs=1e-3)
    assert np.allclose(drawn.strokes[0], [[100, 200], [150, 200], [150, 250]], atol=1e-3)
    assert drawn.pen == pytest.approx(1, abs=1e-3)


def test_a_page_that_stretches_its_drawing_is_stretched(tmp_path) -> None:
    head = 'width="400" height="100" viewBox="0 0 100 100" preserveAspectRatio="none"'
    line = '<circle cx="50" cy="50" r="40" fill="none" stroke="#000" stroke-width="3"/>'
    (tmp_path / "a.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {head}>{line}</svg>')
    drawn, place = trace.on_page(next(read(tmp_path / "a.svg")))
    assert place.box == (0, 0, 400, 100)
    assert np.allclose(np.ptp(np.concatenate(drawn.strokes), axis=0), (320, 80), atol=1)


# Several on a page


@pytest.mark.parametrize("as_pixels", [False, True])
def test_drawings_that_lie_side_by_side_are_separate(as_pixels: bool) -> None:
    lines = []
    for number, label in enumerate(("cat", "house", "fish")):
        lines += [line + np.array([330 * number, 40 * number]) for line in draw(label).lines()]
    page = Sketch(strokes=tuple(line.astype(np.float32) for line in lines))
    if as_pixels:
        page = Sketch(pixels=np.asarray(styles.picture(page, 1 / 100)) < 128)
    parts = separate(page)
    assert len(parts) == 3
    middles = [np.concatenate(part.lines())[:, 0].mean() for part in parts]
    assert middles == sorted(middles)


def test_a_page_of_dots_is_one_drawing() -> None:
    """Joining its parts would take seconds, and minutes if there are thousands."""
    rng = np.random.default_rng(0)
    corners = np.stack(np.meshgrid(np.arange(17), np.arange(17)), axis=-1).reshape(-1, 1, 2) * 10
    page = Sketch(strokes=tuple((corner + rng.random((4, 2))).astype(np.float32) for corner in corners))
    assert separate(page) == [page]


@pytest.mark.parametrize("label", SUBJECTS)
def test_one_drawing_is_one(label: str) -> None:
    for seed in range(5):
        assert len(separate(draw(label, seed))) == 1, seed


def test_a_drawing_that_was_turned_is_named_as_it_is_upright() -> None:
    from visketch.config import SketchConfig
    from visketch.geometry import sdf
    from visketch.tasks.batch import BatchClassifier, RenderedDrawing, RenderedView

    class Model:
        """A model whose certainty is the share of a field's ink that lies in the upper half."""

        folder, labels = None, ["a"]

        def classify_fields(self, fields: np.ndarray, top: int, strokes: list, of: list) -> list:
            from visketch.model import Prediction

            shares = [float((one[: len(one) // 2] > 0).sum() / (one > 0).sum()) for one in fields]
            return [[Prediction("a", share)] for share in shares]

    arrow = (np.array([[0.2, 0.1], [0.8, 0.1], [0.5, 0.2]], np.float32),)
    field = sdf.field(arrow, SketchConfig(), 128)
    classify = BatchClassifier(Model(), 1, any_way_up=True)  # type: ignore[arg-type]
    for turn in range(4):
        (row,) = classify([RenderedDrawing("a", (RenderedView(np.rot90(field, turn), None),))])
        assert row.get("turned", 0) == 90 * turn
    turned = RenderedDrawing("a", (RenderedView(np.rot90(field), None),))
    (row,) = BatchClassifier(Model(), 1)([turned])  # type: ignore[arg-type]
    assert "turned" not in row


def test_a_pen_of_a_few_pixels_is_no_area() -> None:
    """In small pictures, as `generate` writes them, a pen is as often six pixels wide as four, and whiskers meet."""
    for spread in (19, 21, 23):
        large = Image.new("L", (512, 512), 255)
        pen = ImageDraw.Draw(large)
        pen.ellipse((100, 120, 412, 470), outline=0, width=17)
        for end in range(-3 * spread, 4 * spread, spread):
            pen.line([(250, 300), (470, 300 + 5 * end)], fill=0, width=17)
            pen.line([(250, 300), (40, 300 + 5 * end)], fill=0, width=17)
        page = np.asarray(large.resize((128, 128), Image.Resampling.BOX))
        assert found_in(page[..., None]).sum() > 0.75 * (page < 128).sum(), spread


@pytest.mark.parametrize("gap", [5, 6])
def test_the_narrow_gaps_between_the_lines_of_a_fine_pen_are_no_area(gap: int) -> None:
    page = Image.new("L", (1024, 640), 255)
    ImageDraw.Draw(page).ellipse((300, 60, 800, 580), outline=0, width=2)
    for left in (350, 480, 610, 740):
        for x in range(left, left + 10 * gap, gap):
            ImageDraw.Draw(page).line([(x, 250), (x, 370)], fill=0, width=2)
    pixels = np.asarray(page)
    assert same(found_in(pixels[..., None]), pixels < 128, near=1) > 0.98


FINE = "".join(f'<path d="M0 {y}H595" stroke="#40a0ff" stroke-width=".5"/>' for y in range(80, 841, 24))
MARGIN = '<path d="M72 0V842" stroke="#ff0080" stroke-width=".5"/>'


@pytest.mark.parametrize("side", [512, 842, 1024])
@pytest.mark.parametrize("printed", [FINE, MARGIN], ids=["ruled", "margin"])
def test_what_is_printed_finely_on_a_page_is_no_ink(tmp_path, printed: str, side: int) -> None:
    """Some of the fine lines of a rendered page have two rows of pixels, which are pale."""
    cat = "".join(
        f'<polyline points="{" ".join(f"{x + 100:.1f},{y + 200:.1f}" for x, y in line)}"/>' for line in lines_of("cat")
    )
    found = []
    for lines in (printed, ""):
        page = f'<rect width="595" height="842" fill="#fff"/>{lines}<g stroke-width="1.41" stroke="#338">{cat}</g>'
        path = tmp_path / "page.svg"
        path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 595 842" fill="none">{page}</svg>')
        found.append(found_in(np.asarray(svg.rendered(path, side)[0])))
    assert same(*found, near=2) > 0.97
