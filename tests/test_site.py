"""The studio without a server: it is exported with small random weights, and visited in a real browser."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drawings
import numpy as np
import pytest
import tiny_model
import torch
from command_line import one_line, visketch
from visitor import Visitor, cat, opened

from visketch.data.read import read
from visketch.errors import VisketchError
from visketch.geometry.pieces import TOLERANCE, cut, fitted, simplified
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.models.strokes import LOOKS
from visketch.tasks import web_runtime
from visketch.tasks.complete import places

pytest.importorskip("onnx", reason="pip install visketch[onnx]")

STROKES = ("diffusion.backbone=strokes", "diffusion.width=32", "diffusion.layers=2", "diffusion.pieces=24")
CLOSE = 1e-3
SOMETHING = "(a |an )?(cat|house|star)\\??"


class Files(SimpleHTTPRequestHandler):
    """A plain file server that logs nothing."""

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of the site."""
    settings = tiny_model.small(*STROKES, "diffusion.steps=4", "diffusion.guidance=2.0")
    return tiny_model.write_checkpoint(tmp_path_factory.mktemp("site") / "weights", settings)


@pytest.fixture(scope="module")
def site(folder: Path) -> Path:
    try:
        web_runtime.web_runtime()
    except VisketchError as error:
        pytest.skip(str(error))
    # This runs in a process of its own, since the checker of shapes would make the size of the batch a constant.
    words = ["export", "site", folder.parent / "site", "--checkpoint", folder, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "visketch.cli.main", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    files = [file.stat().st_size for file in (folder.parent / "site").iterdir()]
    assert (said["files"], said["bytes"]) == (len(files), sum(files))
    assert said["bytes"] < 4e6, "of which the runtime has 3"
    assert [file.name for file in folder.parent.iterdir()] in (["weights", "site"], ["site", "weights"])
    return folder.parent / "site"


@pytest.fixture
def served(site: Path) -> Iterator[SimpleNamespace]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def end() -> None:
        server.shutdown()
        server.server_close()

    yield SimpleNamespace(address=f"http://127.0.0.1:{server.server_port}/", end=end)
    end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened() as found:
        yield found


def flat(lines: Any) -> list[list[float]]:
    """Lines in the page's form: x, y, x, y ..."""
    return [np.asarray(line, np.float32).ravel().tolist() for line in lines]


ANSWERS = """async ({ drawings, given, noise, like, other, looks, labels, strength }) => {
  const { Model } = await import("./model.js"), { facts } = await import("./files.js");
  const { field, fit } = await import("./field.js"), { draw, surprise } = await import("./sampling.js");
  const { cut, simplified, whole, wide } = await import("./pieces.js");
  const model = new Model(await facts()), { scales, sketch } = model.about;
  const lines = (some) => some.map((line) => Float32Array.from(line));
  const plain = (lists) => lists.map((one) => one.map((values) => [...values]));
  const rows = (random, more) => labels.map((label, i) => {
    let step = 0;
    const count = random[i][0].length / (4 * scales.points + 2);
    return { label, count, noise: () => Float32Array.from(random[i][step++]), ...more(i) };
  });
  const fields = drawings.map((some) => field(fit(lines(some), sketch.margin), sketch));
  const logits = await model.logits(Float32Array.from(fields.flatMap((one) => [...one])));
  const surprises = [];
  for (const label of labels) {
    let look = 0;
    surprises.push(await surprise(model, whole(lines(like), scales), label, () => Float32Array.from(looks[look++])));
  }
  const part = (i) => ({ given: cut(simplified(wide(lines(given[i])), scales.tolerance), scales.points) });
  return {
    fields: fields.map((one) => [...one]),
    logits: logits.map((one) => [...one]),
    parts: plain(given.map((_, i) => part(i).given.points)),
    free: plain(await draw(model, rows(noise, () => ({})))),
    completed: plain(await draw(model, rows(noise, part))),
    surprises,
    varied: plain(await draw(model, rows(other, () => ({ like: whole(lines(like), scales) })), { strength })),
  };
}"""


def test_its_answers_are_those_of_python(browser: Any, served: SimpleNamespace, folder: Path) -> None:
    """With the same weights, strokes and noise: fields, logits, and drawings made freely, beside a part, and like a
    drawing.
    """
    model = SketchModel.load(folder)
    diffusion, config = model.part("diffusion"), model.config.diffusion
    dots = Sketch(strokes=(np.array([[3, 4]], np.float32), np.array([[9, 9], [9, 9]], np.float32)))
    some = [*drawings.draw_many(8), Sketch(strokes=tuple(cat())), dots]
    part, like, labels = list(drawings.draw("house").lines()[:2]), some[0].lines(), torch.tensor([0, 2, 1, 2, 0])
    given = [place.lines(part) for place in places(part, 0.0, seed=5, tries=len(labels))]
    parts = [cut(simplified([2 * line - 1 for line in lines], TOLERANCE)) for lines in given]
    whole, random = fitted(like, config.pieces), torch.Generator().manual_seed(1)

    def noise(counts: list[int], steps: int) -> list[torch.Tensor]:
        return [torch.randn(steps, count, diffusion.size, generator=random) for count in counts]

    beside = noise([len(parts[0]) + 1 + i for i in range(len(labels))], config.steps)
    assert beside[-1].shape[1] <= config.pieces
    other = noise([len(whole)] * len(labels), config.steps)
    visitor = Visitor(browser, served.address)
    sent = {"drawings": [flat(each.lines()) for each in some], "given": [flat(lines) for lines in given]}
    sent |= {"noise": [each.flatten(1).tolist() for each in beside], "labels": labels.tolist(), "like": flat(like)}
    sent |= {"other": [each.flatten(1).tolist() for each in other], "strength": 0.5}
    looks = torch.randn(LOOKS, len(whole), diffusion.size, generator=random)
    sent["looks"] = looks.flatten(1).tolist()
    said = visitor.page.evaluate(ANSWERS, sent)
    visitor.leave()

    fields = model.fields(some, model.config.reading)
    assert np.abs(np.array(said["fields"]) - fields.flatten(1).numpy()).max() < 1e-5
    expected = model.logits(fields).numpy()
    assert np.abs(np.array(said["logits"]) - expected).max() < CLOSE
    assert np.abs(expected[0] - expected[1]).max() > 10 * CLOSE, "it says something"
    same(said["parts"], [pieces.points for pieces in parts])
    free = diffusion.draw(labels, beside)
    same(said["free"], free)
    same(said["completed"], diffusion.draw(labels, beside, given=parts))
    same(said["varied"], diffusion.draw(labels, other, like=[whole] * len(labels), strength=0.5))
    assert np.ptp(np.concatenate(free[0])) > 0.1, "it draws something"
    surprises = diffusion.surprise([whole] * len(labels), labels, looks)
    assert said["surprises"] == pytest.approx(surprises.tolist(), rel=1e-3)
    assert len({round(each, 6) for each in said["surprises"]}) == len(set(labels.tolist())), (
        "the class makes a difference"
    )


def same(found: list, expected: Any) -> None:
    """Compare drawings of the page with those of Python."""
    for one, other in zip(found, expected, strict=True):
        for line, stroke in zip(one, other, strict=True):
            assert np.abs(np.array(line) - stroke.ravel()).max() < CLOSE


def test_somebody_visits_it(browser: Any, served: SimpleNamespace, tmp_path: Path) -> None:
    """The page recognises, finishes, draws, and draws more of the same. It does not show what it cannot do."""
    visitor = Visitor(browser, served.address)
    page = visitor.page
    for hidden in ("#refine", "#why", "#similar", "#api"):
        assert page.locator(hidden).is_hidden(), hidden
    assert [kind.get_attribute("data-as") for kind in page.locator("#formats button").all()] == [
        *("png", "svg", "moving", "ndjson")
    ]
    visitor.draw(cat()[:3])
    visitor.sees(SOMETHING)
    page.click("#finish")
    page.locator("#cards .stroke.new").first.wait_for()
    ways = visitor.results()
    for number in range(ways.count()):
        assert ways.nth(number).locator(".stroke:not(.new)").count() == 3, "one's own lines"
        assert ways.nth(number).locator(".stroke.new").count() > 0
    assert visitor.strokes() == 3

    page.fill("#what", "hous")
    page.click("#draw")
    cards = visitor.results(8)
    assert page.locator("#results h2").inner_text() == "A house: eight"
    assert not page.get_by_role("button", name="Morph").count()
    page.get_by_role("button", name="More like this").first.click()
    visitor.results(8)
    count = cards.first.locator(".stroke").count()
    cards.first.click()  # the drawing goes onto the paper
    assert visitor.strokes() == count
    assert len(next(read(saved(visitor, "svg", tmp_path))).lines()) == count
    assert b"animation: draw" in visitor.save("moving").read_bytes()
    file = saved(visitor, "ndjson", tmp_path)
    page.click("#clear")
    page.set_input_files("#file", file)
    page.locator("#save:enabled").wait_for()
    assert visitor.strokes() == count
    (tmp_path / "no.ndjson").write_text("no drawing")
    page.set_input_files("#file", tmp_path / "no.ndjson")
    page.locator("#trouble", has_text="no.ndjson: no drawing").wait_for()
    page.fill("#what", "qwertz")
    page.click("#draw")
    page.locator("#trouble", has_text="Unknown class 'qwertz'.").wait_for()
    visitor.leave()


def saved(visitor: Visitor, kind: str, home: Path) -> Path:
    file = home / f"saved.{kind}"
    file.write_bytes(visitor.save(kind).read_bytes())
    return file


def test_after_the_first_visit_it_needs_no_network(browser: Any, served: SimpleNamespace) -> None:
    visitor = Visitor(browser, served.address, before=False, reduced_motion="reduce")
    visitor.page.locator("#begun", has_text="half drawn").wait_for()
    visitor.page.evaluate("navigator.serviceWorker.ready.then(() => {})")
    served.end()
    visitor.context.set_offline(True)
    visitor.page.reload()
    visitor.page.wait_for_selector("body[data-ready]", state="attached")
    visitor.draw(cat()[:3])
    visitor.sees(SOMETHING)
    visitor.page.click("#finish")
    visitor.results()
    visitor.leave()


def test_nobody_is_shut_out_on_a_phone(browser: Any, served: SimpleNamespace) -> None:
    wanted = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
    visitor = Visitor(browser, served.address, **phone, reduced_motion="reduce")
    visitor.draw(cat()[:3])
    visitor.sees(SOMETHING)
    visitor.page.tap("#draw")
    visitor.results(8)
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for scheme in ("light", "dark"):
        visitor.page.emulate_media(color_scheme=scheme)
        assert not wanted.Axe().run(visitor.page).response["violations"], scheme
    visitor.context.close()


class TestRefusals:
    """Nothing is written, and nothing that was there is changed."""

    @pytest.mark.parametrize("overwrite", [(), ("--overwrite",)])
    def test_a_folder_with_other_files(self, tmp_path: Path, overwrite: tuple[str, ...]) -> None:
        (tmp_path / "mine.txt").write_text("mine")
        one_line(visketch("export", "site", tmp_path, *overwrite), 2, "mine.txt", "name a new folder")
        (tmp_path / "offline.js").write_text('const MARK = "1", FILES = ["./", "index.html"];\n')
        one_line(visketch("export", "site", tmp_path, *overwrite), 2, "mine.txt", "name a new folder")
        assert {file.name for file in tmp_path.iterdir()} == {"mine.txt", "offline.js"}

    def test_a_site_is_only_replaced_if_told(self, tmp_path: Path) -> None:
        (tmp_path / "offline.js").write_text('const MARK = "1", FILES = ["./", "index.html"];\n')
        one_line(visketch("export", "site", tmp_path), 2, "has a site already", "--overwrite")

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        one_line(visketch("export", "site", tmp_path / "file"), 2, "this is a file")
        one_line(visketch("export", "site", tmp_path / "file/site"), 1, "cannot be written")
        assert (tmp_path / "file").read_text() == "mine"

    def test_weights_that_draw_no_strokes(self, tmp_path: Path) -> None:
        weights = tiny_model.write_checkpoint(tmp_path / "weights", tiny_model.small())
        one_line(visketch("export", "site", tmp_path / "site", "--checkpoint", weights), 1, "draws fields, not strokes")
        assert [file.name for file in tmp_path.iterdir()] == ["weights"]

    def test_without_the_extra(self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "onnx", None)
        words = ("export", "site", tmp_path / "site", "--checkpoint", folder)
        one_line(visketch(*words), 1, 'pip install "visketch[onnx]"')
        assert not list(tmp_path.iterdir())

    def test_another_package_and_no_network(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        words = ("export", "site", tmp_path / "site", "--checkpoint", folder)
        (tmp_path / "ort.tgz").write_bytes(b"another")
        one_line(
            visketch(*words, "--runtime", tmp_path / "ort.tgz"), 1, "ort.tgz: this is not onnxruntime-web", "npm pack"
        )
        one_line(visketch(*words, "--runtime", tmp_path / "no.tgz"), 1, "no.tgz: cannot be read")
        monkeypatch.setenv("VISKETCH_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9")
        one_line(visketch(*words), 1, "127.0.0.1:9", "--runtime FILE.tgz")
        assert [file.name for file in tmp_path.iterdir()] == ["ort.tgz"]
