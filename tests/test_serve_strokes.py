"""The server's API with weights that draw strokes: how strokes are shown, variations, morphs, animations."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drawings
import numpy as np
import pytest
from PIL import Image
from tiny_model import awake, small, write_checkpoint

from visketch import checkpoint

pytest.importorskip("fastapi")

from starlette.testclient import TestClient

from visketch.model import SketchModel
from visketch.serve import schemas
from visketch.serve.app import build
from visketch.serve.responses import PAGE
from visketch.serve.service import Service

CAT = [np.round(line, 1).T.tolist() for line in drawings.draw("cat").lines()]
STAR = [np.round(line, 1).T.tolist() for line in drawings.draw("star").lines()]
STROKES = ("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2", "diffusion.pieces=24")
EVENTS = {"accept": "text/event-stream"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The checkpoint has no refiner, since strokes are not refined."""
    home = write_checkpoint(tmp_path_factory.mktemp("weights"), small(*STROKES))
    checkpoint.part_file(home, "refiner").unlink()
    with TestClient(build(Service(SketchModel.load(home))), base_url="http://localhost") as client:
        yield client


def events(answer: Any) -> list[tuple[str, dict]]:
    assert answer.status_code == 200, answer.text
    blocks = [block.split("\n") for block in answer.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in blocks]


def test_what_it_can_do_says_so(server: TestClient) -> None:
    verbs = server.get("/v1/about").json()["verbs"]
    assert {"generate", "complete", "vary", "morph"} <= set(verbs)
    assert "refine" not in verbs


def test_strokes_are_shown_while_they_are_drawn_and_no_pictures(server: TestClient) -> None:
    asked = {"class": "cat", "n": 3, "tries": 2, "detail": 6}
    said = events(server.post("/v1/generate", json=asked, headers=EVENTS))
    assert {name for name, _ in said} == {"coarse", "done"}
    *frames, (_, done) = said
    assert [data["done"] for _, data in frames] == list(range(1, len(frames) + 1))
    for _, data in frames:
        assert "pictures" not in data
        assert len(data["drawings"]) == 6
        assert all(1 <= len(drawing) <= 6 for drawing in data["drawings"])
    for sketch in done["sketches"]:
        last = frames[-1][1]["drawings"][sketch["picture"]]
        assert [len(x) for x, _ in last] == [len(x) for x, _ in sketch["drawing"]]
    assert done["sketches"] == server.post("/v1/generate", json=asked).json()["sketches"]


@pytest.mark.parametrize("verb", ["generate", "complete", "vary"])
def test_the_first_is_whole_before_the_others_begin(server: TestClient, verb: str) -> None:
    asked = {"class": "cat", "n": 4, "tries": 2, **({} if verb == "generate" else {"drawing": CAT[:3]})}
    *frames, (_, done) = events(server.post(f"/v1/{verb}", json=asked, headers=EVENTS))
    shares = [data["shares"] for _, data in frames]
    whole = next(number for number, each in enumerate(shares) if each[0] == 1)
    assert shares[whole][1:] == [0] * 7
    assert shares[-1] == [1] * 8
    drawn = [data["drawings"][0] for _, data in frames]
    assert all(each == drawn[whole] for each in drawn[whole:])
    assert done["sketches"] == server.post(f"/v1/{verb}", json=asked).json()["sketches"]


def test_completions_are_shown_with_what_was_given(server: TestClient) -> None:
    asked = {"drawing": CAT[:3], "class": "cat", "n": 2, "tries": 2}
    *frames, (_, done) = events(server.post("/v1/complete", json=asked, headers=EVENTS))
    assert all(len(drawing) > 3 for _, data in frames for drawing in data["drawings"])
    first = [data["drawings"][0][:3] for _, data in frames]
    assert all(each == first[0] for each in first), "what was given stays"
    assert all(sketch["given"] == 3 for sketch in done["sketches"])


def test_variations_and_their_seeds(server: TestClient) -> None:
    asked = {"drawing": CAT, "class": "cat", "n": 2, "seed": 5, "strength": 0.3}
    found = schemas.SketchesResponse.model_validate(server.post("/v1/vary", json=asked).json())
    assert [sketch.seed for sketch in found.sketches] == [5, 6]
    (second,) = server.post("/v1/vary", json=asked | {"n": 1, "seed": 6}).json()["sketches"]
    for one, other in zip(second["drawing"], found.sketches[1].drawing, strict=True):
        np.testing.assert_allclose(one, other, atol=0.1)
    named = {key: value for key, value in asked.items() if key != "class"}
    assert server.post("/v1/vary", json=named).status_code == 200


def test_a_morph_goes_from_one_to_the_other(server: TestClient) -> None:
    asked = {"drawing": CAT, "to": STAR, "class": "cat", "to_class": "star", "steps": 5}
    *frames, (_, done) = events(server.post("/v1/morph", json=asked, headers=EVENTS))
    assert frames[-1][1]["done"] == frames[-1][1]["total"]
    assert done["classes"] == ["cat", "star"]
    assert len(done["drawings"]) == 5
    assert len({tuple(len(x) for x, _ in drawing) for drawing in done["drawings"]}) == 1
    assert all(0 < value < PAGE for x, y in done["drawings"][0] for value in (*x, *y))
    points = np.concatenate([np.array(stroke).T for stroke in done["drawings"][-1]])
    drawn = np.concatenate([np.array(stroke).T for stroke in STAR])
    drawn = (drawn - drawn.min(axis=0)) * np.ptp(points, axis=0).max() / np.ptp(drawn, axis=0).max()
    np.testing.assert_allclose(np.ptp(drawn, axis=0), np.ptp(points, axis=0), atol=1)


def test_animations_to_keep(server: TestClient) -> None:
    plain, moving = (
        server.post("/v1/vectorize", json={"drawing": CAT, "animate": yes}).json() for yes in (False, True)
    )
    assert plain["gif"] is None
    assert "animation: draw" not in plain["svg"]
    assert "animation: draw" in moving["svg"]
    with Image.open(io.BytesIO(base64.b64decode(moving["gif"]))) as picture:
        assert picture.n_frames > 20
        assert max(picture.size) == 512


@pytest.mark.parametrize(
    ("verb", "asked", "words"),
    [
        ("generate", {"class": "cat", "detail": 0}, "detail"),
        ("generate", {"class": "cat", "detail": 25}, "at most 24"),
        ("generate", {"class": "cat", "detail": "lots"}, "detail"),
        ("vary", {"drawing": CAT, "strength": 2}, "strength"),
        ("vary", {"drawing": CAT * 40}, "at most 24"),
        ("morph", {"drawing": CAT}, "to"),
        ("morph", {"drawing": CAT, "to": []}, "to"),
        ("morph", {"drawing": CAT, "to": [[[1e9, 0], [0, 0], [1, 1]]]}, "drawing"),
        ("morph", {"drawing": CAT, "to": STAR, "steps": 1}, "steps"),
        ("morph", {"drawing": CAT, "to": STAR, "to_class": "qwertz"}, "qwertz"),
    ],
)
def test_refusals(server: TestClient, verb: str, asked: dict, words: str) -> None:
    answer = server.post(f"/v1/{verb}", json=asked)
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["detail"]


def test_a_part_trained_with_another_vqvae_is_left_out(tmp_path: Path) -> None:
    settings = small()
    home = write_checkpoint(tmp_path, settings)
    assert "refine" in Service(SketchModel.load(home)).verbs
    checkpoint.save_part(home, "vqvae", awake(settings, "vqvae", seed=1), {}, {})
    without = Service(SketchModel.load(home))
    assert without.outdated == {"refiner": "vqvae"}
    assert "refine" not in without.verbs
    without.load(lambda event: None)


def test_weights_without_strokes_neither_vary_nor_morph(tmp_path: Path) -> None:
    home = write_checkpoint(tmp_path, small())
    with TestClient(build(Service(SketchModel.load(home))), base_url="http://localhost") as client:
        assert not {"vary", "morph"} & set(client.get("/v1/about").json()["verbs"])
        assert client.post("/v1/vary", json={"drawing": CAT}).status_code == 404
