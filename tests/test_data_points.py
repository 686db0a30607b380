"""Strokes as rows, as pairs and with names: they are told apart where possible, and refused where not."""

import json
from itertools import pairwise

import drawings
import numpy as np
import pytest

from visketch.data import points
from visketch.data.drawing import sketch
from visketch.data.read import read
from visketch.errors import UsageError, VisketchError

HOUSE = drawings.house()
AMBIGUOUS = [[[0, 60], [50, 0]], [[20, 80], [60, 65]]]  # two lines of two points, whether read as rows or as pairs


def rows(strokes):
    return [stroke.T.tolist() for stroke in strokes]


def pairs(strokes):
    return [stroke.tolist() for stroke in strokes]


def named(strokes):
    return [[{"x": x, "y": y, "t": t} for t, (x, y) in enumerate(stroke.tolist())] for stroke in strokes]


FORMS = {
    "rows": rows(HOUSE),
    "rows and times": [[*stroke, [9 * n for n in range(len(stroke[0]))]] for stroke in rows(HOUSE)],
    "pairs": pairs(HOUSE),
    "pairs and times": [[[*point, 9 * n] for n, point in enumerate(stroke)] for stroke in pairs(HOUSE)],
    "pairs, times and pressure": [[[*point, n, 0.5] for n, point in enumerate(stroke * 2)] for stroke in pairs(HOUSE)],
    "names": named(HOUSE),
    "rows with names": [{"x": x, "y": y} for x, y in rows(HOUSE)],
    "a signature pad": [{"penColor": "black", "points": stroke} for stroke in named(HOUSE)],
    "a canvas for React": [{"paths": stroke, "strokeWidth": 4, "drawMode": True} for stroke in named(HOUSE)],
    "places of points": [{"path": [{"location": point, "force": 0.5} for point in stroke]} for stroke in named(HOUSE)],
    "places as pairs": [{"points": [{"location": point} for point in stroke]} for stroke in pairs(HOUSE)],
    "capital letters": [[{"X": x, "Y": y} for x, y in stroke] for stroke in pairs(HOUSE)],
    "coordinates": [{"type": "dash", "from": stroke[0], "coordinates": stroke} for stroke in named(HOUSE)],
    "x, y, x, y": [{"points": stroke.ravel().tolist()} for stroke in HOUSE],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_drawing(form, tmp_path):
    times = 2 if "pressure" in form else 1
    for name, content in (
        ("a.json", FORMS[form]),
        ("b.json", {"word": "house", "drawing": FORMS[form]}),
        ("c.ndjson", {"word": "house", "drawing": FORMS[form]}),
    ):
        (tmp_path / name).write_text(json.dumps(content))
        (found,) = read(tmp_path / name)
        for stroke, right in zip(found.strokes, HOUSE, strict=True):
            assert stroke == pytest.approx(np.tile(right, (times, 1)), abs=1e-3)
    assert sketch(FORMS[form]).strokes[0] == pytest.approx(np.tile(HOUSE[0], (times, 1)), abs=1e-3)


def test_the_ink_of_handwriting_apis(tmp_path):
    for content in ({"ink": rows(HOUSE)}, {"requests": [{"language": "en", "ink": rows(HOUSE)}]}):
        (tmp_path / "a.json").write_text(json.dumps(content))
        (found,) = read(tmp_path / "a.json")
        assert len(found.strokes) == len(HOUSE)


@pytest.mark.parametrize(
    "mark", [{"tool": "eraser"}, {"compositeOperation": "destination-out"}, {"transform": [2, 0, 0, 1, 0, 0]}]
)
def test_a_stroke_that_erases_or_is_moved_is_not_drawn(mark, tmp_path):
    strokes = [{"points": stroke} for stroke in named(HOUSE)]
    (tmp_path / "a.json").write_text(json.dumps([*strokes, strokes[0] | mark]))
    with pytest.raises(VisketchError, match="export the drawing as SVG"):
        next(read(tmp_path / "a.json"))


def test_points_without_strokes_are_one_stroke_unless_a_flag_changes(tmp_path):
    path, (walls, *_) = tmp_path / "a.json", named(HOUSE)
    for content in (walls, {"drawing": walls}):
        path.write_text(json.dumps(content))
        (found,) = read(path)
        assert found.strokes[0] == pytest.approx(HOUSE[0], abs=1e-3)
    path.write_text(json.dumps([point | {"pen": "up" if point is walls[1] else "down"} for point in walls]))
    with pytest.raises(VisketchError, match='"pen" that changes'):
        next(read(path))


def test_segments_are_joined_where_they_meet(tmp_path):
    pairs = [stroke.tolist() for stroke in HOUSE]
    segments = [{"px": a[0], "py": a[1], "x": b[0], "y": b[1]} for stroke in pairs for a, b in pairwise(stroke)]
    (tmp_path / "a.json").write_text(json.dumps(segments))
    (found,) = read(tmp_path / "a.json")
    assert len(found.strokes) == len(HOUSE)
    for one, other in zip(found.strokes, HOUSE, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


def test_what_may_be_both_is_refused_in_one_line(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(AMBIGUOUS))
    with pytest.raises(VisketchError, match=r"\[\[x...\], \[y...\]\] or \[\[x, y\], ...\]"):
        next(read(tmp_path / "a.json"))
    with pytest.raises(UsageError, match="arrays"):
        sketch(AMBIGUOUS)
    assert sketch([np.array(stroke) for stroke in AMBIGUOUS]).strokes[0].tolist() == AMBIGUOUS[0]
    assert points.strokes(AMBIGUOUS, "rows")[0].tolist() == [[0, 50], [60, 0]]
    assert points.strokes([[[1, 4], [4, 9]]])[0].tolist() == [[1, 4], [4, 9]]  # both layouts give the same


@pytest.mark.parametrize("form", [rows, pairs])
@pytest.mark.parametrize("where", ["a.ndjson", "a.json"])
def test_the_other_drawings_of_a_file_tell(form, where, tmp_path):
    lines = [AMBIGUOUS, form(HOUSE), AMBIGUOUS]
    records = [json.dumps({"word": "house", "drawing": line}) for line in lines]
    (tmp_path / where).write_text("\n".join(records) if where == "a.ndjson" else f"[{','.join(records)}]")
    first, _, last = read(tmp_path / where)
    wanted = np.array(AMBIGUOUS[0]).T if form is rows else np.array(AMBIGUOUS[0])
    assert first.strokes[0].tolist() == last.strokes[0].tolist() == wanted.tolist()


def test_quickdraws_own_files_have_rows(tmp_path):
    record = {"word": "line", "countrycode": "GB", "key_id": "1", "recognized": True, "drawing": AMBIGUOUS}
    (tmp_path / "line.ndjson").write_text(json.dumps(record))
    (found,) = read(tmp_path / "line.ndjson")
    assert found.strokes[0].tolist() == [[0, 50], [60, 0]]


def test_a_reading_that_makes_nonsense_is_left_out():
    assert points.strokes([[[0, 10], [0, 10]]])[0].tolist() == [[0, 0], [10, 10]]  # otherwise the same place twice
    assert len(points.strokes([[[9, 1, 5], [4, 8, 2]]])[0]) == 3  # times never go back


@pytest.mark.parametrize("far", [0, 1e5, 2**23, -(2.0**23)])
def test_a_drawing_far_from_0_is_read_as_long_as_single_precision_resolves_it(far):
    triangle = np.array([[0, 60], [50, 0], [100, 60]])
    (line,) = points.strokes([triangle + far])
    assert (line - np.float32(far)).tolist() == triangle.tolist()


def test_the_rounding_errors_of_a_dot_are_no_drawing():
    assert len(points.strokes([np.array([[0.1 + 0.2, 5], [0.3, 5], [0.3, 5]])])[0]) == 3


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ([[[1, 2], [3]]], "equally many"),
        ([[[1, 2, 3, 4], [1, 2, 3, 4, 5]]], "equally many"),
        ([[[1] * 6] * 6], "neither"),
        ([{"x": [1, 2], "y": [1]}], "equally many"),
        ([[{"x": 1}]], 'no number "y"'),
        ([[{"x": 1, "y": True}]], 'no number "y"'),
        ([{"points": [1, 2, 3]}], "odd"),
        ([{"paths": [{"x": 1, "y": 2}], "drawMode": False}], "eraser"),
        ([{"colour": "red"}], 'neither "x"'),
        ([[]], "empty stroke"),
        ([], "no stroke"),
        ([[[1, 2], [3, float("inf")], [4, 5], [6, 7]]], "not a number"),
        ([np.array([[0, 1j], [5, 5], [9, 0]])], "neither"),
        ([[[0, 1j], [5, 5], [9, 0]]], "neither"),
        ([np.array([["0", "1"], ["5", "5"], ["9", "0"]])], "neither"),
        ([np.array([[0, 60], [50, 0], [100, 60]]) + 1e9], "subtract the least x"),
    ],
)
def test_what_is_no_stroke_is_refused(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        points.strokes(wrong)
