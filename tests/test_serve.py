"""The server's API with tiny weights: answers, refusals, and the jobs that wait for the model."""

import asyncio
import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drawings
import numpy as np
import pytest
import torch
from command_line import visketch
from PIL import Image, ImageDraw
from tiny_model import LABELS, small, write_checkpoint, write_ndjson

pytest.importorskip("fastapi")

from starlette.testclient import TestClient

from visketch.data import write
from visketch.data.read import read
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.serve import responses, schemas
from visketch.serve.app import VERBS, build
from visketch.serve.metrics import Metrics
from visketch.serve.run import check_token, listen
from visketch.serve.sandbox import SandboxedReader
from visketch.serve.service import Service
from visketch.serve.worker import WAIT, Full, Stopped, Worker

CAT = [np.round(line, 1).T.tolist() for line in drawings.draw("cat").lines()]
STAR = [np.round(line, 1).T.tolist() for line in drawings.draw("star").lines()]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights"), small())


@pytest.fixture(scope="module")
def gallery(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("usearch")
    home = tmp_path_factory.mktemp("gallery")
    write_ndjson(home / "in/all.ndjson", drawings.draw_many(12))
    result = visketch("index", home / "in", "--out", home / "index", "--checkpoint", checkpoint)
    assert result.exit_code == 0, result.output
    return home / "index"


@pytest.fixture(scope="module")
def server(checkpoint: Path, gallery: Path) -> Iterator[TestClient]:
    studio = Service(SketchModel.load(checkpoint), gallery, "in")
    with TestClient(build(studio), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def problem(answer: Any, status: int, *saying: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = schemas.ProblemDetails.model_validate(answer.json())
    assert said.status == status
    assert said.request_id == answer.headers["x-request-id"]
    for words in saying:
        assert words in said.detail


def picture(drawing: list, side: int = 300) -> bytes:
    page = Image.new("L", (side, side), 255)
    for x, y in drawing:
        ImageDraw.Draw(page).line(list(zip(x, y, strict=True)), fill=0, width=4)
    content = io.BytesIO()
    page.save(content, "PNG")
    return content.getvalue()


class TestAnswers:
    def test_classify_is_what_the_command_line_says(self, server: TestClient, checkpoint: Path, tmp_path: Path) -> None:
        answer = server.post("/v1/classify", json={"drawing": CAT, "top": 3}).json()
        (tmp_path / "cat.ndjson").write_text(json.dumps({"drawing": CAT}))
        said = visketch("classify", tmp_path / "cat.ndjson", "--top", 3, "--json", "--checkpoint", checkpoint)
        (row,) = json.loads(said.stdout)
        rows = [schemas.PredictionItem.model_validate(guess, strict=True) for guess in row["predictions"]]
        assert [guess.label for guess in rows] == [guess["label"] for guess in answer["predictions"]]
        for one, other in zip(rows, answer["predictions"], strict=True):
            assert one.probability == pytest.approx(other["probability"], abs=1e-4)

    def test_classify_says_how_sure_it_is_and_how_many_drawings_there_are(self, tmp_path: Path) -> None:
        studio = Service(SketchModel.load())
        sketches = {"cat": drawings.draw("cat"), "page": drawings.two_on_a_page()}
        answers = studio.recognise([(sketch, 1) for sketch in sketches.values()])
        for (name, sketch), answer in zip(sketches.items(), answers, strict=True):
            write_ndjson(tmp_path / f"{name}.ndjson", [sketch])
            (row,) = json.loads(visketch("classify", tmp_path / f"{name}.ndjson", "--json").stdout)
            assert isinstance(answer, schemas.ClassifyResponse)
            assert (answer.sure, answer.separate) == (row["sure"], row.get("separate", 1))
        assert row["separate"] == 2

    def test_strokes_in_every_form_are_the_same_drawing(self, server: TestClient) -> None:
        pairs = [list(map(list, zip(*stroke, strict=True))) for stroke in CAT]
        forms = [
            pairs,
            [[{"x": x, "y": y, "t": 0} for x, y in stroke] for stroke in pairs],
            [{"x": x, "y": y} for x, y in CAT],
        ]
        said = server.post("/v1/classify", json={"drawing": CAT}).json()["predictions"]
        for drawing in forms:
            assert server.post("/v1/classify", json={"drawing": drawing}).json()["predictions"] == said

    def test_a_line_of_quickdraw_may_be_sent_as_it_is(self, server: TestClient) -> None:
        line = {"word": "cat", "countrycode": "VE", "timestamp": "2017-03-02 23:25:10.07453 UTC", "recognized": True}
        line |= {"key_id": "5201136883597312", "drawing": CAT}
        said = server.post("/v1/classify", json={"drawing": CAT, "top": 2}).json()["predictions"]
        assert server.post("/v1/classify", json=line | {"top": 2}).json()["predictions"] == said
        made = {"seed": 3, "score": None, "made": {"checkpoint": "small"}}  # what `visketch generate` adds
        assert server.post("/v1/classify", json=line | made | {"top": 2}).json()["predictions"] == said
        two = {"key_id": "1", "drawing": [[[0, 60], [50, 0]]]}  # two points each; the line says that these are rows
        assert server.post("/v1/classify", json=two).status_code == 200
        problem(
            server.post("/v1/classify", json=line | {"words": 1}),
            422,
            "words: not a field of this request; known: drawing, top",
        )

    @pytest.mark.parametrize("path", ["/", "/v1/about", "/healthz", "/readyz", "/metrics", "/openapi.json", "/nowhere"])
    def test_head_answers_where_get_does(self, server: TestClient, path: str) -> None:
        answer, head = server.get(path), server.head(path)
        assert (head.status_code, head.content) == (answer.status_code, b"")
        assert head.headers["content-type"] == answer.headers["content-type"]
        assert server.head("/v1/classify").status_code == 405

    def test_strokes_and_files_of_them_are_the_same_drawing(self, server: TestClient) -> None:
        lines = [np.array(stroke).T for stroke in CAT]
        files = {"a.ndjson": json.dumps({"drawing": CAT}), "b.svg": write.svg([(lines, 3.0)], 255, 255, {})}
        said = server.post("/v1/classify", json={"drawing": CAT}).json()["predictions"]
        for name, text in files.items():
            answer = server.post("/v1/classify", files={"file": (name, text)}, data={"top": "3"})
            assert answer.status_code == 200, answer.text
            assert answer.json()["predictions"][0]["label"] == said[0]["label"]

    def test_a_picture_becomes_strokes(self, server: TestClient) -> None:
        answer = server.post("/v1/vectorize", files={"file": ("star.png", picture(STAR))})
        found = schemas.VectorizeResponse.model_validate(answer.json())
        assert (found.width, found.height) == (300, 300)
        points = np.concatenate([np.array(stroke).T for stroke in found.drawing])
        drawn = np.concatenate([np.array(stroke).T for stroke in STAR])
        assert np.abs(points.min(axis=0) - drawn.min(axis=0)).max() < 5
        assert np.abs(points.max(axis=0) - drawn.max(axis=0)).max() < 5
        for name, text in (("again.svg", found.svg), ("again.ndjson", found.ndjson)):
            assert server.post("/v1/vectorize", files={"file": (name, text)}).status_code == 200

    def test_generate_depends_on_the_seed_only(self, server: TestClient) -> None:
        one, two, other = (
            server.post("/v1/generate", json={"class": "cat", "n": 2, "seed": seed}) for seed in (3, 3, 4)
        )
        assert one.json()["sketches"] == two.json()["sketches"] != other.json()["sketches"]
        assert one.headers["etag"] == two.headers["etag"] != other.headers["etag"]
        assert one.headers["x-request-id"] != two.headers["x-request-id"]
        found = schemas.SketchesResponse.model_validate(one.json(), by_alias=True)
        assert [sketch.seed for sketch in found.sketches] == [3, 4]
        assert all(sketch.label == "cat" and sketch.size == 64 for sketch in found.sketches)

    def test_generate_shows_the_coarse_stage_then_every_wave(self, server: TestClient) -> None:
        asked = {"class": "house", "n": 2, "seed": 1}
        answer = server.post("/v1/generate", json=asked, headers={"accept": "text/event-stream"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = [block.split("\n") for block in answer.text.strip().split("\n\n")]
        said = [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in events]
        names = [name for name, _ in said]
        assert names == sorted(names, key=["coarse", "leaves", "refine", "done"].index)
        assert names.count("leaves") == names.count("done") == 1
        frames = [data for name, data in said if name in ("coarse", "refine")]
        assert frames[-1]["done"] == frames[-1]["total"]
        sizes = [Image.open(io.BytesIO(png(each))).size for data in frames for each in data["pictures"]]
        assert set(sizes) == {(16, 16), (64, 64)}
        leaves = dict(said)["leaves"]["leaves"]
        assert all(0 <= x < 1 and 0 <= y < 1 and side == 0.25 for sketch in leaves for x, y, side, _ in sketch)
        assert {turn for sketch in leaves for *_, turn in sketch} == set(range(1, frames[-1]["total"] + 1))
        plain = server.post("/v1/generate", json=asked).json()
        assert dict(said)["done"]["sketches"] == plain["sketches"]

    def test_a_sketch_says_which_of_the_pictures_it_was(self, server: TestClient, checkpoint: Path) -> None:
        asked = {"class": "cat", "n": 3, "tries": 2, "seed": 5}
        answer = server.post("/v1/generate", json=asked, headers={"accept": "text/event-stream"}).text
        events = [json.loads(line.removeprefix("data: ")) for line in answer.splitlines() if line.startswith("data: ")]
        shown, sketches = events[-2]["pictures"], events[-1]["sketches"]
        assert len(shown) == 6
        assert [sketch["picture"] // 2 for sketch in sketches] == [0, 1, 2]
        model = SketchModel.load(checkpoint)
        kept = model.ink(model.generate_fields("cat", 3, tries=2, seed=5).canvas)
        for sketch, ink in zip(sketches, kept.numpy(), strict=True):
            alpha = np.asarray(Image.open(io.BytesIO(png(shown[sketch["picture"]]))))[..., 1] / 255
            assert np.abs(alpha - ink).mean() < 0.01

    def test_no_picture_is_made_of_what_nobody_watches(
        self, server: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = []
        monkeypatch.setattr(responses, "picture", lambda ink, draw=responses.picture: made.append(1) or draw(ink))
        for verb, asked in (
            ("generate", {"n": 2}),
            ("refine", {"drawing": CAT}),
            ("complete", {"drawing": CAT[:3], "n": 2}),
        ):
            made.clear()
            plain = server.post(f"/v1/{verb}", json={"class": "cat", **asked})
            assert plain.status_code == 200, plain.text
            assert not made
            watched = server.post(
                f"/v1/{verb}", json={"class": "cat", **asked}, headers={"accept": "text/event-stream"}
            )
            assert made
            done = json.loads(watched.text.strip().split("data: ")[-1])
            assert done["sketches"] == plain.json()["sketches"]

    def test_refine_and_explain(self, server: TestClient) -> None:
        refined = server.post("/v1/refine", json={"drawing": CAT, "class": "Star", "seed": 2}).json()
        (sketch,) = schemas.SketchesResponse.model_validate(refined).sketches
        assert (sketch.label, sketch.seed) == ("star", 2)
        why = schemas.ExplainResponse.model_validate(server.post("/v1/explain", json={"drawing": CAT}).json())
        assert why.label in LABELS
        assert sum(vote.weight for vote in why.leaves) == pytest.approx(1, abs=1e-3)
        assert why.words.startswith(why.label)

    def test_complete_keeps_what_is_given(self, server: TestClient) -> None:
        part = CAT[:3]
        answer = server.post("/v1/complete", json={"drawing": part, "class": "cat", "n": 3, "tries": 1})
        found = schemas.CompleteResponse.model_validate(answer.json())
        assert len(found.sketches) == 3
        for sketch in found.sketches:
            assert sketch.given == len(part)
            given, drawn = np.hstack(part), np.hstack(sketch.drawing[: sketch.given])
            scale = np.ptp(drawn, axis=1) / np.ptp(given, axis=1)
            assert scale[0] == pytest.approx(scale[1], rel=0.01)

    def test_search_finds_the_same_drawing_first(self, server: TestClient) -> None:
        sketch = drawings.draw_many(12)[5]
        drawing = [np.rint(stroke).T.tolist() for stroke in sketch.strokes or ()]
        found = schemas.SearchResponse.model_validate(
            server.post("/v1/search", json={"drawing": drawing, "n": 4}).json()
        )
        assert found.drawings == 12
        assert len(found.found) == 4
        assert found.found[0].similarity == pytest.approx(1, abs=2e-3)
        assert found.found[0].name == "all.ndjson#6"
        assert len(found.found[0].drawing) == len(drawing)

    def test_about_says_what_it_can(self, server: TestClient, checkpoint: Path) -> None:
        said = schemas.About.model_validate(server.get("/v1/about").json())
        assert said.labels == list(LABELS)
        assert said.index == "in"
        assert "search" in said.verbs
        assert "search" not in Service(SketchModel.load(checkpoint)).verbs

    def test_probes_and_counters(self, server: TestClient) -> None:
        assert server.get("/healthz").json() == {"status": "ok"}
        assert server.get("/readyz").json() == {"status": "ready"}
        server.post("/v1/classify", json={"drawing": STAR})
        counted = server.get("/metrics").text
        assert 'visketch_requests_total{path="/v1/classify",status="200"}' in counted
        assert 'visketch_waiting{lane="quick"} 0.0' in counted

    def test_what_is_refused_is_counted_under_its_path(self, server: TestClient) -> None:
        refusals = {403: {"origin": "https://elsewhere.example"}, 413: {"content-length": str(1 << 40)}}
        for status, headers in refusals.items():
            for path in ("/v1/search", "/v1/nothing"):
                problem(server.post(path, headers=headers), status)
        counted = server.get("/metrics").text
        for status in refusals:
            assert f'visketch_requests_total{{path="/v1/search",status="{status}"}} 1.0' in counted
            assert f'visketch_requests_total{{path="page",status="{status}"}}' in counted
        assert "/v1/nothing" not in counted, "anybody could add names without end"


def png(address: str) -> bytes:
    import base64

    return base64.b64decode(address.removeprefix("data:image/png;base64,"))


class TestRefusals:
    @pytest.mark.parametrize(
        ("asked", "saying"),
        [
            ({}, "drawing: missing; send it as /api.html shows"),
            ({"drawing": []}, "drawing: empty; send at least one stroke"),
            ({"drawing": 3}, "drawing: must be a list of strokes"),
            ({"drawing": [1] * 2001}, "drawing: more than 2000 strokes; simplify it"),
            ([], "the request: must be a JSON object"),
            ({"drawing": [[[1, 2], [3]]]}, "equally many"),
            ({"drawing": [[["1"], [2]]]}, "numbers"),
            ({"drawing": [[[1e9], [2]]]}, "larger than 1,000,000"),
            ({"drawing": [[[0, 60], [50, 0]]]}, "[[x...], [y...]] or [[x, y], ...]"),
            ({"drawing": STAR, "topp": 3}, "topp: not a field of this request; did you mean 'top'?"),
            ({"drawing": STAR, "colour": 3}, "colour: not a field of this request; known: drawing, top"),
            ({"drawing": STAR, "top": 0}, "top"),
            ({"drawing": [[[1.0] * 20_000, [1.0] * 20_000]] * 2}, "20,000 points"),
        ],
    )
    def test_what_is_no_drawing(self, server: TestClient, asked: dict, saying: str) -> None:
        problem(server.post("/v1/classify", json=asked), 422, saying)

    def test_wrong_words(self, server: TestClient) -> None:
        problem(server.post("/v1/generate", json={"class": "catz"}), 422, "did you mean 'cat'")
        problem(server.post("/v1/generate", json={"class": "cat", "n": 17}), 422, "n: ")
        problem(server.post("/v1/generate", json={"class": ""}), 422, "class: empty; name a class that GET /v1/about")
        problem(server.post("/v1/generate", json={"class": "c" * 65}), 422, "class: longer than 64 characters")
        unknown = {"class": "cat", "detail": "x", "coarse_only": 3}
        problem(
            server.post("/v1/generate", json=unknown), 422, "detail: must be 'few', 'usual' or 'many'; detail: must"
        )
        problem(server.post("/v1/generate", json=unknown), 422, "coarse_only: must be true or false")
        json_like = {"content": b"{a", "headers": {"content-type": "application/json"}}
        said = "the request: not valid JSON (key must be a string at line 1 column 2); correct it"
        problem(server.post("/v1/classify", **json_like), 422, said)
        problem(server.post("/v1/classify", content=b"x", headers={"content-type": "text/plain"}), 415, "JSON")
        problem(server.post("/v1/classify", data={"top": "3"}, files={"other": b""}), 422, '"file"')
        problem(
            server.post("/v1/classify", data={"colour": "3"}, files={"file": b"x"}), 422, "request; known: file, top"
        )
        problem(server.get("/nowhere"), 404, "nothing is at this address; /api.html lists what is where")
        problem(server.get("/v1/nope"), 404, "nothing is at this address; /api.html lists what is where")
        problem(server.get("/v1/classify"), 405, "this address takes only POST requests; send one")
        problem(server.post("/healthz"), 405, "this address takes only GET requests; send one")

    def test_files_that_are_none_do_not_say_where_they_were(self, server: TestClient) -> None:
        for name, content in {
            "../../etc/passwd": b"root:x:0:0",
            "blank.png": picture([]),
            "cut.png": picture(CAT)[:200],
            "entities.svg": b'<!DOCTYPE svg [<!ENTITY a "b">]><svg xmlns="http://www.w3.org/2000/svg"/>',
            "empty": b"",
        }.items():
            answer = server.post("/v1/vectorize", files={"file": (name, content)})
            problem(answer, 422, "upload: ")
            assert "/tmp" not in answer.text
            assert "passwd" not in answer.text

    def test_too_many_pixels(self, server: TestClient) -> None:
        content = io.BytesIO()
        Image.new("1", (7000, 6000), 1).save(content, "PNG")
        problem(server.post("/v1/classify", files={"file": ("a.png", content.getvalue())}), 422, "million pixels")

    def test_too_many_bytes(self, server: TestClient) -> None:
        problem(server.post("/v1/classify", files={"file": ("a.png", b"\0" * (17 << 20))}), 413, "16 MB")

        def pieces() -> Iterator[bytes]:
            yield from (b" " * (1 << 20) for _ in range(18))

        headers = {"content-type": "application/json"}
        problem(server.post("/v1/classify", content=pieces(), headers=headers), 413, "16 MB")

    def test_a_name_that_was_made_to_point_here(self, server: TestClient) -> None:
        problem(server.get("/", headers={"host": "evil.example"}), 403, "not an allowed host name")
        problem(server.get("/", headers={"host": "localhost.evil.example:80"}), 403)
        for name in ("localhost:80", "127.0.0.1:8345", "[::1]:80", "LOCALHOST"):
            assert server.get("/healthz", headers={"host": name}).status_code == 200

    def test_another_sites_page(self, server: TestClient) -> None:
        for origin in ("http://evil.example", "null", "http://localhost:9"):
            problem(server.post("/v1/classify", json={"drawing": STAR}, headers={"origin": origin}), 403, "site")
        own = {"origin": "http://localhost"}
        assert server.post("/v1/classify", json={"drawing": STAR}, headers=own).status_code == 200
        assert "access-control-allow-origin" not in server.get("/healthz", headers=own).headers

    def test_every_answer_has_the_policy(self, server: TestClient) -> None:
        for path in ("/", "/main.js", "/nowhere", "/v1/about"):
            headers = server.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
        assert server.get("/", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
        assert server.get("/", headers={"x-request-id": "a b"}).headers["x-request-id"] != "a b"

    def test_an_answer_does_not_wait_for_the_head_to_be_acknowledged(self) -> None:
        with listen("127.0.0.1", 0) as port, socket.create_connection(port.getsockname()):
            connection, _ = port.accept()
            with connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_a_port_in_use_is_named_once(self) -> None:
        with listen("127.0.0.1", 0) as port:
            number = port.getsockname()[1]
            with pytest.raises(VisketchError) as told:
                listen("127.0.0.1", number)
        assert str(told.value) == f"127.0.0.1:{number}: address already in use; choose another --host or --port"

    def test_the_token(self, checkpoint: Path) -> None:
        with pytest.raises(VisketchError, match="needs a token"):
            check_token("0.0.0.0", None)
        check_token("127.0.0.1", None)
        check_token("192.168.1.4", "secret")
        app = build(Service(SketchModel.load(checkpoint)), names=frozenset({"studio.example"}), token="secret")
        with TestClient(app, base_url="http://studio.example") as client:
            assert client.get("/").status_code == 200
            problem(client.get("/v1/about"), 401, "token")
            problem(client.get("/metrics", headers={"authorization": "Bearer other"}), 401)
            assert client.get("/v1/about", headers={"authorization": "Bearer secret"}).status_code == 200
            problem(client.post("/v1/search", json={"drawing": CAT}, headers={"authorization": "Bearer secret"}), 404)


class TestSharing:
    def test_cores_share_a_batch_and_one_bad_drawing_costs_no_other(
        self, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        studio, some = Service(SketchModel.load(checkpoint)), drawings.draw_many(13)
        some[4] = Sketch(strokes=(), source="blank")
        alone = [studio.recognise([(sketch, 2)])[0] for sketch in some]
        sizes, look = [], studio.model.classify_fields
        monkeypatch.setattr(
            studio.model, "classify_fields", lambda fields, *more: sizes.append(len(fields)) or look(fields, *more)
        )
        before, studio.cores = torch.get_num_threads(), 2
        together = studio.recognise([(sketch, 2) for sketch in some])
        assert sorted(sizes) == [1, 3, 4, 4], "the blank one left out"
        assert torch.get_num_threads() == before
        for one, other in zip(alone, together, strict=True):
            if isinstance(one, VisketchError):
                assert str(other) == str(one)
                continue
            assert isinstance(one, schemas.ClassifyResponse)
            assert isinstance(other, schemas.ClassifyResponse)
            assert len(other.predictions) == 2
            for guess, same in zip(one.predictions, other.predictions, strict=True):
                assert guess.probability == pytest.approx(same.probability, abs=0.02)  # the rounding differs

    def test_few_stay_together(self, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        studio, sizes = Service(SketchModel.load(checkpoint)), []
        look = studio.model.classify_fields
        monkeypatch.setattr(
            studio.model, "classify_fields", lambda fields, *more: sizes.append(len(fields)) or look(fields, *more)
        )
        studio.cores = 8
        studio.recognise([(sketch, 1) for sketch in drawings.draw_many(7)])
        assert sizes == [7]


class TestReader:
    def test_a_file_that_takes_too_long_costs_only_itself(self) -> None:
        reader = SandboxedReader(seconds=60.0)
        star = json.dumps({"drawing": STAR}).encode()
        try:
            assert len(reader.read(star, "star.ndjson").lines()) == len(STAR)
            assert reader._process
            assert reader._process.pid
            os.kill(reader._process.pid, signal.SIGSTOP)  # however fast the machine is, it does not answer in time
            reader.seconds = 0.1
            with pytest.raises(VisketchError, match="not read within"):
                reader.read(star, "star.ndjson")
            reader.seconds = 60.0
            folder = Path(reader._folder.name) if reader._folder else None
            assert folder is None
            assert len(reader.read(star, "x.NDJSON").lines()) == len(STAR)
            assert reader._folder
            assert not list(Path(reader._folder.name).iterdir())
        finally:
            reader.close()

    def test_what_is_known_of_a_drawing_is_kept(self, tmp_path: Path) -> None:
        page = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">
            <path d="M10 90 L50 10 L90 90 Z" fill="{}" stroke="black"/></svg>"""
        reader = SandboxedReader()
        try:
            for fill in ("black", "none"):
                file = tmp_path / f"{fill}.svg"
                file.write_text(page.format(fill))
                own, uploaded = next(read(file)), reader.read(file.read_bytes(), file.name)
                assert (uploaded.about, uploaded.in_order) == (own.about, own.in_order)
                assert bool(own.about.get("filled")) is (fill == "black")
        finally:
            reader.close()

    def test_a_file_of_several_drawings_is_refused(self) -> None:
        star, reader = json.dumps({"drawing": STAR}).encode() + b"\n", SandboxedReader()
        try:
            with pytest.raises(VisketchError, match="upload: more than one drawing in it; give them one by one"):
                reader.read(star * 2, "stars.ndjson")
            assert len(reader.read(star, "star.ndjson").lines()) == len(STAR)
            bitmaps = io.BytesIO()
            np.save(bitmaps, np.tile(np.eye(28, dtype=np.uint8) * 255, (2, 1, 1)))
            with pytest.raises(VisketchError, match="more than one drawing"):
                reader.read(bitmaps.getvalue(), "two.npy")
            frames = io.BytesIO()
            line = 255 - 255 * np.eye(40, dtype=np.uint8)
            first, *more = (Image.fromarray(np.roll(line, shift, axis=0)) for shift in (0, 9))
            first.save(frames, "GIF", save_all=True, append_images=more)
            assert reader.read(frames.getvalue(), "two.gif").pixels is not None
        finally:
            reader.close()


class TestWorker:
    def run(self, work: Any, recognise: Any = list, **limits: int) -> Any:
        """Run `work(worker)` on an event loop, beside a worker's thread."""
        worker = Worker(recognise, Metrics(), **limits)

        async def main() -> Any:
            worker.start()
            try:
                return await work(worker)
            finally:
                worker.stop()

        found = asyncio.run(main())
        worker.thread.join(10)
        assert not worker.thread.is_alive()
        return found

    def test_those_that_wait_are_taken_together(self) -> None:
        sizes, go = [], threading.Event()

        def recognise(some: list) -> list:
            sizes.append(len(some))
            go.wait(10)
            return [number * 2 for number in some]

        async def work(worker: Worker) -> list[int]:
            jobs = [worker.submit("quick", 0)]
            while not sizes:
                await asyncio.sleep(0.005)
            jobs += [worker.submit("quick", number) for number in range(1, 11)]
            go.set()
            return [await job.answer for job in jobs]

        assert self.run(work, recognise, batch=8) == [2 * number for number in range(11)]
        assert sizes == [1, 8, 2]

    def test_more_than_may_wait_is_refused_at_once(self) -> None:
        go = threading.Event()

        async def work(worker: Worker) -> None:
            first = worker.submit("long", lambda emit: go.wait(10))
            while worker.lanes["long"]:
                await asyncio.sleep(0.005)
            second = worker.submit("long", lambda emit: "second")
            with pytest.raises(Full):
                worker.submit("long", lambda emit: "third")
            go.set()
            assert await first.answer
            assert await second.answer == "second"

        self.run(work, long=1)

    def test_what_is_being_recognised_is_waited_for_too(self) -> None:
        go = threading.Event()

        def recognise(some: list) -> list:
            go.wait(10)
            return some

        async def work(worker: Worker) -> None:
            worker.usual["quick"] = 0.3 * WAIT
            jobs = [worker.submit("quick", 0)]
            while not worker.taken:
                await asyncio.sleep(0.005)
            jobs += [worker.submit("quick", number) for number in (1, 2)]  # these are for the next batch
            jobs.append(worker.submit("quick", 3))  # three before it, which is 0.9 of the longest wait
            with pytest.raises(Full) as refused:
                worker.submit("quick", 4)
            assert refused.value.seconds == pytest.approx(1.2 * WAIT)
            go.set()
            assert [await job.answer for job in jobs] == [0, 1, 2, 3]
            assert not worker.taken

        self.run(work, recognise, batch=2)

    def test_recognising_goes_on_while_it_draws_and_who_is_gone_is_dropped(self) -> None:
        steps, seen = [], threading.Event()

        def draws(emit: Any) -> None:
            for step in range(1000):
                steps.append(step)
                emit("coarse", lambda: {"done": len(steps)})
                time.sleep(0.005)

        async def work(worker: Worker) -> None:
            told: list[dict] = []
            job = worker.submit("long", draws, lambda name, data: told.append(data))
            while not told:
                await asyncio.sleep(0.005)
            assert await worker.submit("quick", "cat").answer == "cat"
            assert not job.answer.done()
            worker.drop(job)
            after = worker.submit("long", lambda emit: len(steps))
            assert await after.answer < 1000
            assert worker.gauges.dropped._value.get() == 1
            seen.set()

        self.run(work)
        assert seen.is_set()

    def test_who_is_gone_holds_no_place_and_teaches_no_time(self) -> None:
        async def work(worker: Worker) -> None:
            def draws(emit: Any) -> None:
                while True:
                    emit("coarse", dict)
                    time.sleep(0.005)

            usual = dict(worker.usual)
            first = worker.submit("long", draws)
            while worker.lanes["long"]:
                await asyncio.sleep(0.005)
            waits = worker.submit("long", lambda emit: "waits")
            with pytest.raises(Full):
                worker.submit("long", lambda emit: "no room")
            worker.drop(waits)
            assert not worker.lanes["long"]
            last = worker.submit("long", lambda emit: "last")
            assert worker.gauges.dropped._value.get() == 1
            failing = worker.submit("quick", "bad")
            with pytest.raises(ZeroDivisionError):
                await failing.answer
            worker.drop(failing)  # it is done already, so nothing is cancelled
            worker.drop(first)
            assert await last.answer == "last"
            assert worker.gauges.dropped._value.get() == 2
            assert worker.usual["long"] >= 0.7 * usual["long"], "one was done"
            assert worker.usual["quick"] == usual["quick"]

        def recognise(some: list) -> list:
            return [1 // 0 for _ in some]

        self.run(work, recognise, long=1)

    def test_the_end_is_told_to_all_who_wait(self) -> None:
        async def work(worker: Worker) -> None:
            def draws(emit: Any) -> None:
                for _ in range(1000):
                    emit("coarse", dict)
                    time.sleep(0.005)

            jobs = [worker.submit("long", draws), worker.submit("long", draws)]
            await asyncio.sleep(0.05)
            worker.stop()
            for job in jobs:
                with pytest.raises(Stopped):
                    await job.answer
            with pytest.raises(Stopped):
                worker.submit("quick", 1)

        self.run(work)

    def test_a_bug_is_told_and_the_thread_goes_on(self) -> None:
        async def work(worker: Worker) -> None:
            with pytest.raises(ZeroDivisionError):
                await worker.submit("long", lambda emit: 1 // 0).answer
            assert await worker.submit("quick", 1).answer == 1

        self.run(work)


def test_answers_to_its_own_description(server: TestClient) -> None:
    """Valid and invalid requests are generated from the OpenAPI document, and it must allow the answers."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    async def running(scope: Any, receive: Any, send: Any) -> None:  # the server is running already
        if scope["type"] == "http":
            headers = [(name, b"localhost" if name == b"host" else value) for name, value in scope["headers"]]
            return await server.app({**scope, "headers": headers}, receive, send)
        for moment in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})

    schema = schemathesis.openapi.from_asgi("/openapi.json", running)
    few = {"deadline": None, "database": None, "phases": [Phase.generate], "derandomize": True}
    few["suppress_health_check"] = list(HealthCheck)
    seen = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:
            if mode.is_negative and operation.method == "get":
                continue

            slow = operation.path in ("/v1/complete", "/v1/generate") and mode.is_positive

            @settings(max_examples=1 if slow else 3, **few)
            @given(case=operation.as_strategy(generation_mode=mode))
            def holds(case: Any) -> None:
                seen.add(case.path)
                # The description allows a file of junk, but the server refuses it.
                case.call_and_validate(excluded_checks=[positive_data_acceptance], timeout=600)

            holds()
    assert {f"/v1/{verb}" for verb in VERBS} < seen
