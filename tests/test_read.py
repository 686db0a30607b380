"""Reading any file: its bytes decide what it is, and an error is one line that says how to fix it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from visketch.data import image
from visketch.data.read import expand, read
from visketch.errors import PassedOverWarning, VisketchError

GOOD = '{"drawing":[[[0,10],[0,10]]]}'


def one_line(path, problem=None):
    with pytest.raises(VisketchError) as caught:
        list(read(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert ";" in message  # the part that says how to fix it
    return message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"drawing":[]}', "no stroke"),
        ('{"drawing":[[[],[]]]}', "empty stroke"),
        ('{"drawing":[[]]}', "empty stroke"),
        ('{"drawing":[[[1,2],[NaN,2]]]}', "not a number"),
        ('{"drawing":[[[1,2],[1e999,2]]]}', "not a number"),
        ('{"drawing":[[[1,2],[1e300,2]]]}', "not a number"),
        ('{"drawing":[[[1,2],[' + "9" * 400 + ",2]]]}", "numbers"),
        ('{"drawing":[[[1,2],["x",2]]]}', "numbers"),
        ('{"drawing":[[[1,2],[null,2]]]}', "not a number"),
        ('{"drawing":[[[1,2],[3]]]}', "a stroke"),
        ('{"drawing":[[1,2],[3,4]]}', "a stroke"),
        ('{"drawing":[{"x":[1]}]}', "numbers"),
        ('{"drawing":3}', 'no "drawing"'),
        ('{"word":"cat"}', 'no "drawing"'),
        ('{"drawing":[[[1],[2]]],"word":3}', '"word"'),
        ("[1,2]", 'no "drawing"'),
        ('{"drawing":[[[1,2],[3', "not complete JSON"),
        ("[" * 100_000, "not complete JSON"),
        ("null", "the line is null"),
        ("\xff\xfe\x00", "not complete JSON"),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_the_rest_is_read(tmp_path, line, reason):
    path = tmp_path / "cat.ndjson"
    path.write_text("\n".join([GOOD, line, "", GOOD]), encoding="latin1")
    message = one_line(path)
    assert message.startswith(f"{path}:2: ")
    assert reason in message
    problems = []
    assert [sketch.source for sketch in read(path, problems.append)] == [f"{path}:1", f"{path}:4"]
    assert [str(problem) for problem in problems] == [message]


def test_what_a_file_is_goes_by_its_bytes(tmp_path):
    (tmp_path / "a.txt").write_text(GOOD)
    (tmp_path / "b.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0L5 5" stroke="red"/></svg>')
    Image.new("L", (9, 9), 255).save(tmp_path / "c.png")
    picture = np.full((9, 9), 255, np.uint8)
    picture[4] = 0
    Image.fromarray(picture).save(tmp_path / "d.jpg", "PNG")
    np.save(tmp_path / "e.npy", np.eye(784, dtype=np.uint8)[:3] * 255)
    os.rename(tmp_path / "e.npy", tmp_path / "e.dat")
    assert next(read(tmp_path / "a.txt")).strokes[0].tolist() == [[0, 0], [10, 10]]
    assert next(read(tmp_path / "b.png")).strokes is not None
    assert next(read(tmp_path / "d.jpg")).pixels.tolist() == (picture == 0).tolist()
    assert len(list(read(tmp_path / "e.dat"))) == 3
    assert "blank" in one_line(tmp_path / "c.png")


def test_files_that_cannot_be_read(tmp_path):
    assert "no such file" in one_line(tmp_path / "missing.png")
    assert "a folder" in one_line(tmp_path)
    for name in ("empty.png", "empty.ndjson", "empty.svg", "empty.npz", "empty.bin"):
        (tmp_path / name).write_bytes(b"")
        assert "empty" in one_line(tmp_path / name)
    (tmp_path / "blank.ndjson").write_bytes(b"\n \n")
    assert "no drawing" in one_line(tmp_path / "blank.ndjson")
    (tmp_path / "text.png").write_bytes(b"hello, I am a letter")
    assert "not a picture" in one_line(tmp_path / "text.png")
    (tmp_path / "noise.jpg").write_bytes(bytes(range(256)) * 9)
    assert "not a picture" in one_line(tmp_path / "noise.jpg")
    os.mkfifo(tmp_path / "pipe.png")
    assert "not a regular file" in one_line(tmp_path / "pipe.png")


def test_a_file_we_may_not_read(tmp_path, monkeypatch):
    path = tmp_path / "cat.png"
    path.write_text(GOOD)
    if os.geteuid():
        path.chmod(0)
    else:  # root may read every file

        def refuse(self, *_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(type(path), "open", refuse)
    assert "you may not read it" in one_line(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_picture_that_is_cut_short(tmp_path, kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    path = tmp_path / f"cat.{kind.lower()}"
    Image.fromarray(noise).save(path, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(int(len(whole) * share), 12)])
    message = one_line(path)
    assert "broken or incomplete" in message or "not a picture" in message


def test_a_jpeg_with_its_depth_is_one_drawing(tmp_path):
    """As phones write them, with further pictures in the same file (MPO)."""
    photo = Image.new("RGB", (200, 160), "white")
    ImageDraw.Draw(photo).ellipse((40, 30, 160, 120), outline="navy", width=5)
    photo.save(tmp_path / "plain.jpg", "JPEG", quality=90)
    photo.save(tmp_path / "a.jpg", "MPO", quality=90, save_all=True, append_images=[Image.radial_gradient("L")])
    (found,), (plain,) = list(read(tmp_path / "a.jpg")), list(read(tmp_path / "plain.jpg"))
    assert (found.pixels == plain.pixels).all()
    assert found.source == str(tmp_path / "a.jpg")
    assert found.about == plain.about


def test_a_bomb_is_refused_before_it_is_opened(tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (12_000, 12_000), 1).save(path)
    assert "89 million pixels" in one_line(path)
    assert round(Image.MAX_IMAGE_PIXELS / 1e6) == 89  # the message agrees with Pillow
    assert image.FORMATS == ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")


def test_expand(tmp_path):
    for name in ("b/2.png", "b/1.svg", "a/cat.ndjson", "a/notes.txt", "a/.hidden/3.png", "a/.4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(GOOD)
    expected = [tmp_path / name for name in ("a/cat.ndjson", "b/1.svg", "b/2.png")]
    with pytest.warns(PassedOverWarning, match=r": 1 file was passed over: a/notes\.txt$"):
        assert expand([tmp_path]) == expected
    assert expand([f"{tmp_path}/b/*", tmp_path / "a" / "notes.txt"]) == [*expected[1:], tmp_path / "a" / "notes.txt"]
    (tmp_path / "odd[1].png").write_text("")
    assert expand([tmp_path / "odd[1].png"]) == [tmp_path / "odd[1].png"]
    (tmp_path / "none").mkdir()
    for path in (tmp_path / "missing", f"{tmp_path}/*.webp", tmp_path / "none", tmp_path / ("x" * 300)):
        with pytest.raises(VisketchError, match=r"no such file|no file of drawings|cannot be read"):
            expand([path])


def test_importing_the_door_is_light():
    heavy = {"PIL", "pyarrow", "svgelements", "torch", "scipy", "skimage"}
    code = "import sys, visketch.data.read; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "visketch.data.read" in loaded
    assert not heavy & set(loaded)


def test_raw_drawings_lose_their_timing(tmp_path):
    path = tmp_path / "raw.ndjson"
    path.write_text(json.dumps({"word": "owl", "drawing": [[[1.5, 2.5, 3], [4, 5, 6], [0, 10, 20]]]}))
    (sketch,) = read(path)
    assert sketch.label == "owl"
    assert sketch.strokes[0].tolist() == [[1.5, 4], [2.5, 5], [3, 6]]


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    with pytest.raises(VisketchError, match=r"gone.png: no such file"):
        expand([tmp_path / "gone.png"])
