"""The formats of the main sources: QuickDraw's binary files and bitmaps, sketch-rnn, SVG, pictures."""

import io
import pickle
import re
import struct
import warnings
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from drawings import draw_many
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from skimage.morphology import skeletonize

from visketch.data import drawing, ink, sketchrnn, svg, svg_page
from visketch.data.folder import files
from visketch.data.read import read
from visketch.errors import PassedOverWarning, VisketchError
from visketch.evaluate import styles


def refused(path, match):
    with pytest.raises(VisketchError, match=match) as caught:
        list(read(path))
    assert "\n" not in str(caught.value)


# QuickDraw


def packed(drawing):
    head = struct.pack("<Q2sbIH", 7, b"GB", 1, 0, len(drawing))
    return head + b"".join(struct.pack("<H", len(x)) + bytes(x) + bytes(y) for x, y in drawing)


drawings = st.lists(
    st.integers(1, 300).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 255), min_size=n, max_size=n)] * 2)),
    min_size=1,
    max_size=3,
)


@settings(max_examples=20, deadline=None)
@given(st.lists(drawings, min_size=1, max_size=3))
def test_binary_round_trip(tmp_path_factory, many):
    path = tmp_path_factory.mktemp("bin") / "cat.bin"
    path.write_bytes(b"".join(map(packed, many)))
    assert [[tuple(s.T.tolist()) for s in sketch.strokes] for sketch in read(path)] == [
        [(x, y) for x, y in drawing] for drawing in many
    ]


def test_binary_cut_short_anywhere(tmp_path):
    drawing = packed([([1, 2, 3], [4, 5, 6]), ([7], [8])])
    path = tmp_path / "cat.bin"
    for end in range(1, len(drawing)):
        path.write_bytes(drawing + drawing[:end])
        problems = []
        assert len(list(read(path, problems.append))) == 1
        assert "cat.bin:2: the drawing is incomplete" in str(problems[0])
    path.write_bytes(b"\xff" * 100)
    refused(path, "not a QuickDraw binary")
    path.write_bytes(packed([]) + packed([([1], [2])]) + packed([([], [])]))
    problems = []
    assert len(list(read(path, problems.append))) == 1
    assert ["no stroke" in str(problems[0]), "empty stroke" in str(problems[1])] == [True, True]


def test_bitmaps(tmp_path):
    rows = np.zeros((3, 784), np.uint8)
    rows[0, 28 * 4 + 9], rows[2, 5] = 255, 255
    np.save(tmp_path / "cat.npy", rows)
    problems = []
    first, last = read(tmp_path / "cat.npy", problems.append)
    for sketch, place in ((first, (4, 9)), (last, (0, 5))):  # four times as large: the centre of pixel n is 4 n + 1.5
        assert sketch.pixels.shape == (112, 112)
        assert np.argwhere(sketch.pixels).mean(axis=0) == pytest.approx(4 * np.array(place) + 1.5, abs=0.6)
    assert "cat.npy:2: blank" in str(problems[0])
    np.save(tmp_path / "bad.npy", rows[:, :700])
    refused(tmp_path / "bad.npy", "uint8 3 x 700")
    np.save(tmp_path / "bad.npy", np.array([{}], object), allow_pickle=True)
    refused(tmp_path / "bad.npy", "not a drawing")
    whole = (tmp_path / "cat.npy").read_bytes()
    (tmp_path / "bad.npy").write_bytes(whole[:-1])
    refused(tmp_path / "bad.npy", "not a complete numpy file")


# sketch-rnn


def objects(*arrays):
    made = np.empty(len(arrays), object)
    made[:] = arrays
    return made


STROKE3 = np.array([[10, 20, 0], [5, 0, 1], [0, -7, 0], [1, 1, 1]], np.int16)


def test_sketch_rnn(tmp_path):
    path = tmp_path / "cat.npz"
    np.savez(path, train=objects(STROKE3, STROKE3[:2]), valid=objects(STROKE3), test=objects(STROKE3[:1], STROKE3))
    found = list(read(path))
    assert [sketch.source.split(":", 1)[1] for sketch in found] == ["train:1", "train:2", "valid:1", "test:1", "test:2"]
    assert [stroke.tolist() for stroke in found[0].strokes] == [[[10, 20], [15, 20]], [[15, 13], [16, 14]]]
    assert [stroke.tolist() for stroke in found[3].strokes] == [[[10, 20]]]
    same = tmp_path / "same.npz"
    np.savez(same, train=np.stack([STROKE3, STROKE3]))
    assert len(list(read(same))) == 2


def test_sketch_rnn_as_python_2_wrote_it(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": (1,)})
    body = pickle.dumps(objects(STROKE3), protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    with zipfile.ZipFile(tmp_path / "cat.npz", "w") as archive:
        archive.writestr("train.npy", header.getvalue() + body)
    (sketch,) = read(tmp_path / "cat.npz")
    assert sketch.strokes[0].tolist() == [[10, 20], [15, 20]]


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    mark = tmp_path / "mark"
    np.savez(tmp_path / "cat.npz", train=objects(STROKE3, Hostile(str(mark))))
    refused(tmp_path / "cat.npz", r"it would run io\.open")
    assert not mark.exists()


class AsPickled:
    """What numpy writes for an array, with any facts."""

    def __init__(self, made: tuple, state: object) -> None:
        self.made, self.state = made, state

    def __reduce__(self):
        return (*self.made, self.state)


REBUILD = np.zeros(1).__reduce__()[0]
POINTERS = AsPickled((np.dtype, ("O8", False, True)), (3, "|", None, None, None, -1, -1, 0))  # says: holds no objects
DOUBLES = AsPickled((np.dtype, ("f8", False, True)), (3, "<", None, None, None, -1, -1, 0))


@pytest.mark.parametrize(
    ("made", "state"),
    [
        ((REBUILD, (np.ndarray, (0,), b"b")), (1, (12,), POINTERS, False, b"A" * 96)),  # bytes as pointers
        ((REBUILD, (np.ndarray, (0,), b"b")), (1, (1 << 40, 3), DOUBLES, False, b"A" * 96)),
        ((np.ndarray, ((1 << 40,), "u1")), None),  # memory for the asking
    ],
)
def test_a_pickle_cannot_make_an_array_of_what_it_does_not_hold(tmp_path, made, state):
    np.savez(tmp_path / "cat.npz", train=objects(STROKE3, AsPickled(made, state)))
    refused(tmp_path / "cat.npz", "not a complete numpy file")
    header = io.BytesIO()
    np.lib.format.write_array(header, objects(STROKE3, AsPickled(made, state)), allow_pickle=True)
    (tmp_path / "cat.npy").write_bytes(header.getvalue())
    refused(tmp_path / "cat.npy", "not a complete numpy file")


def test_an_archive_that_inflates_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sketchrnn, "LARGEST", 1 << 20)
    for name in ("x", "train"):
        np.savez_compressed(tmp_path / "cat.npz", **{name: np.zeros((2, 1 << 20, 3), np.float32)})
        refused(tmp_path / "cat.npz", f"{name} is larger than")


def test_sketch_rnn_files_that_are_none(tmp_path):
    path = tmp_path / "cat.npz"
    np.savez(path, other=np.zeros(3))
    refused(path, "no train, valid or test")
    np.savez(path, train=objects(STROKE3, np.zeros((4, 2)), np.zeros((0, 3)), np.full((2, 3), np.nan)))
    problems = []
    assert len(list(read(path, problems.append))) == 1
    assert [str(problem).split(":")[2] for problem in problems] == ["2", "3", "4"]
    whole = path.read_bytes()
    for end in (30, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:end])
        refused(path, "not a complete numpy file")
    broken = bytearray(whole)
    broken[150:170] = b"\x00" * 20
    path.write_bytes(broken)
    refused(path, "not a complete numpy file|it would run")


# SVG


def draw(tmp_path, body, head='<svg xmlns="http://www.w3.org/2000/svg">'):
    path = tmp_path / "cat.svg"
    path.write_text(f"{head}{body}</svg>")
    return path


def lines(tmp_path, body):
    (sketch,) = read(draw(tmp_path, f'<g stroke="black" fill="none">{body}</g>'))
    return [np.round(stroke, 4).tolist() for stroke in sketch.strokes]


def test_svg_shapes_in_document_order(tmp_path):
    body = '<polyline points="0,0 1,2 3,4"/><line x1="1" y1="2" x2="3" y2="4"/><polygon points="0,0 2,0 2,2"/>'
    body += '<rect x="1" y="1" width="2" height="3"/><path d="M0 0 l5 0 0 5 z m1 1 H9 V9"/>'
    assert lines(tmp_path, body) == [
        [[0, 0], [1, 2], [3, 4]],
        [[1, 2], [3, 4]],
        [[0, 0], [2, 0], [2, 2], [0, 0]],
        [[1, 1], [3, 1], [3, 4], [1, 4], [1, 1]],
        [[0, 0], [5, 0], [5, 5], [0, 0]],
        [[1, 1], [9, 1], [9, 9]],
    ]


def test_svg_groups_transforms_and_use(tmp_path):
    line = '<line id="a" x2="1" y2="1"/>'
    assert lines(tmp_path, f'<g transform="translate(10 20)"><g transform="scale(2)">{line}</g></g>') == [
        [[10, 20], [12, 22]]
    ]
    assert lines(tmp_path, f'<defs>{line}</defs><use href="#a" x="5"/>') == [[[5, 0], [6, 1]]]
    assert lines(tmp_path, '<path transform="rotate(90)" d="M0 0H5"/>') == [[[0, 0], [0, 5]]]


def test_svg_curves_are_flattened_onto_the_curve(tmp_path):
    for body in ('<circle cx="7" cy="7" r="5"/>', '<path d="M2 7A5 5 0 1 1 12 7A5 5 0 1 1 2 7"/>'):
        (circle,) = lines(tmp_path, body)
        assert len(circle) > 30
        assert np.hypot(*(np.array(circle) - 7).T) == pytest.approx(5, abs=1e-3)
    (ellipse,) = lines(tmp_path, '<ellipse rx="4" ry="2"/>')
    assert np.abs(ellipse).max(axis=0) == pytest.approx([4, 2], abs=1e-3)
    (cubic,) = lines(tmp_path, '<path d="M0 0C0 4 4 4 4 0"/>')
    assert [2, 3] in cubic
    (quadratic,) = lines(tmp_path, '<path d="M0 0Q2 4 4 0"/>')
    assert [2, 2] in quadratic


def test_svg_leaves_out_what_is_not_seen(tmp_path):
    hidden = '<rect width="100%" height="100%" fill="white"/><rect width="9" height="9" fill="#123"/>'
    hidden += '<g display="none"><path d="M0 0L1 1"/></g><path d="M0 0L1 1" stroke="none" fill="none"/>'
    hidden += '<path visibility="hidden" d="M0 0L1 1"/><clipPath><path d="M0 0L1 1"/></clipPath><text>hello</text>'
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" width="90mm" height="90mm">'
    (sketch,) = read(draw(tmp_path, hidden + '<path d="M1 1L2 2" stroke="red"/>', head))
    assert len(sketch.strokes) == 1
    refused(draw(tmp_path, hidden, head), "blank")
    (tmp_path / "cat.svg").write_text('<svg><path d="M1 1L2 2" stroke="red"/></svg>')  # no namespace
    assert next(read(tmp_path / "cat.svg")).strokes[0].tolist() == [[1, 1], [2, 2]]


def test_svg_that_embeds_a_picture_warns_of_it(tmp_path):
    line, image = '<path d="M1 1L2 2" stroke="red"/>', '<image href="data:image/png;base64,AA" width="9" height="9"/>'
    for body in (f"{image}{line}", f'{line}<defs><g id="a">{image}</g></defs><use href="#a"/>'):
        path = draw(tmp_path, body)
        with pytest.warns(PassedOverWarning, match=re.escape(f"{path}: an embedded picture was ignored; save it as ")):
            svg.rendered(path, 64)
        with pytest.warns(PassedOverWarning, match=r"^bytes: an embedded picture was ignored; save it as "):
            assert drawing.sketch(path.read_bytes()).source == "bytes"
        with pytest.warns(PassedOverWarning, match=re.escape(f"{path}: an embedded picture was ignored; save it as ")):
            (found,) = read(path)
        assert len(found.strokes) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(draw(tmp_path, image), "blank")  # the error says it
        for hidden in (f'<g style="display: none">{image}</g>', f'<g display="none">{image}</g>'):  # traced by hand
            (sketch,) = read(draw(tmp_path, hidden + line))
            assert len(sketch.strokes) == 1


def test_svg_that_is_hostile_or_broken(tmp_path):
    path = tmp_path / "cat.svg"
    entities = '<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    for encoding in ("utf-8", "utf-16"):
        path.write_text(f'<?xml version="1.0" encoding="{encoding}"?>{entities}<svg>&b;</svg>', encoding=encoding)
        refused(path, "XML entities")
    secret = tmp_path / "secret"
    secret.write_text("M0 0L1 1")
    path.write_text(f'<!DOCTYPE svg [<!ENTITY a SYSTEM "{secret.as_uri()}">]><svg><path d="&a;" stroke="red"/></svg>')
    refused(path, "XML entities")
    nested = '<path id="0" d="M0 0L1 1"/>' + "".join(
        f'<g id="{n}">' + f'<use href="#{n - 1}"/>' * 10 + "</g>" for n in range(1, 12)
    )
    refused(draw(tmp_path, nested), "simplify")
    refused(draw(tmp_path, '<g id="a"><use href="#a"/></g>'), "simplify")
    refused(draw(tmp_path, "<g/>" * (svg_page.ELEMENTS + 1)), "simplify")
    refused(draw(tmp_path, f'<path d="M0 0{"h1z" * svg_page.ELEMENTS}" stroke="red"/>'), "simplify")
    refused(draw(tmp_path, " " * svg_page.LARGEST), "1 MB")
    refused(draw(tmp_path, "<g>"), "not complete XML")
    refused(draw(tmp_path, ""), "blank")
    refused(draw(tmp_path, '<path d="" stroke="red"/><path d="M5 5" stroke="red"/><polyline points=""/>'), "blank")
    path.write_text("<html><body/></html>")
    refused(path, "a web page")


def test_svg_with_the_plain_doctype_that_tools_write(tmp_path):
    doctype = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.0//EN" "http://localhost:9/svg10.dtd">'
    path = tmp_path / "cat.svg"
    path.write_text(f'<?xml version="1.0"?>{doctype}<svg><path d="M1 1L2 2" stroke="red"/></svg>')
    assert len(next(read(path)).strokes) == 1


# Pictures


def picture(mode="L", paper=255, pen=0, size=(60, 40)):
    made = Image.new(mode, size, paper)
    ImageDraw.Draw(made).line([(5, 5), (50, 30)], fill=pen, width=3)
    return made


def mask(tmp_path, made, name="cat.png", **options):
    made.save(tmp_path / name, **options)
    (sketch,) = read(tmp_path / name)
    assert sketch.pixels.dtype == bool
    return sketch.pixels


EXPECTED = np.asarray(picture()) == 0


@pytest.mark.parametrize(
    ("mode", "paper", "pen"),
    [
        ("1", 1, 0),
        ("1", 0, 1),
        ("L", 255, 0),
        ("L", 0, 255),
        ("L", 200, 120),
        ("LA", (255, 255), (0, 255)),
        ("LA", (0, 0), (0, 255)),
        ("RGB", "white", "red"),
        ("RGB", "navy", "yellow"),
        ("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)),
        ("RGBA", (255, 255, 255, 0), (0, 0, 0, 255)),
        ("RGBA", (0, 0, 0, 0), (255, 255, 255, 255)),
        ("RGBA", (255, 255, 255, 255), (20, 20, 120, 255)),
        ("P", 0, 1),
        ("I;16", 60000, 1000),
        ("I;16", 200, 10),
    ],
)
def test_every_mode_gives_the_same_ink(tmp_path, mode, paper, pen):
    made = picture(mode, paper, pen)
    if mode == "P":
        made.putpalette([0, 0, 0, 250, 250, 250])
    assert (mask(tmp_path, made) == EXPECTED).all()


def test_palette_with_transparency(tmp_path):
    made = picture("P", 0, 1)
    made.putpalette([0, 0, 0, 10, 10, 10])
    assert (mask(tmp_path, made, transparency=0) == EXPECTED).all()


@pytest.mark.parametrize(
    ("mode", "paper", "pen"), [("CMYK", (0, 0, 0, 0), (0, 0, 0, 255)), ("F", 1.0, 0.0), ("I", 9, 3)]
)
def test_modes_that_png_has_not(tmp_path, mode, paper, pen):
    assert (mask(tmp_path, picture(mode, paper, pen), "cat.tiff") == EXPECTED).all()


@pytest.mark.parametrize(
    ("name", "mode", "paper", "pen"),
    [("cat.pbm", "1", 1, 0), ("cat.pgm", "L", 255, 0), ("cat.pgm", "I", 60000, 9), ("cat.ppm", "RGB", "white", "red")],
)
def test_pnm(tmp_path, name, mode, paper, pen):
    assert (mask(tmp_path, picture(mode, paper, pen), name) == EXPECTED).all()
    assert [file.name for file in files(tmp_path)] == [name]


@pytest.mark.parametrize(("name", "mode"), [("cat.jpg", "L"), ("cat.jpg", "CMYK"), ("cat.webp", "RGB")])
def test_lossy_formats_are_nearly_the_same(tmp_path, name, mode):
    found = mask(tmp_path, picture().convert(mode), name, quality=95)
    assert (found & EXPECTED).sum() / (found | EXPECTED).sum() > 0.9


def test_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned, so the picture is shown turned clockwise by a quarter
    found = mask(tmp_path, picture(), exif=exif)
    assert (found == np.rot90(EXPECTED, -1)).all()


@pytest.mark.parametrize("name", ["cat.png", "cat.tif"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_turned_picture_lies_on_an_upright_page(tmp_path, name, mode):
    exif = Image.Exif()
    exif[0x0112] = 8
    picture(mode, "white", "black").save(tmp_path / name, exif=exif)
    sketch = next(read(tmp_path / name))
    assert (sketch.pixels == np.rot90(EXPECTED)).all()
    assert sketch.page.box == (0, 0, 40, 60)


def test_large_pictures_are_shrunk(tmp_path):
    made = Image.new("1", (4096, 2048), 1)
    ImageDraw.Draw(made).line([(100, 100), (4000, 1900)], fill=0, width=16)
    for name in ("cat.png", "cat.jpg"):
        found = mask(tmp_path, made, name)
        assert found.shape == (512, 1024)
        assert 0.002 < found.mean() < 0.02
        assert found[248:252, 500:520].any()


def test_a_photo_in_uneven_light(tmp_path):
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:480, 0:640]
    paper = 80 + 150 * (columns / 640) * (0.4 + 0.6 * rows / 480) + random.normal(0, 3, rows.shape)
    drawn = Image.new("L", (640, 480), 0)
    ImageDraw.Draw(drawn).ellipse([150, 100, 500, 400], outline=1, width=6)
    line = np.asarray(drawn) > 0
    Image.fromarray(np.clip(np.where(line, paper * 0.35, paper), 0, 255).astype(np.uint8)).save(tmp_path / "p.jpg")
    (sketch,) = read(tmp_path / "p.jpg")
    assert (sketch.pixels & line).sum() / (sketch.pixels | line).sum() > 0.8


@pytest.mark.parametrize("made", [Image.new("L", (50, 50), 255), Image.new("RGBA", (50, 50), (0, 0, 0, 0))])
def test_blank_paper(tmp_path, made):
    made.save(tmp_path / "cat.png")
    refused(tmp_path / "cat.png", "blank")


def test_the_grain_of_blank_paper_is_no_ink():
    grain = np.random.default_rng(0).normal(200, 3, (200, 200, 1)).astype(np.uint8)
    assert not ink.find(grain).pixels.any()


def test_copies_of_copies_by_two_names_are_counted(tmp_path: Path) -> None:
    """svgelements follows `href` rather than `xlink:href`."""
    levels = "".join(f'<g id="l{i}">' + f'<use xlink:href="#none" href="#l{i - 1}"/>' * 9 + "</g>" for i in range(1, 5))
    text = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    (tmp_path / "bomb.svg").write_text(f'{text}<path id="l0" d="M0 0L1 1"/>{levels}<use href="#l4"/></svg>')
    with pytest.raises(VisketchError, match="more than 5000"):
        list(read(tmp_path / "bomb.svg"))


def photo(ink_level, paper_level, size=(320, 240), pen=4, seed=0):
    """A coloured cross on coloured paper with grain (y x 3), and where its ink is."""
    drawn = Image.new("L", size, 0)
    ImageDraw.Draw(drawn).line([(60, 50), (250, 190)], fill=1, width=pen)
    ImageDraw.Draw(drawn).line([(250, 50), (60, 190)], fill=1, width=pen)
    line = np.asarray(drawn) > 0
    page = np.where(line[..., None], ink_level, paper_level) * np.ones(3)
    return page + np.random.default_rng(seed).normal(0, 4, page.shape), line


def found_in(page):
    return ink.find(np.clip(page, 0, 255).astype(np.uint8))


def overlap(found, line):
    return (found & line).sum() / (found | line).sum()


@pytest.mark.parametrize(
    ("pen", "paper"),
    [((70, 70, 74), (238, 234, 224)), ((245, 160, 60), (238, 234, 224)), ((225, 225, 215), (45, 62, 52))],
    ids=["graphite", "orange", "chalk"],
)
def test_ink_of_any_colour_under_a_shadow(pen, paper):
    page, line = photo(pen, paper)
    shade = np.where(np.arange(320) < 150, 0.5, 1.0)[None, :, None]
    from scipy import ndimage

    found = found_in(page * ndimage.gaussian_filter(shade, (0, 8, 0)))
    assert overlap(found.pixels, line) > 0.8
    assert found.inverted == (sum(pen) > sum(paper))


@pytest.mark.parametrize("wide", [3, 6])
def test_a_pen_as_wide_as_a_brush_is_dark_on_light(wide):
    """A third of the page is ink, up to its border. What lies beyond counts as the border does."""
    for sketch in draw_many(4, seed=9):
        page = np.asarray(styles.picture(sketch, wide * styles.PEN))
        found = ink.find(page[..., None])
        assert not found.inverted
        assert overlap(found.pixels, page < 128) > 0.95


def test_the_lines_of_the_paper_are_left_out_and_what_crosses_them_stays():
    page, line = photo((40, 42, 60), (240, 238, 230))
    for row in range(20, 240, 24):
        rule = np.zeros(line.shape, bool)
        rule[row : row + 2] = True
        page[rule & ~line] = (140, 165, 210)
    found = found_in(page)
    assert found.ruled == 10
    assert overlap(found.pixels, line) > 0.8


def test_a_line_across_the_page_that_is_drawn_stays():
    page, _ = photo((40, 42, 60), (240, 238, 230))
    for row in (20, 120, 220):  # drawn with the pen of the drawing, so these lines are not the paper's
        page[row : row + 4, 5:315] = 40
    found = found_in(page)
    assert found.ruled == 0
    assert found.pixels[121, 20:300].all()


def test_a_sheet_on_a_table():
    page, line = photo((70, 70, 74), (238, 234, 224))
    table = np.full((400, 500, 3), (110, 75, 50.0)) + np.random.default_rng(0).normal(0, 8, (400, 500, 3))
    table[80:320, 90:410] = page
    found = found_in(table)
    assert found.sheet
    assert overlap(found.pixels[80:320, 90:410], line) > 0.8
    assert found.pixels.sum() == found.pixels[80:320, 90:410].sum()


def test_dust_outside_the_drawing_is_left_out_and_dots_within_it_stay():
    page, _ = photo((40, 42, 60), (240, 238, 230))
    page[5:7, 5:7] = page[228:231, 308:311] = 40  # two corners
    page[60:64, 150:154] = 40  # an eye
    found = found_in(page)
    assert found.specks >= 2, "and the grain has one now and then"
    assert found.pixels[61, 151]
    assert not found.pixels[:20].any()
    assert not found.pixels[220:].any()


def test_every_page_is_a_drawing(tmp_path):
    pages = [picture(), Image.new("L", (60, 40), 255), picture().rotate(180)]
    pages[0].save(tmp_path / "cat.tiff", save_all=True, append_images=pages[1:])
    problems = []
    found = list(read(tmp_path / "cat.tiff", problems.append))
    assert [sketch.source for sketch in found] == [f"{tmp_path}/cat.tiff:1", f"{tmp_path}/cat.tiff:3"]
    assert (found[1].pixels == EXPECTED[::-1, ::-1]).all()
    assert ["tiff:2: blank" in str(problem) for problem in problems] == [True]


def test_heic(tmp_path, monkeypatch):
    import sys

    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))

    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    refused(tmp_path / "a.heic", r'pip install "visketch\[heic\]"')


def test_what_was_understood_of_a_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture("RGB", "navy", "yellow").save(tmp_path / "cat.jpg", exif=exif, quality=95)
    about = next(read(tmp_path / "cat.jpg")).about
    assert (about["kind"], about["width"], about["height"], about["turned"]) == ("JPEG", 60, 40, 90)
    assert about["inverted"]
    assert 1 < about["pen"] < 4


def test_strips_of_the_table_beside_the_paper_are_no_ink() -> None:
    picture = Image.new("L", (520, 400), 200)
    pen = ImageDraw.Draw(picture)
    pen.polygon([(0, 0), (280, 0), (120, 400), (0, 400)], fill=120)  # a shadow
    house = [(160, 200), (240, 95), (360, 170), (375, 305), (185, 338), (160, 200)]
    pen.line(house, fill=10, width=6)
    alone = ink.find(np.asarray(picture)[..., None]).pixels
    pen.rectangle((0, 0, 24, 400), fill=60)
    pen.polygon([(496, 0), (520, 0), (520, 400), (505, 400)], fill=60)  # a sheet that lies askew
    found = ink.find(np.asarray(picture)[..., None]).pixels
    assert alone.any()
    assert (found != alone).mean() < 0.002
    walls = Image.new("L", (200, 200), 255)  # a drawing that is cut out close to its lines keeps them
    ImageDraw.Draw(walls).line([(2, 0), (2, 197), (199, 197)], fill=0, width=5)
    ImageDraw.Draw(walls).ellipse((80, 80, 120, 120), outline=0, width=5)
    assert ink.find(np.asarray(walls)[..., None]).pixels[:, 2].mean() > 0.9


def test_the_skeleton_that_comes_along_is_that_of_the_ink_without_its_dust() -> None:
    page, _ = photo((40, 42, 60), (240, 238, 230))
    page[5:7, 5:7] = page[228:231, 308:311] = 40
    found = found_in(page)
    assert found.specks >= 2
    assert (found.thin == skeletonize(found.pixels)).all()


def house() -> Image.Image:
    page = Image.new("L", (300, 240), 255)
    ImageDraw.Draw(page).line([(90, 190), (90, 100), (150, 50), (210, 100), (210, 190), (90, 190)], fill=0, width=5)
    return page


@pytest.mark.parametrize(("wide", "beside"), [(1, 0), (6, 0), (25, 0), (60, 0), (1, 3), (6, 3), (25, 3)])
def test_a_frame_around_the_page_is_no_ink(wide: int, beside: int) -> None:
    page = house()
    alone = ink.find(np.asarray(page)[..., None]).pixels
    whole = Image.new("L", (300 + 2 * (wide + beside), 240 + 2 * (wide + beside)), 255)
    edge = (beside, beside, whole.width - 1 - beside, whole.height - 1 - beside)
    ImageDraw.Draw(whole).rectangle(edge, outline=0, width=wide)
    whole.paste(page, (wide + beside, wide + beside))
    found = ink.find(np.asarray(whole)[..., None]).pixels
    inside = found[wide + beside :, wide + beside :][:240, :300]
    assert overlap(inside, alone) > 0.95
    assert found.sum() == inside.sum()


def test_a_drawing_that_reaches_its_frame_stays_and_so_does_a_box_with_nothing_in_it() -> None:
    page = Image.new("L", (200, 160), 255)
    pen = ImageDraw.Draw(page)
    pen.rectangle((0, 0, 199, 159), outline=0, width=4)
    assert ink.find(np.asarray(page)[..., None]).pixels[:, 1].all()
    pen.line([(2, 80), (100, 30), (197, 80)], fill=0, width=4)
    found = ink.find(np.asarray(page)[..., None]).pixels
    assert not found[0].any()
    assert found[:, 12:188].any(axis=0).all()


def test_a_square_with_a_speck_in_it_is_no_frame() -> None:
    page = Image.new("L", (200, 200), 255)
    pen = ImageDraw.Draw(page)
    pen.rectangle((2, 2, 197, 197), outline=0, width=4)
    pen.rectangle((150, 100, 156, 106), fill=0)
    assert ink.find(np.asarray(page)[..., None]).pixels[:, 3].mean() > 0.9


def test_an_outline_in_chalk_is_no_sheet_of_paper() -> None:
    board = Image.new("L", (256, 256), 0)
    pen = ImageDraw.Draw(board)
    pen.rectangle((56, 16, 200, 236), outline=255, width=4)
    for row in range(40, 220, 20):
        pen.line((70, row, 186, row), fill=255, width=4)
    found = ink.find(np.asarray(board)[..., None])
    assert found.inverted
    assert not found.sheet
    assert overlap(found.pixels, np.asarray(board) > 127) > 0.95


@pytest.mark.parametrize(
    ("apart", "heavy", "wide"), [(10, (120, 170, 120), 2), (10, (90, 140, 90), 1), (25, (90, 110, 200), 2)]
)
def test_graph_paper_with_heavier_lines_is_left_out(apart: int, heavy: tuple, wide: int) -> None:
    page, line = drawn_on((253, 253, 250))
    for row in range(0, 600, apart):
        for across in (page, page.swapaxes(0, 1)):
            rule = across[row : row + (wide if row % (5 * apart) == 0 else 1)]
            rule[(rule > 60).all(axis=-1)] = heavy if row % (5 * apart) == 0 else (190, 215, 190)
    found = ink.find(page)
    assert found.ruled > 600 // apart
    assert overlap(found.pixels, line) > 0.8


@pytest.mark.parametrize("colours", [((120, 60, 200), (250, 140, 140)), ((255, 140, 40), (155, 50, 180))])
@pytest.mark.parametrize("pen", [(255, 255, 255), (0, 0, 0)])
@pytest.mark.parametrize("steps", [np.eye(2)[0], np.eye(2)[1], np.array([0.5, 0.5])])
def test_a_gradient_of_colours_is_paper(colours: tuple, pen: tuple, steps: np.ndarray) -> None:
    _, line = drawn_on((253, 253, 250))
    share = (np.indices((600, 600)) * steps[:, None, None]).sum(axis=0)[..., None] / 600
    page = (np.array(colours[0]) * (1 - share) + np.array(colours[1]) * share).astype(np.uint8)
    page[line] = pen
    assert overlap(ink.find(page).pixels, line) > 0.9


@pytest.mark.parametrize(("radius", "level", "apart"), [(1.5, 150, 24), (3, 200, 40), (1, 180, 15), (2, 120, 30)])
@pytest.mark.parametrize("turn", [0, 4])
def test_the_dots_of_dotted_paper_are_left_out(radius: float, level: int, apart: int, turn: float) -> None:
    page, line = drawn_on((253, 253, 250))
    sheet = Image.fromarray(page)
    dot = ImageDraw.Draw(sheet)
    for x, y in product(range(0, 600, apart), repeat=2):
        if page[y, x].min() > 60:
            dot.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(level, level, level + 10))
    sheet, line = sheet.rotate(turn, Image.Resampling.BICUBIC, fillcolor=(253, 253, 250)), turned(line, turn)
    found = ink.find(np.asarray(sheet))
    assert overlap(found.pixels, line) > 0.9


def test_dots_that_are_drawn_stay() -> None:
    page, _ = drawn_on((253, 253, 250))
    sheet = Image.fromarray(page)
    dot = ImageDraw.Draw(sheet)
    for x, y in np.random.default_rng(0).integers(200, 400, (80, 2)).tolist():  # freckles
        dot.ellipse([x - 3, y - 3, x + 3, y + 3], fill=(30, 30, 60))
    assert overlap(ink.find(np.asarray(sheet)).pixels, np.asarray(sheet).min(axis=2) < 128) > 0.95


def drawn_on(paper: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A round face with two eyes on paper of 600 px, and where its ink is."""
    sheet = Image.new("RGB", (600, 600), paper)
    pen = ImageDraw.Draw(sheet)
    for box in ([80, 80, 520, 520], [200, 220, 240, 260], [360, 220, 400, 260]):
        pen.ellipse(box, outline=(30, 30, 60), width=6)
    pen.line([(220, 400), (300, 430), (380, 400)], fill=(30, 30, 60), width=6)
    page = np.array(sheet)
    return page, page.min(axis=2) < 128


def turned(mask: np.ndarray, degrees: float) -> np.ndarray:
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).rotate(degrees, Image.Resampling.BICUBIC)) > 127


def test_where_lines_of_squared_paper_cross_is_no_ink() -> None:
    page = np.full((400, 400), 235, np.uint8)
    page[10::25] = page[11::25] = 190
    page[:, 10::25] = page[:, 11::25] = 190
    for row in range(10, 400, 50):  # darker, and on their own
        page[row : row + 2][:, page[0] == 190] = 110
    page[200:206, 60:340] = 40
    found = ink.find(page[..., None])
    assert found.ruled == 32
    assert overlap(found.pixels, page == 40) > 0.9
