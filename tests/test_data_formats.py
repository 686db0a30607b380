"""Drawings of other programs: Excalidraw, tldraw, InkML, sketch-rnn's rows, Kaggle's table, bitmaps, gzip."""

import base64
import csv
import gzip
import io
import json

import drawings
import numpy as np
import pytest
from PIL import Image

from visketch.data import folder
from visketch.data.read import expand, read
from visketch.errors import PassedOverWarning, VisketchError

HOUSE = drawings.house()


def only(path):
    (found,) = read(path)
    return found


def same(found, strokes=HOUSE, within=1e-2):
    assert len(found) == len(strokes)
    for stroke, right in zip(found, strokes, strict=True):
        assert stroke == pytest.approx(np.asarray(right), abs=within)


def refused(path, reason):
    problems = []
    assert not list(read(path, problems.append))
    (problem,) = problems
    assert "\n" not in str(problem)
    assert str(problem).startswith(str(path))
    assert reason in str(problem)


# Excalidraw


def element(kind, x=0.0, y=0.0, **more):
    return {
        "type": kind,
        "x": x,
        "y": y,
        "angle": 0,
        "isDeleted": False,
        "strokeColor": "#1e1e1e",
        "opacity": 100,
    } | more


def freedraw(stroke, **more):
    place = stroke[0]
    return element("freedraw", *place.tolist(), points=[[*point, 0.5] for point in (stroke - place).tolist()], **more)


def scene(tmp_path, *elements, **more):
    path = tmp_path / "a.excalidraw"
    path.write_text(json.dumps({"type": "excalidraw", "version": 2, "elements": elements} | more, indent=2))
    return path


def test_a_scene_of_excalidraw(tmp_path):
    unseen = [
        freedraw(HOUSE[0] * 3, isDeleted=True),
        freedraw(HOUSE[0] * 3, opacity=0),
        freedraw(HOUSE[0] * 3, strokeColor="transparent"),
        freedraw(HOUSE[0] * 3, strokeColor="#FFF"),
        element("text", 900, 900, width=9, height=9, text="house"),
        element("frame", -9, -9, width=900, height=900),
    ]
    same(only(scene(tmp_path, *map(freedraw, HOUSE), *unseen)).strokes)
    (tmp_path / "elements.json").write_text(json.dumps([freedraw(stroke, versionNonce=1) for stroke in HOUSE]))
    same(only(tmp_path / "elements.json").strokes)
    refused(scene(tmp_path, *unseen), "blank")
    refused(scene(tmp_path, element("freedraw", points=[["a", 1]])), "cannot be read")
    refused(scene(tmp_path, element("freedraw", points=[[1e308, 1], [-1e308, 2]])), "not a number")


def test_shapes_of_excalidraw_where_they_are_seen(tmp_path):
    (rectangle,) = only(scene(tmp_path, element("rectangle", 10, 20, width=60, height=40))).strokes
    assert rectangle.tolist() == [[10, 20], [70, 20], [70, 60], [10, 60], [10, 20]]
    (turned,) = only(scene(tmp_path, element("rectangle", 10, 20, width=60, height=40, angle=np.pi / 2))).strokes
    assert (turned.min(axis=0), turned.max(axis=0)) == (pytest.approx([20, 10]), pytest.approx([60, 70]))
    assert turned[0] == pytest.approx([60, 10])  # the upper left corner, turned clockwise by a quarter
    (ellipse,) = only(scene(tmp_path, element("ellipse", 0, 0, width=60, height=40))).strokes
    assert np.abs(np.hypot(*((ellipse - [30, 20]) / [30, 20]).T) - 1).max() < 1e-5
    (diamond,) = only(scene(tmp_path, element("diamond", width=60, height=40))).strokes
    assert diamond.tolist() == [[30, 0], [60, 20], [30, 40], [0, 20], [30, 0]]
    (corners,) = only(scene(tmp_path, element("rectangle", width=60, height=40, roundness={"type": 3}))).strokes
    assert np.hypot(*corners.T).min() > 3
    arrow = element("arrow", 5, 5, points=[[0, 0], [100, 0]], endArrowhead="arrow", roundness={"type": 2})
    line, head = only(scene(tmp_path, arrow)).strokes
    assert (line.tolist(), head[1].tolist()) == ([[5, 5], [105, 5]], [105, 5])
    assert sorted(head[[0, 2]].tolist()) == [pytest.approx([81.5, y], abs=0.1) for y in (-3.55, 13.55)]
    (curve,) = only(
        scene(tmp_path, element("line", points=[[0, 0], [50, 50], [100, 0]], roundness={"type": 2}))
    ).strokes
    assert len(curve) > 9
    assert [50, 50] in curve.tolist()


def test_a_library_is_many_and_a_note_of_obsidian_is_told(tmp_path):
    items = [{"elements": [freedraw(HOUSE[0])]}, {"elements": []}, [freedraw(HOUSE[1])]]
    path = tmp_path / "a.excalidrawlib"
    path.write_text(json.dumps({"type": "excalidrawlib", "version": 2, "libraryItems": items}))
    problems = []
    assert [one.source for one in read(path, problems.append)] == [f"{path}:1", f"{path}:3"]
    assert "blank" in str(problems[0])
    (tmp_path / "note.md").write_text("---\nexcalidraw-plugin: parsed\n---\n```compressed-json\nN4Ig\n```")
    refused(tmp_path / "note.md", "Obsidian")


# tldraw


def shape(kind, x=0.0, y=0.0, parent="page:a", rotation=0.0, id=None, **props):
    return {
        "typeName": "shape",
        "id": id or f"shape:{kind}{x}{y}",
        "type": kind,
        "x": x,
        "y": y,
        "rotation": rotation,
    } | {
        "parentId": parent,
        "index": "a1",
        "opacity": 1,
        "props": props,
    }


def drawn(
    stroke, parent="page:a", encode=lambda points: {"points": [{"x": x, "y": y, "z": 0.5} for x, y in points]}, **more
):
    place = stroke[0]
    segments = [{"type": "free", **encode((stroke - place).tolist())}]
    return shape("draw", *place.tolist(), parent=parent, segments=segments, isClosed=False) | more


def tldr(tmp_path, *records, name="a.tldr", **more):
    page = {"typeName": "page", "id": "page:a", "name": "Page 1", "index": "a1"}
    path = tmp_path / name
    path.write_text(json.dumps({"tldrawFileFormatVersion": 1, "schema": {}, "records": [page, *records], **more}))
    return path


def by_ways(points, each=3):
    """A stroke as tldraw packs it: the first point in float32, and the offset to each other point in float16."""
    full = np.array([[x, y, 0.5][:each] for x, y in points])
    return {
        "path": base64.b64encode(
            full[0].astype("<f4").tobytes() + np.diff(full, axis=0).astype("<f2").tobytes()
        ).decode()
    }


def by_places(points):
    return {"points": base64.b64encode(np.array([[x, y, 0.5] for x, y in points], "<f2").tobytes()).decode()}


@pytest.mark.parametrize("encode", [None, by_ways, lambda p: by_ways(p, 2) | {"dim": 2}, by_places])
def test_strokes_of_tldraw_in_every_packing(encode, tmp_path):
    more = {"encode": encode} if encode else {}
    unseen = [drawn(HOUSE[0] * 3, opacity=0), shape("text", text="house"), shape("frame", w=900, h=900)]
    same(only(tldr(tmp_path, *(drawn(stroke, **more) for stroke in HOUSE), *unseen)).strokes, within=0.2)
    refused(tldr(tmp_path, *unseen), "blank")
    refused(tldr(tmp_path, drawn(HOUSE[0], encode=lambda _: {"packed": 3})), "in an unknown way")
    refused(tldr(tmp_path, drawn(HOUSE[0], encode=lambda _: {"path": "AAAA"})), "cannot be read")


def test_groups_of_tldraw_turn_and_move_what_is_in_them(tmp_path):
    group = shape("group", 100, 50, rotation=np.pi / 2, id="shape:g")
    inner = shape("group", 10, 0, parent="shape:g", id="shape:h")
    (line,) = only(tldr(tmp_path, group, inner, drawn(np.array([[1.0, 2], [5, 2]]), parent="shape:h"))).strokes
    assert line == pytest.approx(np.array([[98, 61], [98, 65]]))
    own = shape("group", parent="shape:g", id="shape:g")  # the parents form a circle
    assert only(tldr(tmp_path, own, drawn(HOUSE[0], parent="shape:g"))).strokes


def test_shapes_of_tldraw(tmp_path):
    (box,) = only(tldr(tmp_path, shape("geo", 5, 5, geo="rectangle", w=20, h=10))).strokes
    assert box.tolist() == [[5, 5], [25, 5], [25, 15], [5, 15], [5, 5]]
    (turned,) = only(tldr(tmp_path, shape("geo", 5, 5, rotation=np.pi / 2, geo="rectangle", w=20, h=10))).strokes
    assert turned[1] == pytest.approx([5, 25])  # turned around its corner
    for kind, corners in (("triangle", 4), ("star", 11), ("hexagon", 7), ("x-box", 5), ("trapezoid", 5)):
        found = only(tldr(tmp_path, shape("geo", geo=kind, w=20, h=10))).strokes
        assert len(found[0]) == corners
        assert (found[0].min(axis=0), found[0].max(axis=0)) == (pytest.approx([0, 0]), pytest.approx([20, 10]))
    ends = {"b": {"id": "b", "index": "a2", "x": 9, "y": 9}, "a": {"id": "a", "index": "a1", "x": 0, "y": 0}}
    assert only(tldr(tmp_path, shape("line", points=ends, spline="line"))).strokes[0].tolist() == [[0, 0], [9, 9]]


def test_arrows_of_tldraw(tmp_path):
    free = shape("arrow", 10, 10, start={"x": 0, "y": 0}, end={"x": 100, "y": 0}, bend=0, arrowheadEnd="arrow")
    line, head = only(tldr(tmp_path, free)).strokes
    assert (line.tolist(), head[1].tolist()) == ([[10, 10], [110, 10]], [110, 10])
    bent = shape("arrow", start={"x": 0, "y": 0}, end={"x": 100, "y": 0}, bend=30, arrowheadEnd="none")
    (arc,) = only(tldr(tmp_path, bent)).strokes
    assert np.abs(arc[:, 1]).max() == pytest.approx(30, abs=0.1)
    box = shape("geo", 200, 0, id="shape:b", geo="rectangle", w=100, h=100)
    bound = shape("arrow", 0, 50, id="shape:a", start={"x": 0, "y": 0}, end={"x": 1, "y": 1}, arrowheadEnd="none")
    props = {"terminal": "end", "normalizedAnchor": {"x": 0.5, "y": 0.5}}
    binding = {"typeName": "binding", "id": "binding:1", "fromId": "shape:a", "toId": "shape:b", "props": props}
    found = only(tldr(tmp_path, box, bound, binding)).strokes[-1]
    assert found[[0, -1]] == pytest.approx(np.array([[0, 50], [200, 50]]), abs=8)  # up to the edge of the box


def test_pages_and_snapshots_of_tldraw(tmp_path):
    other = {"typeName": "page", "id": "page:b", "name": "Page 2", "index": "a2"}
    path = tldr(tmp_path, other, drawn(HOUSE[0]), drawn(HOUSE[1], parent="page:b"))
    assert [one.source for one in read(path)] == [f"{path}:1", f"{path}:2"]
    store = {"shape:1": drawn(HOUSE[0])}
    for document in ({"store": store, "schema": {}}, {"document": {"store": store, "schema": {}}, "session": {}}):
        path.write_text(json.dumps(document))
        same(only(path).strokes, HOUSE[:1])


def test_files_of_tldraw_1(tmp_path):
    stroke = {"id": "1", "type": "draw", "point": [10, 20], "rotation": 0, "points": [[0, 0, 0.5], [5, 7, 0.5]]}
    box = {"id": "2", "type": "rectangle", "point": [0, 0], "size": [20, 10], "rotation": np.pi / 2}
    handles = {"start": {"point": [0, 0]}, "end": {"point": [30, 40]}}
    arrow = {
        "id": "3",
        "type": "arrow",
        "point": [1, 1],
        "handles": handles,
        "bend": 0,
        "decorations": {"end": "arrow"},
    }
    shapes = {"1": stroke, "2": box, "3": arrow, "4": {"id": "4", "type": "text", "point": [0, 0], "text": "a"}}
    path = tmp_path / "a.tldr"
    path.write_text(json.dumps({"name": "New", "document": {"version": 15.5, "pages": {"page": {"shapes": shapes}}}}))
    line, turned, way, _ = only(path).strokes
    assert line.tolist() == [[10, 20], [15, 27]]
    assert turned.min(axis=0) == pytest.approx([5, -5], abs=1e-5)  # turned around its middle
    assert way.tolist() == [[1, 1], [31, 41]]


# InkML


def inkml(tmp_path, body, name="a.inkml"):
    path = tmp_path / name
    path.write_text(f'<?xml version="1.0"?>\n<!-- ink -->\n<ink xmlns="http://www.w3.org/2003/InkML">{body}</ink>')
    return path


def traces(strokes=HOUSE, form=lambda x, y: f"{x:.3f} {y:.3f}"):
    return [",".join(form(x, y) for x, y in stroke.tolist()) for stroke in strokes]


def test_traces_of_inkml_wherever_they_are(tmp_path):
    one, *more = (f"<trace>{trace}</trace>" for trace in traces())
    grouped = f"{one}<traceGroup><traceGroup>{more[0]}</traceGroup>{''.join(more[1:])}</traceGroup>"
    seen_again = '<annotation type="truth">house</annotation><traceView traceDataRef="0"/>'
    same(only(inkml(tmp_path, grouped + seen_again, "a.xml")).strokes)
    hover = '<trace type="penUp">0 0, 900 900</trace>'
    same(only(inkml(tmp_path, grouped + hover)).strokes)
    refused(inkml(tmp_path, hover), "blank")


CHANNELS = """<definitions><traceFormat xml:id="f"><channel name="T" type="integer"/><channel name="Y" type="decimal"/>
<channel name="F" type="integer"/><channel name="X" type="decimal"/><intermittentChannels><channel name="B"
type="boolean"/></intermittentChannels></traceFormat><context xml:id="c" traceFormatRef="#f"/></definitions>"""


def test_channels_of_inkml_in_any_order(tmp_path):
    body = "".join(f'<trace contextRef="#c">{trace}</trace>' for trace in traces(form=lambda x, y: f"7 {y} 3 {x} T"))
    same(only(inkml(tmp_path, CHANNELS + body)).strokes)
    source = """<inkSource xml:id="s"><traceFormat><channel name="Y"/><channel name="X"/></traceFormat></inkSource>
    <context xml:id="c" inkSourceRef="#s"/>"""
    body = "".join(f'<trace contextRef="#c">{trace}</trace>' for trace in traces(form=lambda x, y: f"{y} {x}"))
    same(only(inkml(tmp_path, source + body)).strokes)
    up = '<traceFormat><channel name="X"/><channel name="Y" orientation="-ve"/></traceFormat>'
    body = "".join(f"<trace>{trace}</trace>" for trace in traces(form=lambda x, y: f"{x} {-y}"))
    same(only(inkml(tmp_path, f"<context>{up}</context>{body}")).strokes)
    refused(inkml(tmp_path, '<traceFormat><channel name="P"/></traceFormat><trace>1 2</trace>'), "no channels X and Y")


def test_contexts_without_a_name_and_of_groups(tmp_path):
    defined = "".join(
        f'<traceFormat xml:id="{x}{y}"><channel name="{x}"/><channel name="{y}"/></traceFormat>'
        f'<context xml:id="{name}" traceFormatRef="#{x}{y}"/>'
        for name, x, y in (("a", "Y", "X"), ("b", "X", "Y"))
    )
    turned = [f"<trace>{trace}</trace>" for trace in traces(form=lambda x, y: f"{y} {x}")]
    plain = [f"<trace>{trace}</trace>" for trace in traces()]
    half = len(plain) // 2
    parts = ['<context contextRef="#a"/>', *turned[:half], '<context contextRef="#b"/>', *plain[half:]]
    same(only(inkml(tmp_path, f"<definitions>{defined}</definitions>" + "".join(parts))).strokes)
    group = f'<traceGroup contextRef="#a">{turned[0]}<traceGroup>{"".join(turned[1:])}</traceGroup></traceGroup>'
    same(only(inkml(tmp_path, f"<definitions>{defined}</definitions>{group}")).strokes)


def test_differences_and_parts_of_traces(tmp_path):
    # the example of the standard: explicit values, then first, then second differences, until told otherwise
    (line,) = only(inkml(tmp_path, "<trace>1125 18432,'23'43,\"7\"-8,3-5,7-3,6 2,6 8,3 6</trace>")).strokes
    assert line[:4].tolist() == [[1125, 18432], [1148, 18475], [1178, 18510], [1211, 18540]]
    (line,) = only(inkml(tmp_path, "<trace>10 20,'1'2,* *,!5!#1F</trace>")).strokes
    assert line.tolist() == [[10, 20], [11, 22], [12, 24], [5, 31]]
    parts = '<trace id="a" continuation="begin">0 0,1 1</trace><trace>9 9,8 8</trace>'
    parts += '<trace id="b" continuation="end" priorRef="#a">2 2,3 3</trace>'
    assert sorted(len(line) for line in only(inkml(tmp_path, parts)).strokes) == [2, 4]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<trace>1 2, 3</trace>", "a point of 1 values"),
        ("<trace>a b</trace>", "in the place of a point"),
        ("<trace>1 1e999</trace>", "not a number"),
        ("<trace>" + "1 2," * 30_000 + "</trace>", "more than 20,000 points"),
        ("<trace>1 2", "not complete XML"),
    ],
)
def test_inkml_that_is_broken(body, reason, tmp_path):
    refused(inkml(tmp_path, body), reason)
    (tmp_path / "b.inkml").write_text('<!DOCTYPE ink [<!ENTITY a "b">]><ink><trace>&a;</trace></ink>')
    refused(tmp_path / "b.inkml", "entities")


# sketch-rnn's rows


def stroke3(strokes=HOUSE):
    points = np.concatenate(strokes)
    pen = np.concatenate([np.eye(1, len(stroke), len(stroke) - 1)[0] for stroke in strokes])
    return np.column_stack([np.diff(points, axis=0, prepend=0), pen]).astype(np.float32)


def stroke5(length=40, strokes=HOUSE):
    rows = stroke3(strokes)
    padded = np.zeros((length, 5), np.float32)
    padded[:, 4] = 1
    padded[: len(rows)] = np.column_stack([rows[:, :2], 1 - rows[:, 2], rows[:, 2], np.zeros(len(rows))])
    return padded


@pytest.mark.parametrize("rows", [stroke3(), stroke5(), stroke5(len(stroke3()))], ids=["3", "5", "5 without an end"])
def test_rows_of_points(rows, tmp_path):
    np.save(tmp_path / "a.npy", rows)
    np.save(tmp_path / "many.npy", np.stack([rows, rows]))
    made = np.empty(2, object)
    made[:] = [rows, rows[:-1] if rows.shape[1] == 3 else rows]
    np.save(tmp_path / "objects.npy", made, allow_pickle=True)
    # numpy makes this one array of 2 drawings x points x columns, of objects
    np.save(tmp_path / "equal.npy", np.array([rows, rows], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "equal.npz", train=np.array([rows, rows], dtype=object))
    (tmp_path / "a.json").write_text(json.dumps(rows.tolist()))
    (tmp_path / "many.json").write_text(json.dumps([rows.tolist(), rows.tolist()]))
    (tmp_path / "parts.json").write_text(json.dumps({"train": [rows.tolist()], "test": [rows.tolist()]}))
    for name in ("a.npy", "a.json"):
        same(only(tmp_path / name).strokes, within=0.1)
        assert only(tmp_path / name).source == str(tmp_path / name)
    for name in ("many.npy", "many.json", "parts.json", "objects.npy", "equal.npy", "equal.npz"):
        first, last = read(tmp_path / name)
        same(first.strokes, within=0.1)
        assert first.source != last.source


def test_rows_that_are_none(tmp_path):
    places = np.array([[10, 10, 0], [20, 15, 0], [30, 90, 1]], np.float32)
    np.save(tmp_path / "a.npy", places)
    refused(tmp_path / "a.npy", "may be positions")
    rows = stroke5()
    rows[0] = [0, 0, 0, 0, 1]
    np.save(tmp_path / "a.npy", np.stack([rows, stroke5()]))
    problems = []
    assert len(list(read(tmp_path / "a.npy", problems.append))) == 1
    assert ":1: blank" in str(problems[0])
    np.save(tmp_path / "a.npy", np.zeros((4, 3)))
    refused(tmp_path / "a.npy", "stroke-3")


# Bitmaps


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.uint8, 0, 255), (np.float32, 0, 1), (np.float64, -1, 1), (bool, 0, 1), (np.int64, 0, 1)],
)
@pytest.mark.parametrize("shape", [(2, 28, 28), (2, 28, 28, 1), (2, 1, 28, 28), (2, 784), (2, 32, 32)])
def test_bitmaps_of_any_numbers(shape, dtype, low, high, dark, tmp_path):
    side = 32 if 32 in shape else 28
    ink = np.zeros((2, side, side), bool)
    ink[0, 4:20, 6], ink[1, 9, 3:25] = True, True
    np.save(tmp_path / "cat.npy", np.where(ink != dark, high, low).astype(dtype).reshape(shape))
    first, last = read(tmp_path / "cat.npy")
    for found, right in ((first, ink[0]), (last, ink[1])):  # four times as large, and smooth between the pixels
        assert np.array_equal(found.pixels.reshape(side, 4, side, 4).mean(axis=(1, 3)) > 0.5, right)


def test_arrays_that_are_no_drawings(tmp_path):
    for array, reason in (
        (np.zeros((3, 28, 28), np.float32) + np.arange(3)[:, None, None] * 500, "its values are"),
        (np.zeros((3, 7), np.float32), "float32 3 x 7"),
        (np.zeros(5), "its array is"),
        (np.array(["cat"]), "its array is"),
        (np.zeros((2, 2, 2, 2, 2)), "its array is"),
    ):
        np.save(tmp_path / "a.npy", array)
        refused(tmp_path / "a.npy", reason)


# Kaggle's tables, gzip, other programs


def table(rows, columns=("countrycode", "drawing", "key_id", "recognized", "timestamp", "word")):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def test_kaggles_table(tmp_path):
    drawing = json.dumps([stroke.T.tolist() for stroke in HOUSE])
    row = {"countrycode": "VE", "drawing": drawing, "key_id": "1", "recognized": True, "word": "house"}
    long = json.dumps([[list(range(15_000)), list(range(15_000))]])  # longer than csv allows by default
    line = json.dumps([[[0, 50], [60, 0]]])  # strokes of two points; the table says that these are rows
    rows = [row, row | {"drawing": "[[["}, row | {"drawing": long}, row | {"drawing": line}]
    (tmp_path / "a.csv").write_text("\ufeff" + table(rows), encoding="utf-8")
    problems = []
    first, _, last = read(tmp_path / "a.csv", problems.append)
    same(first.strokes)
    assert (first.label, first.source) == ("house", f"{tmp_path / 'a.csv'}:1")
    assert last.strokes[0].tolist() == [[0, 60], [50, 0]]
    assert "a.csv:2: the drawing is not complete JSON" in str(problems[0])
    (tmp_path / "b.csv").write_text(table([row], ("key_id", "countrycode", "drawing")))
    assert only(tmp_path / "b.csv").label is None
    (tmp_path / "c.csv").write_text("path,label\na.png,cat\n")
    refused(tmp_path / "c.csv", "without a column")


@pytest.mark.parametrize("name", ["a.ndjson.gz", "a.json.gz", "a.csv.gz", "a.inkml.gz", "a.gz"])
def test_what_is_packed_is_read_as_it_is(name, tmp_path):
    record = json.dumps({"word": "house", "drawing": [stroke.T.tolist() for stroke in HOUSE]})
    content = {"csv": table([{"drawing": json.loads(record)["drawing"], "word": "house"}]), "inkml": ""}
    content["inkml"] = f"<ink>{''.join(f'<trace>{trace}</trace>' for trace in traces())}</ink>"
    kind = name.split(".")[1]
    packed = gzip.compress((content.get(kind) or record + "\n").encode())
    (tmp_path / name).write_bytes(packed)
    same(only(tmp_path / name).strokes)
    (tmp_path / name).write_bytes(packed[:-12])
    refused(tmp_path / name, "incomplete")
    (tmp_path / name).write_bytes(packed[:20] + b"\xff" * 9 + packed[29:])
    problems = []
    list(read(tmp_path / name, problems.append))
    assert problems


def test_a_packed_bomb_is_refused(tmp_path):
    for text in (b"{" + b" " * (80 << 20), b"[" + b"1," * (40 << 20)):
        (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(text, 1))
        problems = []
        assert not list(read(tmp_path / "a.ndjson.gz", problems.append))
        assert "larger than" in str(problems[0]) or "longer than" in str(problems[0])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7 ...", "a PDF; export"),
        (b"8BPS\0\1", "Photoshop"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (gzip.compress(b'<?xml version="1.0"?><xournal version="0.4"/>', mtime=0), "Xournal++"),
        (b'{"nbformat": 4, "cells": []}', "Jupyter"),
        ("[[[1, 2, 3, 4], [3, 4, 5, 6]]]".encode("utf-16"), "save it as UTF-8"),
        (b"  0\r\nSECTION\r\n  2\r\nHEADER\r\n", "DXF"),
        (b"\0\0\0\x18ftypmp42", "a video"),
        (b'{"version": "5.0", "shapes": [], "imagePath": "a.jpg"}', "labelme"),
        (b'{"version": "5.3.0", "objects": [{"type": "path"}]}', "Fabric.js"),
        (b'{"images": [], "annotations": []}', "COCO"),
        (b'{"path": "a.png", "predictions": []}', "answers of visketch"),
        (b'{"hello": 1}', "not a known form"),
        (b"[1, 2, 3]", "no drawing"),
        (b"[]", "no drawing"),
        (b'{"a": ', "not complete JSON"),
    ],
)
def test_other_files_are_told_what_they_are(content, reason, tmp_path):
    (tmp_path / "a.dat").write_bytes(content)
    refused(tmp_path / "a.dat", reason)


@pytest.mark.parametrize(
    ("kind", "modes", "reason"),
    [
        ("TGA", ("L", "LA", "P", "RGB", "RGBA"), "a TGA picture; save it as PNG"),
        ("PCX", ("1", "L", "P", "RGB"), "a PCX picture; save it as PNG"),
        ("ICO", ("RGBA",), "an icon of Windows (ICO); save it as PNG"),
        ("JPEG2000", ("L", "RGB"), "a JPEG 2000 picture; save it as PNG"),
    ],
)
def test_other_pictures_are_told_what_they_are(kind, modes, reason, tmp_path):
    for mode in modes:
        for more in ({}, {"compression": "tga_rle"}) if kind == "TGA" else ({},):
            Image.new(mode, (40, 30)).save(tmp_path / "a.dat", kind, **more)
            refused(tmp_path / "a.dat", reason)


# Folders


def test_folders_take_in_every_format_and_no_other_json(tmp_path):
    (tmp_path / "house").mkdir()
    place = tmp_path / "house"
    (place / "1.excalidraw").write_bytes(scene(tmp_path, freedraw(HOUSE[0])).read_bytes())
    (place / "2.tldr").write_bytes(tldr(tmp_path, drawn(HOUSE[0])).read_bytes())
    (place / "3.inkml").write_bytes(inkml(tmp_path, f"<trace>{traces()[0]}</trace>").read_bytes())
    (place / "4.json").write_text(json.dumps([stroke.tolist() for stroke in HOUSE], indent=1))
    (place / "5.csv").write_text(table([{"drawing": "[[[1,2],[3,4]],[[1,2,3,4],[1,2,3,4]]]", "key_id": 1}]))
    (place / "6.ndjson.gz").write_bytes(gzip.compress(b'{"drawing": [[[1, 2, 3, 4], [3, 4, 5, 6]]]}\n'))
    for name, text in (("results.csv", "path,label\n"), ("settings.json", '{"a": 1}'), ("coco.json", '{"images": []}')):
        (place / name).write_text(text)
    for old in tmp_path.glob("a.*"):
        old.unlink()
    with pytest.warns(PassedOverWarning, match=r"3 files were passed over: house/coco\.json, house/results\.csv, "):
        found = expand([tmp_path])
    assert [file.name[0] for file in found] == ["1", "2", "3", "4", "5", "6"]
    for file in found:
        assert list(read(file))
    assert [folder.label(place / name) for name in ("1.excalidraw", "3.inkml")] == ["house", "house"]
    assert folder.label(place / "cat.ndjson.gz") == "cat"
    assert folder.label(place / "4.json", alone=True) == "house"
    assert folder.label(place / "cats.json") == "cats"


def test_a_missing_file_of_any_ending(tmp_path):
    for name in ("a.tldr", "a.inkml", "a.json", "a.csv", "a.ndjson.gz"):
        with pytest.raises(VisketchError, match="no such file"):
            next(read(tmp_path / name))
