"""Photos of a sheet of paper on a table: only what is drawn on the sheet is ink."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from visketch.data import ink

WIDE, HIGH = 480, 640
PAPER, PEN = (245, 243, 238), (20, 40, 150)
TABLES = {"wood": (120, 85, 55), "light": (195, 175, 145), "dark": (50, 50, 55)}
SHARES = [(0.5, 8), (0.7, 3), (0.85, 0), (0.85, 5), (0.92, 0), (0.92, 3), (0.95, 0), (0.97, 3), (1.04, 6)]


def drawn(paper: tuple[int, int, int], pen: tuple[int, int, int]) -> Image.Image:
    """A fish on a sheet of 400 by 560 pixels."""
    page = Image.new("RGB", (400, 560), paper)
    draw = ImageDraw.Draw(page)
    draw.ellipse((70, 210, 260, 320), outline=pen, width=5)
    draw.line([(255, 250), (330, 200), (330, 330), (255, 280)], fill=pen, width=5, joint="curve")
    draw.ellipse((105, 240, 120, 255), outline=pen, width=5)
    return page


def laid(share: float, angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The colours of a sheet that spans a share of the photo's width, where it lies, and where its lines are."""
    size = (round(WIDE * share), round(WIDE * share * 1.4))
    layers = []
    for page in (drawn(PAPER, PEN), Image.new("RGB", (400, 560), (255,) * 3), drawn((0,) * 3, (255,) * 3)):
        turned = page.resize(size).rotate(angle, Image.Resampling.BICUBIC, expand=True)
        photo = Image.new("RGB", (WIDE, HIGH))
        photo.paste(turned, ((WIDE - turned.width) // 2, (HIGH - turned.height) // 2))
        layers.append(np.asarray(photo, float))
    colours, there, lines = layers
    return colours, there > 127, lines[..., 0] > 127


def found_in(photo: np.ndarray) -> ink.Ink:
    return ink.find(np.clip(photo, 0, 255).astype(np.uint8))


def is_only(found: np.ndarray, lines: np.ndarray) -> bool:
    """Whether nearly everything that was found is a line, and the other way round."""
    near = ndimage.binary_dilation(lines, iterations=3)
    missed = lines & ~ndimage.binary_dilation(found, iterations=3)
    return bool((found & ~near).sum() < 0.02 * lines.sum() and missed.sum() < 0.02 * lines.sum())


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(("share", "angle"), SHARES)
def test_the_table_around_a_sheet_is_no_ink_however_narrow_it_is(share: float, angle: float, name: str) -> None:
    rng = np.random.default_rng(0)
    streaks = ndimage.gaussian_filter(rng.normal(0, 60, (HIGH, WIDE, 1)), (12, 1, 0))
    streaks[:, 60::150] -= 30  # the gaps between boards
    colours, there, lines = laid(share, angle)
    photo = np.where(there, colours, np.array(TABLES[name]) + streaks)
    y, x = np.mgrid[0:HIGH, 0:WIDE]
    photo = photo * (1 - 0.4 * (0.6 * x / WIDE + 0.4 * y / HIGH))[..., None] + rng.normal(0, 3, photo.shape)
    found = found_in(photo)
    assert found.sheet
    assert is_only(found.pixels, lines)


@pytest.mark.parametrize(("share", "angle"), [(0.9, 1.5), (0.9, 6), (1.04, 6), (0.95, 0)])
def test_the_edge_of_a_sheet_on_a_table_of_one_colour_is_no_line(share: float, angle: float) -> None:
    colours, there, lines = laid(share, angle)
    found = found_in(np.where(there, colours, np.array((95, 70, 50))))
    assert found.sheet
    assert is_only(found.pixels, lines)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("share", [0.86, 0.95])
def test_a_shadow_that_gets_darker_up_to_the_edge_of_the_sheet_is_no_ink(share: float, empty: bool) -> None:
    """A sheet without a drawing is blank."""
    rng = np.random.default_rng(0)
    streaks = ndimage.gaussian_filter(rng.normal(0, 60, (HIGH, WIDE, 1)), (12, 1, 0))
    colours, there, lines = laid(share, 0)
    if empty:
        colours, lines = np.where(there, np.array(PAPER, float), colours), np.zeros_like(lines)
    photo = np.where(there, colours, np.array(TABLES["wood"]) + streaks)
    y, x = np.mgrid[0:HIGH, 0:WIDE]
    shadow = 1 / (1 + np.exp((900 - x - 0.9 * y) / 40))
    found = found_in(photo * (1 - 0.5 * shadow[..., None]) + rng.normal(0, 2, photo.shape))
    assert found.sheet
    assert is_only(found.pixels, lines) if lines.any() else not found.pixels.any()


@pytest.mark.parametrize("share", [0.92, 1.2])
def test_a_soft_shadow_across_the_sheet_is_not_its_edge(share: float) -> None:
    colours, there, lines = laid(share, 0)
    photo = np.where(there, colours, np.array(TABLES["wood"]))
    y, x = np.mgrid[0:HIGH, 0:WIDE]
    shadow = 1 / (1 + np.exp((x + 0.4 * y - 320) / 7))
    found = found_in(photo * (1 - 0.5 * shadow[..., None]) + np.random.default_rng(0).normal(0, 3, photo.shape))
    assert found.sheet == (share < 1)
    assert is_only(found.pixels, lines)


def test_the_lines_of_ruled_paper_end_at_the_sheet() -> None:
    """They are as long as the sheet and not as the photo."""
    colours, there, lines = laid(0.7, 0)
    rules = np.zeros((HIGH, WIDE), bool)
    rules[::24] = True
    photo = np.where((rules & ~lines)[..., None], np.array((150, 170, 215)), colours)
    found = found_in(np.where(there, photo, np.array(TABLES["dark"])))
    assert found.ruled > 10
    assert is_only(found.pixels, lines)


def test_the_light_squares_of_dark_paper_are_no_sheet() -> None:
    page = np.full((800, 1000, 3), 30)
    page[::30] = page[:, ::30] = (62, 62, 66)
    fish = np.asarray(drawn((0,) * 3, (255,) * 3))[..., 0] > 127
    page[120:680, 300:700][fish] = 240
    there = np.zeros((800, 1000), bool)
    there[120:680, 300:700] = fish
    found = found_in(page)
    assert found.inverted
    assert not found.sheet
    assert is_only(found.pixels, there)


def notebook(discs: int, margin: bool) -> np.ndarray:
    """A photo of a page with a house, and with punched holes and a red margin."""
    page = Image.new("RGB", (480, 640), (236, 232, 222))
    draw = ImageDraw.Draw(page)
    draw.line([(150, 400), (150, 250), (250, 160), (350, 250), (350, 400), (150, 400)], fill=(40, 42, 60), width=7)
    if margin:
        draw.line([(90, 0), (94, 639)], fill=(225, 120, 130), width=3)
        draw.line([(60, 330), (160, 330)], fill=(40, 42, 60), width=7)  # it crosses the margin
    for number in range(discs):
        draw.ellipse([(18, 90 + 220 * number), (40, 112 + 220 * number)], fill=(60, 50, 45))
    grain = np.random.default_rng(1).normal(0, 2, (640, 480, 3))
    return np.clip(np.asarray(page) + grain, 0, 255).astype(np.uint8)


def test_a_margin_and_punched_holes_are_no_ink() -> None:
    found = ink.find(notebook(discs=3, margin=True))
    assert found.ruled == 1
    _, columns = np.nonzero(found.pixels)
    assert columns.min() > 55, "the holes are gone"
    assert found.pixels[330, 65:155].all(), "what crosses the margin is whole"
    assert not found.pixels[:300, 80:110].any()
    assert not found.pixels[360:, 80:110].any()


def test_a_drawing_in_a_small_picture_stays() -> None:
    small = np.asarray(Image.fromarray(notebook(discs=0, margin=True)).resize((36, 48), Image.Resampling.BOX))
    assert ink.find(small).pixels[11:32, 10:28].sum() > 20, "the house is still there"


def test_two_discs_on_a_plain_page_are_drawn() -> None:
    """They may be the wheels of a skateboard."""
    assert ink.find(notebook(discs=2, margin=False)).pixels[:, :45].any()
    assert not ink.find(notebook(discs=2, margin=True)).pixels[:, :45].any()


def test_a_line_with_the_same_pen_is_no_margin() -> None:
    colours = notebook(discs=0, margin=False)
    colours[:, 90:97] = (40, 42, 60)
    assert ink.find(colours).pixels[:, 93].all()
