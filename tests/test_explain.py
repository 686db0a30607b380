"""Explaining: votes that add up, boxes where the ink is, words that are true, the picture and the study."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise, permutations, product
from pathlib import Path

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from command_line import one_line, visketch
from PIL import Image

from visketch import ViSketch, quadtree
from visketch.errors import VisketchError
from visketch.evaluate.explanation import ROWS, curve, deletion, erased, gradient, left_out
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.tasks import explain
from visketch.tasks.explain import Explanation, Look, Vote, chances, deciding, erase, looked_at, shares


@pytest.fixture(scope="module")
def model() -> SketchModel:
    return SketchModel.load()


@pytest.fixture(scope="module")
def look(model: SketchModel) -> Look:
    return Look.at(model, model.render([drawings.draw("cat")]))


class TestVotes:
    def test_add_up_to_the_probability(self, model: SketchModel, look: Look) -> None:
        vote = shares(model, look, look.label)
        whole, blank = (
            model.logits(canvas, model.config.sketch.depth).softmax(dim=1)[0, look.label]
            for canvas in (look.canvas, torch.full_like(look.canvas, -1))
        )
        assert vote.sum() == pytest.approx(float(whole - blank), abs=1e-4)

    def test_are_the_mean_over_all_orders(self, model: SketchModel) -> None:
        """They are compared with Shapley's definition, for a drawing with four leaves."""
        canvas = torch.full((1, 128, 128), -1.0)
        canvas[:, 32:96, 32:96] = model.render([drawings.draw("cat")])[:, 32:96, 32:96]
        look = Look.at(model, canvas)
        assert len(look.leaves) == 4
        subsets = torch.tensor(list(product([False, True], repeat=4)))
        chance = chances(model, erase(canvas, look.leaves, subsets), look.label).exp().tolist()
        worth = dict(zip(map(tuple, subsets.tolist()), chance, strict=True))
        exact = np.zeros(4)
        for order in permutations(range(4)):
            gone = [False] * 4
            for leaf in order:
                before, gone[leaf] = worth[tuple(gone)], True
                exact[leaf] += (before - worth[tuple(gone)]) / 24
        found = shares(model, look, look.label, orders=60).numpy()
        assert np.abs(found - exact).max() < 0.2 * np.abs(exact).max()

    def test_are_the_same_each_time(self, model: SketchModel) -> None:
        one, other = (explain.explain(model, drawings.draw("star")) for _ in range(2))
        assert (one.votes, one.without, one.guesses) == (other.votes, other.without, other.guesses)

    def test_attention_is_what_the_last_block_pools_with(self, model: SketchModel, look: Look) -> None:
        found = looked_at(model, look)
        assert (found >= 0).all()
        assert 0 < found.sum() < 1, "the rest goes to the query itself"
        both = Look.at(model, model.render([drawings.draw("house")]))
        leaves = quadtree.Leaves(
            *(
                torch.cat([getattr(look.leaves, name) + shift, getattr(both.leaves, name) + more])
                for name, shift, more in (("sketch", 0, 1), ("level", 0, 0), ("z", 0, 0))
            )
        )
        with torch.inference_mode():
            together = model.part("classifier").attention(torch.cat([look.cls, both.cls]), leaves, 2)
        assert torch.allclose(together, torch.cat([found, looked_at(model, both)]), atol=1e-5), (
            "padding is not looked at"
        )

    def test_refuses_a_dot_that_no_leaf_holds(self, model: SketchModel) -> None:
        with pytest.raises(VisketchError, match="too little ink"):
            explain.explain(model, Sketch(strokes=(np.array([[3.0, 3.0]], np.float32),)))

    def test_refuses_a_blank_sketch(self, model: SketchModel) -> None:
        with pytest.raises(VisketchError, match="blank"):
            explain.explain(model, Sketch(pixels=np.zeros((9, 9), bool)))


class TestErase:
    def test_what_is_erased_is_blank_and_the_rest_is_as_it_was(self, model: SketchModel, look: Look) -> None:
        which = torch.zeros(3, len(look.leaves), dtype=torch.bool)
        which[1, 2] = which[2] = True
        copies = erase(look.canvas, look.leaves, which)
        assert torch.equal(copies[0], look.canvas[0])
        y, x, side = (quadtree.place(look.leaves)[2] * 128).tolist()
        inside = torch.zeros(128, 128, dtype=torch.bool)
        inside[round(y - side / 2) : round(y + side / 2), round(x - side / 2) : round(x + side / 2)] = True
        assert (copies[1][inside] == -1).all()
        assert torch.equal(copies[1][~inside], look.canvas[0][~inside])
        assert not (copies[2] > 0).any()

    def test_what_is_not_pooled(self, model: SketchModel, look: Look) -> None:
        """Leaving out each leaf in one batch gives the same as leaving it out alone."""
        found = left_out(model, look, look.label)
        keep = torch.arange(len(look.leaves)) != 4
        logits = explain.pooled(model, look.cls[keep], look.leaves[keep], 1)
        assert found[4] == pytest.approx(-float(logits.log_softmax(dim=1)[0, look.label]), abs=1e-4)
        assert erased(model, look, look.label).shape == gradient(model, look, look.label).shape == found.shape

    def test_a_curve_starts_whole_and_ends_blank(self, model: SketchModel, look: Look) -> None:
        found = curve(model, look, torch.arange(len(look.leaves)))
        assert found[0] == pytest.approx(float(look.logits.softmax(dim=1)[0, look.label]), abs=1e-4)
        empty = torch.full_like(look.canvas, -1)
        blank = model.logits(empty, model.config.sketch.depth).softmax(dim=1)[0, look.label]
        assert found[-1] == pytest.approx(float(blank), abs=1e-4)


class TestBoxes:
    def test_cover_the_input(self, model: SketchModel) -> None:
        """All ink lies in the boxes, in the unit of the strokes and in shares of a picture."""
        sketch = drawings.draw("fish")
        points = np.concatenate(sketch.strokes or ())
        found = explain.explain(model, sketch)
        assert within(points, [vote.input for vote in found.votes]).all()
        pixels = np.zeros((300, 600), bool)
        x, y = (np.concatenate([a + (b - a) * np.linspace(0, 1, 200)[:, None] for a, b in pairwise(points)])).T.astype(
            int
        )
        pixels[y.clip(0, 299), (x + 200).clip(0, 599)] = True
        raster = Sketch(pixels=pixels)
        rows, columns = np.nonzero(pixels)
        places = np.stack([(columns + 0.5) / 600, (rows + 0.5) / 300], axis=1)
        found = explain.explain(model, raster)
        assert within(places, [vote.input for vote in found.votes]).mean() > 0.99
        left, top, right, bottom = found.votes[0].input
        assert (right - left) * 600 == pytest.approx((bottom - top) * 300, rel=1e-6), "a leaf is square"


def within(points: np.ndarray, boxes: list[explain.Box]) -> np.ndarray:
    return np.any(
        [
            (points[:, 0] >= b[0]) & (points[:, 0] <= b[2]) & (points[:, 1] >= b[1]) & (points[:, 1] <= b[3])
            for b in boxes
        ],
        axis=0,
    )


def vote(x: float, y: float, weight: float, label: str) -> Vote:
    box = (float(x), float(y), x + 0.25, y + 0.25)
    return Vote(box, box, weight, 0.1, label, 0.5)


class TestWords:
    corners = (vote(0, 0, 0.31, "cat"), vote(0.75, 0, 0.24, "cat"), vote(0.25, 0.5, 0.2, "cat"))
    rest = (vote(0, 0.75, 0.15, "dog"), vote(0.5, 0.5, 0.12, "cat"), vote(0.75, 0.75, -0.02, "cat"))

    def test_say_which_parts_decide(self) -> None:
        said = Explanation("cat", 0.912, [*self.corners, *self.rest], 0.3).words
        assert said == (
            "cat, 91.2 %.\n"
            "One leaf at the upper left and one at the upper right have 55 % of the weight; "
            "by themselves they say cat.\n"
            "Without them, cat has 30.0 %.\nOf 6 leaves one by itself says something else."
        )

    def test_say_what_speaks_against(self) -> None:
        votes = [replace(self.corners[0], weight=0.9), *self.corners[1:], vote(0.75, 0.75, -0.2, "snake")]
        said = Explanation("cat", 0.5, votes, 0.49).words
        assert "The leaf at the upper left has 90 % of the weight; by itself it says cat." in said
        assert "Without it, cat still has 49.0 %." in said
        assert "The leaf at the lower right speaks against it; by itself it says snake." in said

    @pytest.mark.parametrize(
        ("labels", "says"),
        [
            (("snake", "snake"), "speak against it; by themselves they say snake."),
            (("cat", "snake"), "speak against it; one by itself says snake."),
            (("cat", "cat"), "speak against it."),
        ],
    )
    def test_what_speaks_against_a_class_is_not_said_to_name_it(self, labels: tuple[str, str], says: str) -> None:
        against = [vote(0.75, 0.75 * y, -0.2, label) for y, label in enumerate(labels)]
        said = Explanation("cat", 0.5, [*self.corners, *against], 0.49).words.splitlines()
        assert next(line for line in said if "against" in line).endswith(says)

    def test_say_when_no_few_decide(self) -> None:
        votes = [vote(x / 4, y / 4, 1 / 16, "cat" if x else "dog") for x in range(4) for y in range(4)]
        said = Explanation("cat", 0.5, votes, 0.4).words
        assert "from all over: even the four strongest leaves have only 25 % of the weight" in said

    @pytest.mark.parametrize(
        ("place", "name"),
        [
            ((0, 0), "at the upper left"),
            ((0.5, 0), "at the top"),
            ((1, 0.5), "on the right"),
            ((0.5, 0.6), "in the middle"),
            ((0.33, 0.67), "inside at the lower left"),
            ((0.5, 0.3), "inside at the top"),
        ],
    )
    def test_name_places(self, place: tuple[float, float], name: str) -> None:
        assert explain._region(np.array(place)) == name

    def test_count_in_places(self) -> None:
        assert (
            explain._places(Counter({"at the top": 2, "in the middle": 1}))
            == "Two leaves at the top and one in the middle"
        )

    @pytest.mark.parametrize(
        ("weights", "count"),
        [([1.0], 1), ([0.5, 0.5], 1), ([0.3, 0.3, 0.4], 2), ([0.2] * 5, 3), ([0.1] * 10, 4), ([0.6, 0.6, -0.2], 1)],
    )
    def test_half_of_the_weight_decides(self, weights: list[float], count: int) -> None:
        assert deciding(weights) == count


def test_the_vote_that_is_shown_is_truer_than_chance(model: SketchModel, tmp_path: Path) -> None:
    """This is the study in small, on the tests' own drawings."""
    store = tiny_model.pack_drawings(tmp_path)
    found = deletion(model, store, "test", 2)
    assert [row.order for row in found.curves] == list(ROWS)
    area = {row.order: row.area for row in found.curves}
    assert area["shares"] < area["random"] < area["least shares"]
    assert found.drawings == 2
    for row in found.curves:
        assert row.probability[0] == pytest.approx(found.curves[0].probability[0], abs=1e-4)
        assert row.interval[0] <= row.area <= row.interval[1]


class TestVerbs:
    @pytest.fixture
    def cat(self, tmp_path: Path) -> Path:
        tiny_model.write_ndjson(tmp_path / "cat.ndjson", [drawings.draw("cat")])
        return tmp_path / "cat.ndjson"

    def test_classify_draws_and_says_why(self, cat: Path, tmp_path: Path) -> None:
        out = tmp_path / "why.png"
        said = json.loads(visketch("classify", cat, "--explain", out, "--json").stdout)
        (row,) = said
        why = row["explanation"]
        assert why["words"].startswith(row["predictions"][0]["label"])
        assert sum(leaf["weight"] for leaf in why["leaves"]) == pytest.approx(1, abs=1e-3)
        assert {"box", "input", "weight", "attention", "label", "probability"} == set(why["leaves"][0])
        assert all(0 <= edge <= 1 for leaf in why["leaves"] for edge in leaf["box"])
        with Image.open(out) as picture:
            levels = np.asarray(picture).astype(int)
        strongest = why["leaves"][0]["box"]
        x, y = (
            (32 + round(640 * (strongest[0] + strongest[2]) / 2)),
            32 + 128 + round(640 * (strongest[1] + strongest[3]) / 2),
        )
        inside = levels[y - 60 : y + 60, x - 60 : x + 60].reshape(-1, 3)
        light = inside[inside.sum(axis=1) > 300]
        assert (light[:, 1] > light[:, 0]).mean() > 0.8, "green"
        people = visketch("classify", cat, "--explain", out, "--overwrite").stdout
        lines = people.splitlines()
        assert all(f" {sentence}" in lines for sentence in why["words"].splitlines())

    def test_a_folder_for_several(self, cat: Path, tmp_path: Path) -> None:
        tiny_model.write_ndjson(tmp_path / "two.ndjson", drawings.draw_many(2))
        (tmp_path / "bad.svg").write_text("<svg/>")
        words = ("classify", cat, tmp_path / "two.ndjson", cat, tmp_path / "bad.svg", "--explain", tmp_path / "why")
        result = visketch(*words, "--json")
        assert result.exit_code == 1
        rows = json.loads(result.stdout)
        assert ["error" in row for row in rows] == [False, False, False, False, True]
        names = ["cat-1.png", "two-1.png", "two-2.png", "cat-1-2.png"]
        assert [Path(row["explanation"]["picture"]).name for row in rows[:4]] == names
        assert sorted(path.name for path in (tmp_path / "why").iterdir()) == sorted(names)

    def test_all_done_is_no_error(self, cat: Path, tmp_path: Path) -> None:
        answers, out = tmp_path / "answers.ndjson", tmp_path / "why.png"
        assert visketch("classify", cat, "--out", answers).exit_code == 0
        words = ("classify", cat, "--out", answers, "--skip-done", "--explain", out)
        for _ in range(2):  # first without the picture, then with it
            told = visketch(*words)
            assert told.exit_code == 0, told.output
            assert "1 was there before" in told.stderr
            out.write_bytes(b"")

    def test_refuses(self, cat: Path, tmp_path: Path) -> None:
        tiny_model.write_ndjson(tmp_path / "two.ndjson", drawings.draw_many(2))
        one_line(visketch("classify", tmp_path / "two.ndjson", "--explain", tmp_path / "why.png"), 2, "folder")
        assert not (tmp_path / "why.png").exists()
        one_line(visketch("classify", cat, "--explain", "why.jpg"), 2, ".png")

    def test_the_answer_is_that_without_an_explanation(self, tmp_path: Path) -> None:
        page = tmp_path / "page.ndjson"
        tiny_model.write_ndjson(page, [drawings.two_on_a_page()])
        (plain,) = json.loads(visketch("classify", page, "--json").stdout)
        (row,) = json.loads(visketch("classify", page, "--explain", tmp_path / "why.png", "--json").stdout)
        assert {"predictions", "sure", "separate"} <= plain.keys()
        words = row.pop("explanation")["words"]
        assert row == plain
        assert words.splitlines()[-1].endswith("since it reads larger leaves and the strokes too.")
        own = ViSketch.load().explain(page)
        assert own.words == words

    def test_evaluate_explain(self, tmp_path: Path) -> None:
        store = tiny_model.pack_drawings(tmp_path)
        folder = tiny_model.write_checkpoint(tmp_path / "random", tiny_model.small())
        words = ("evaluate", "explain", "--data", store.path, "--limit", 1, "--checkpoint", folder)
        said = json.loads(visketch(*words, "--plot", tmp_path / "curves.png", "--json").stdout)
        assert said["drawings"] == 1
        assert len(said["curves"]) == len(ROWS)
        with Image.open(tmp_path / "curves.png") as picture:
            assert len(np.unique(np.asarray(picture).reshape(-1, 4), axis=0)) > 20, "lines of several colours"
        people = visketch(*words).stdout
        assert people.startswith("1 drawings (test)")
        assert all(order in people for order in ROWS)
        assert max(map(len, people.splitlines())) <= 80
        one_line(visketch(*words, "--plot", tmp_path), 2, ".png")
