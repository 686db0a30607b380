"""The scripts of studies/ measure what they say."""

import json
import sys
from pathlib import Path
from typing import ClassVar

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from PIL import Image, ImageDraw
from scipy.spatial.distance import pdist

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))

import channels
import clip_art
import context
import hatching
import icons
import outlines
import textures
from server import served

from visketch.data.read import read
from visketch.errors import UsageError
from visketch.model import SketchModel

PEN = textures.SHAPE.pen


class TestHatching:
    @pytest.mark.parametrize("kind", hatching.KINDS)
    def test_draws_within_its_outlines_and_the_same_for_the_same_seed(self, kind: str) -> None:
        drawing, again = (hatching.draw(kind, 2 * PEN, np.random.default_rng(3)) for _ in range(2))
        assert all(np.array_equal(one, other) for one, other in zip(drawing.lines, again.lines, strict=True))
        assert len(drawing.outlines) == (2 if kind == "mixture" else 1)
        middles = np.stack([line.mean(axis=0) for line in drawing.texture])
        assert len(middles) > 5
        assert np.any([hatching.within(shape, middles) for shape in drawing.outlines], axis=0).all()
        assert np.concatenate(drawing.lines).min() > 0
        assert np.concatenate(drawing.lines).max() < 1

    def test_keeps_its_distance(self) -> None:
        shape = hatching.outline(np.random.default_rng(0), (0.5, 0.5), 0.4)
        lines = hatching.hatch(shape, 0.05, 0.3, np.random.default_rng(1))
        across = np.unique(np.round([line.mean(axis=0) @ (-np.sin(0.3), np.cos(0.3)) for line in lines], 5))
        assert np.diff(across) == pytest.approx(0.05, abs=0.01)
        dots = np.concatenate(hatching.stipple(shape, 0.05, np.random.default_rng(1)))
        assert pdist(dots).min() >= 0.05
        assert len(dots) > 0.5 * np.pi * 0.32**2 / 0.05**2, "and leaves little room"

    def test_within_a_square(self) -> None:
        square = np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8], [0.2, 0.2]])
        points = np.random.default_rng(0).random((200, 2))
        expected = ((points > 0.2) & (points < 0.8)).all(axis=1)
        assert np.array_equal(hatching.within(square, points), expected)


class TestTextures:
    drawing = hatching.draw("hatching", PEN, np.random.default_rng(0))

    def test_edge_and_centre_line_are_one_outside_the_ink_and_two_within(self) -> None:
        ways = textures.write_down(self.drawing)
        edge, centre = ways["edge"][0], ways["centre line"][0]
        assert np.abs(edge - centre)[centre < -0.1].max() < 0.06, "half a pixel of the fine grid"
        assert edge.max() > 2 * centre.max(), "the ink's edge is far where lines merge, a line never is"
        assert np.array_equal(ways["edge + thin ink"], np.concatenate([ways["edge"], ways["thin ink"]]))

    def test_merged_lines_are_found_in_all_but_edge_and_ink(self) -> None:
        f1 = {
            way: textures.score(textures.found(way, picture), self.drawing, PEN)
            for way, picture in textures.write_down(self.drawing).items()
        }
        assert set(f1) == set(textures.WAYS)
        assert max(f1["edge"], f1["ink"]) < 0.5 < 0.98 < min(f1["centre line"], f1["thin ink"])

    def test_score_is_f1(self) -> None:
        line = hatching.Drawing((), (np.array([[0.2, 0.5], [0.8, 0.5]], np.float32),))
        along = np.linspace(0.2, 0.8, 200)
        on, off = np.stack([along, np.full(200, 0.5)], 1), np.stack([along, np.full(200, 0.6)], 1)
        assert textures.score(on, line, 1.0) == 1
        assert textures.score(off, line, 1.0) == 0
        assert textures.score(np.zeros((0, 2)), line, 1.0) == 0
        assert textures.score(np.concatenate([on, off]), line, 1.0) == pytest.approx(2 / 3)
        outlined = hatching.Drawing((np.array([[0.2, 0.6], [0.8, 0.6]], np.float32),), line.texture)
        assert textures.score(np.concatenate([on, off]), outlined, 1.0) == 1
        assert textures.score(off, outlined, 1.0) == 0
        beside = on + np.array([0, 0.9 / 128])
        assert textures.score(beside, line, 1.0) > 0.95
        assert textures.score(beside, line, 2 / 128) == 0, "half the spacing away is nobody's"

    def test_channels_are_cut_and_joined(self) -> None:
        pictures = torch.from_numpy(textures.write_down(self.drawing)["edge + thin ink"])[None].repeat(2, 1, 1, 1)
        codec = channels.train(pictures, textures.SHAPE, steps=2)

        class Mirror(torch.nn.Module):
            def forward(self, tiles: torch.Tensor) -> tuple[torch.Tensor, None]:
                return tiles, None

        assert torch.equal(channels.read_back(Mirror(), pictures, textures.SHAPE), pictures)
        assert channels.read_back(codec, pictures, textures.SHAPE).shape == pictures.shape


def test_context_measures_every_checkpoint_in_both_orders(tmp_path: Path) -> None:
    folders = [tiny_model.write_checkpoint(tmp_path / str(n), tiny_model.small(f"refiner.context={n}")) for n in (0, 2)]
    rows = context.measure(folders, drawings.draw_many(6, labels=tiny_model.LABELS))
    given = ["enlarged, not refined", "its own codes", "its own codes, borderless", "the drawing itself"]
    assert [row["row"] for row in rows[:4]] == given
    assert [(row["context"], row["slots"], row["order"]) for row in rows[4:]] == [
        (levels, slots, order) for levels, slots in ((0, 1), (2, 19)) for order in context.ORDERS
    ]
    assert rows[3]["ink f1"] == 1
    assert rows[0]["seam"] == pytest.approx(0, abs=1e-5)
    for row in rows[4:]:
        assert row["code loss"] > 0
        assert 0 <= row["code accuracy"] < 0.5
    context.plot(tmp_path / "plot.png", rows)
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.size == (1200, 280)


def test_a_server_that_does_not_start_ends_the_measurement(capfd: pytest.CaptureFixture) -> None:
    """It ends with the server's own message and exit code."""
    pytest.importorskip("fastapi")
    with pytest.raises(SystemExit) as ended, served("--batch", 0):
        pass
    assert ended.value.code == 2
    assert "--batch" in capfd.readouterr().err


def test_export_names_the_drawings_that_there_are(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    import export

    store = tiny_model.pack_drawings(tmp_path)
    rows = export.tested(store)
    assert np.array_equal(rows, store.rows("test")), "all, where there are few"
    model = SketchModel.load(tiny_model.write_checkpoint(tmp_path / "random", tiny_model.small()))

    def always(fields: torch.Tensor) -> torch.Tensor:
        return torch.eye(len(model.labels))[[0] * len(fields)]

    true = [store[int(row)].label for row in rows]
    share = export.accuracy(model, {"always": always}, store, rows)["always"]
    assert share == pytest.approx(true.count(model.labels[0]) / len(true), abs=1e-4)
    store.split[:] = 0
    with pytest.raises(UsageError, match="no test drawings"):
        export.tested(store)


class TestIcons:
    """studies/icons.py"""

    CIRCLE = '<circle cx="12" cy="12" r="9" fill="none" stroke="currentColor"/>'
    CROSS = '<path d="M3 3L21 21M21 3L3 21M12 2V22" fill="none" stroke="currentColor"/>'

    @pytest.mark.parametrize(
        ("name", "plain"),
        [("cat", "cat"), ("cat-outline-24", "cat"), ("ios-hot-dog-filled", "hot-dog"), ("line", "line")],
    )
    def test_a_name_is_plain_without_style_and_size(self, name: str, plain: str) -> None:
        assert icons.plain(name) == plain

    def test_collects_what_is_permitted_and_unlike_the_held_out_icons(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sets = {
            "mdi": ("Apache-2.0", {"star": self.CIRCLE}),
            "copied": ("MIT", {"star-outline": self.CIRCLE, "star-solid": self.CROSS, "star-bold": self.CROSS}),
            "other": ("MIT", {"sun": self.CIRCLE, "brand": self.CROSS}),
            "closed": ("GPL-3.0", {"star": self.CROSS}),
        }
        (tmp_path / "json").mkdir()
        about = {name: {"license": {"spdx": spdx}} for name, (spdx, _) in sets.items()}
        (tmp_path / "collections.json").write_text(json.dumps(about))
        for name, (_, bodies) in sets.items():
            found = {"icons": {key: {"body": body} for key, body in bodies.items()}, "width": 24, "height": 24}
            (tmp_path / "json" / f"{name}.json").write_text(json.dumps(found))
        monkeypatch.setattr(sys, "argv", ["icons.py", str(tmp_path), "--out", str(tmp_path / "out")])
        icons.main()
        made = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.svg"))
        assert made == ["held/mdi/star/star.svg", "train/star/copied--star-solid.svg"]


class TestClipArt:
    """studies/clip_art.py"""

    WORDS: ClassVar[dict[str, str]] = {"cat": "cat", "kitten": "cat", "house": "house", "hot-dog": "hot dog"}
    CIRCLE = '<circle cx="20" cy="20" r="15" fill="none" stroke="black"/>'
    STAR = '<path d="M20 2L31 37L2 15L38 15L9 37Z" fill="none" stroke="black"/>'

    @pytest.mark.parametrize(
        ("title", "stem", "label"),
        [
            ("Cat", "a", "cat"),
            ("laughing cats 02", "a", "cat"),
            ("a tasty Hot Dog", "a", "hot dog"),
            ("the house of a cat", "a", None),
            ("dog and cat", "a", None),
            ("", "kitten_jane_doe_01", "cat"),
            ("untitled", "tower", None),
        ],
    )
    def test_the_class_is_what_the_title_or_the_file_names(self, title: str, stem: str, label: str | None) -> None:
        assert clip_art.label(title, stem, self.WORDS) == label

    def test_sorts_in_two_halves_that_share_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(12):  # the same circle twelve times, and a star
            self._write(tmp_path / f"in/cat_{number}.svg", self.CIRCLE)
        trained = next(
            f"star_{number}" for number in range(9) if clip_art.Picture(Path(f"star_{number}"), "").split == "train"
        )
        self._write(tmp_path / f"in/{trained}.svg", self.STAR)
        self._write(tmp_path / "in/logos/star.svg", self.STAR)
        (tmp_path / "in/cat_12.svg").write_text("hello, I am a letter")
        monkeypatch.setattr(sys, "argv", ["clip_art.py", str(tmp_path / "in"), "--out", str(tmp_path / "out")])
        clip_art.main()
        made = sorted(str(file.relative_to(tmp_path / "out")) for file in (tmp_path / "out").rglob("*.svg"))
        assert made.pop() == f"train/star/{trained}.svg"
        assert 0 < len(made) < 12
        assert all(one.startswith("test/cat/cat_") for one in made)

    @staticmethod
    def _write(path: Path, body: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 40">{body}</svg>')


def test_outlines_are_those_of_objects_of_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """studies/outlines.py"""
    pytest.importorskip("cv2", reason="pip install visketch[language]")
    for folder in ("star", "nonsense"):
        (tmp_path / folder).mkdir()
        photo = Image.new("RGB", (200, 160), "white")
        ImageDraw.Draw(photo).ellipse((50, 30, 150, 130), fill="darkred")
        photo.save(tmp_path / folder / "a.png")
    monkeypatch.setattr(sys, "argv", ["outlines.py", "--photos", str(tmp_path), "--out", str(tmp_path / "out")])
    outlines.main()
    files = sorted((tmp_path / "out").rglob("*.svg"))
    assert [file.relative_to(tmp_path / "out").parts[1:] for file in files] == [
        ("star", "a-0-1.svg"),
        ("star", "a-0-2.svg"),
    ]
    (drawn,) = read(files[0])
    points = np.concatenate(drawn.strokes)
    wide, high = np.ptp(points, axis=0)
    assert wide == pytest.approx(high, rel=0.1), "a circle"
