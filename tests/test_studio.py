"""The studio as people use it, in a real browser with the shipped weights; and the examples in docs/studio.md."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import drawings
import numpy as np
import pytest
from tiny_model import write_ndjson
from visitor import Visitor, cat, opened

pytest.importorskip("fastapi")

from visketch.data.read import read

ROOT = Path(__file__).parents[1]


# The greatest number of each that was on the page at once, however briefly.
WATCH = """
window.most = { ".card": 0, img: 0, "svg .stroke": 0, "[data-whole]": 0 };
const cards = document.getElementById("cards");
new MutationObserver(() => {
  for (const kind in window.most) window.most[kind] = Math.max(window.most[kind], cards.querySelectorAll(kind).length);
}).observe(cards, { childList: true, subtree: true, attributes: true });
"""


class Served:
    """`visketch serve` as a process."""

    def __init__(self, *words: object) -> None:
        command = [sys.executable, "-m", "visketch.cli.main", "serve", "--port", "0", "--json", *map(str, words)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        said = json.loads("".join(lines))
        self.address, self.index = said["address"], said["index"]

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End the process. Returns its exit code, and what it printed on stderr."""
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("studio")
    words: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VISKETCH_CACHE", str(home / "cache"))
        try:
            import usearch  # noqa: F401

            write_ndjson(home / "gallery/all.ndjson", drawings.draw_many(12))
            words = ["--index", home / "gallery"]
        except ImportError:
            pass
        served = Served(*words)
    yield served
    if served.process.poll() is None:
        served.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened() as found:
        yield found


def test_somebody_draws_a_cat(browser: Any, studio: Served, tmp_path: Path) -> None:
    visitor = Visitor(browser, studio.address)
    page = visitor.page
    visitor.draw(cat())
    visitor.sees("cat")
    assert page.locator("#bars li").first.inner_text().split()[0] == "cat"

    page.click("#why")
    page.locator("#doing", has_text="%").wait_for()
    assert page.locator("#overlay rect").count() > 4

    page.click("#refine")
    visitor.results(1).click()  # onto the paper
    visitor.sees("cat")
    page.keyboard.press("Control+z")
    assert visitor.strokes() == len(cat())

    file = visitor.save("svg")
    assert len(next(read(file)).lines()) == len(cat())
    assert visitor.save("png").read_bytes().startswith(b"\x89PNG")
    page.click("#clear")
    assert page.locator("#refine").is_disabled()
    shutil.copy(file, tmp_path / "cat.svg")
    page.set_input_files("#file", tmp_path / "cat.svg")
    visitor.sees("cat")
    assert visitor.strokes() == len(cat())
    visitor.leave()


def test_the_model_draws_and_finishes(browser: Any, studio: Served) -> None:
    visitor = Visitor(browser, studio.address)
    page = visitor.page
    page.fill("#what", "hous")
    assert page.locator("#classes li").first.inner_text() == "house"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#what") == "house"
    page.evaluate(WATCH)
    page.click("#draw")
    cards = visitor.results(8)
    most = page.evaluate("window.most")
    assert most[".card"] == 12
    assert most["img"] == 0, "strokes are shown, and never noise"
    assert most["svg .stroke"] > 24
    assert most["[data-whole]"] > 0
    cards.nth(1).drag_to(page.locator("#paper"))
    page.locator("#hint.gone").wait_for(state="attached")
    assert page.locator("#undo").is_enabled()
    page.click("#undo")
    assert page.locator("#undo").is_disabled()

    visitor.draw(cat()[:2])
    page.click("#finish")
    ways = visitor.results()
    for number in range(ways.count()):
        assert ways.nth(number).locator(".stroke:not(.new)").count() == 2, "one's own lines"
        assert ways.nth(number).locator(".stroke.new").count() > 0
    assert page.locator("#results h2", has_text=re.compile("^(One way|[A-Z][a-z]+ ways) to finish it$")).count() == 1
    if studio.index:
        with page.expect_response("**/v1/search") as answer:
            page.click("#similar")
        found = answer.value.json()["found"]
        assert 0 < len(found) <= 12
        visitor.results(len(found))
    visitor.leave()


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_page_begins_a_cat_for_who_comes_first(browser: Any, studio: Served, motion: str) -> None:
    visitor = Visitor(browser, studio.address, before=False, reduced_motion=motion)
    page = visitor.page
    page.locator("#begun", has_text="half drawn").wait_for()
    visitor.sees("cat|.*")
    assert page.locator("#finish.main").is_enabled()
    if motion == "reduce":
        page.click("#finish")
        page.locator("#cards .stroke.new").first.wait_for()  # while it is drawn
        assert page.locator("#progress").is_visible()
        assert page.locator(".card").first.locator(".stroke:not(.new)").count() == 6, "with what was given"
        visitor.results()
    visitor.draw([np.array([[0, 0], [100, 0]])])
    assert page.locator("#begun").is_hidden()
    assert visitor.strokes() == 1, "one's own line alone"
    page.click("#undo")
    assert page.locator("#undo").is_disabled()
    page.reload()
    page.wait_for_selector("body[data-ready]", state="attached")
    assert page.locator("#begun").is_hidden(), "it is shown once"
    visitor.leave()


def test_more_like_this_and_from_one_to_another(browser: Any, studio: Served) -> None:
    visitor = Visitor(browser, studio.address)
    page = visitor.page
    page.fill("#what", "bus")
    page.focus("#detail")
    page.keyboard.press("ArrowRight")
    assert page.locator("#amount output").inner_text() == "many"
    with page.expect_request("**/v1/generate") as asked:
        page.click("#draw")
    assert asked.value.post_data_json["detail"] == "many"
    visitor.results(8)
    page.get_by_role("button", name="More like this").nth(2).click()
    assert page.locator("#results h2").inner_text() == "More like this bus"
    visitor.results(8)
    acts = page.get_by_role("button", name="Morph: ")
    acts.nth(0).focus()
    page.keyboard.press("Enter")
    assert acts.nth(0).get_attribute("aria-pressed") == "true"
    page.locator("#doing", has_text="the drawing that it is to become").wait_for()
    acts.nth(5).click()
    visitor.results(1)
    page.focus("#share")
    page.keyboard.press("Home")
    first = page.locator("#cards figure svg").inner_html()
    page.keyboard.press("End")
    assert page.locator("#cards figure svg").inner_html() != first
    page.locator(".card").click()  # onto the paper
    assert visitor.strokes() == page.locator("#cards figure .stroke").count()
    assert b"animation: draw" in visitor.save("moving").read_bytes()
    assert visitor.save("gif").read_bytes().startswith(b"GIF89a")
    visitor.leave()


def test_pen_eraser_and_keys(browser: Any, studio: Served) -> None:
    visitor = Visitor(browser, studio.address)
    page = visitor.page
    box = page.locator("#paper").bounding_box()
    left, top, side = box["x"], box["y"], box["width"]
    visitor.draw([np.array([[0, 0], [100, 0]])])
    page.keyboard.press("e")
    page.mouse.move(left + side / 2, top + side * 0.4)
    page.mouse.down()
    page.mouse.move(left + side / 2, top + side * 0.6)
    page.mouse.up()
    assert visitor.strokes() == 2  # the line has been cut in two
    page.click("#undo")
    assert visitor.strokes() == 1
    page.keyboard.press("p")
    page.focus("#paper")
    for key in ("ArrowUp", "Space", "ArrowRight", "ArrowRight", "ArrowDown", "Space"):
        page.keyboard.press(key)
    assert visitor.strokes() == 2
    visitor.leave()


def test_a_reload_keeps_the_drawing_and_a_new_line_ends_the_explanation(browser: Any, studio: Served) -> None:
    visitor = Visitor(browser, studio.address)
    page = visitor.page
    visitor.draw(cat())
    visitor.sees("cat")
    page.reload()
    page.wait_for_selector("body[data-ready]", state="attached")
    visitor.sees("cat")
    assert visitor.strokes() == len(cat())
    page.click("#why")
    page.locator("#doing", has_text="%").wait_for()
    assert page.locator("#overlay rect").count()
    visitor.draw([np.array([[0, 0], [100, 100]])])
    assert page.locator("#results").is_hidden()
    assert not page.locator("#overlay rect").count()
    page.click("#clear")
    page.reload()
    page.wait_for_selector("body[data-ready]", state="attached")
    assert page.locator("#clear").is_disabled()
    visitor.leave()


def test_what_goes_wrong_is_said(browser: Any, studio: Served, tmp_path: Path) -> None:
    visitor = Visitor(browser, studio.address)
    page = visitor.page
    (tmp_path / "no.png").write_bytes(b"no picture")
    page.set_input_files("#file", tmp_path / "no.png")
    page.locator("#trouble", has_text="no.png: not a picture").wait_for()
    box = page.locator("#paper").bounding_box()
    page.mouse.click(box["x"] + 50, box["y"] + 50)  # a dot
    page.locator("#trouble").wait_for(state="hidden")
    for ask, said in (("refine", "too little ink to refine"), ("why", "too little ink to explain")):
        page.click(f"#{ask}")
        page.locator("#trouble", has_text=said).wait_for()
        assert page.locator("#results").is_hidden()
    page.fill("#what", "qwertz")
    page.click("#draw")
    page.locator("#trouble", has_text="unknown class 'qwertz'").wait_for()
    visitor.said = [said for said in visitor.said if "422" not in said]  # the browser's own message
    visitor.leave()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(browser: Any, studio: Served, scheme: str) -> None:
    phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": scheme}
    visitor = Visitor(browser, studio.address, **phone)
    visitor.draw(cat())
    visitor.sees("cat")
    assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    visitor.page.tap("#refine")
    visitor.results(1).tap()
    visitor.sees("cat")
    visitor.leave()


# What lies outside the window, words that are cut off (except with dots), and what covers something else.
MISPLACED = """() => {
  const seen = (names) => [...document.querySelectorAll(names)].filter((each) => each.checkVisibility());
  const name = (each) => each.outerHTML.slice(0, 80), found = [];
  for (const each of seen("body :not(svg, svg *)")) {
    const { left, right, width } = each.getBoundingClientRect();
    if (width && (left < -0.5 || right > innerWidth + 0.5)) found.push(`outside: ${name(each)}`);
  }
  for (const each of seen("button, label, h1, h2, p, output"))
    if (each.clientWidth && each.scrollWidth > each.clientWidth + 1) found.push(`cut: ${name(each)}`);
  const solid = seen("button, input, a, h1, h2, label, #doing, #first, #bars li");
  const all = solid.filter((each) => !each.closest("#formats, #classes"));
  const boxes = all.map((each) => each.getBoundingClientRect());
  boxes.forEach((one, i) => boxes.slice(i + 1).forEach((other, j) => {
    const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
    const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
    const [first, second] = [all[i], all[i + 1 + j]];
    if (wide > 1 && high > 1 && !first.contains(second)) found.push(`${name(first)} lies on ${name(second)}`);
  }));
  return found;
}"""


@pytest.mark.parametrize(("wide", "high"), [(640, 400), (390, 844), (320, 256)], ids=["200 %", "phone", "400 %"])
def test_nothing_is_cut_or_covered(browser: Any, studio: Served, wide: int, high: int) -> None:
    """A window of 1280 pixels is 640 wide at 200 %, and 320 at 400 %."""
    screen = {"viewport": {"width": wide, "height": high}, "device_scale_factor": 2, "reduced_motion": "reduce"}
    visitor = Visitor(browser, studio.address, **screen)
    page, found = visitor.page, list[str]()

    def look(state: str) -> None:
        found.extend(f"{state}: {each}" for each in page.evaluate(MISPLACED))
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), state

    look("empty")
    visitor.draw(cat()[:3])
    page.locator("#bars li", has_text="%").first.wait_for()
    look("guesses")
    page.click("#save")
    look("saving")
    page.keyboard.press("Escape")
    page.fill("#what", "the great wall of china")
    page.keyboard.press("Escape")
    page.click("#draw")
    visitor.results(8)
    look("cards of a long name")
    page.click("#why")
    page.locator("#doing", has_text="%").wait_for()
    look("why")
    page.fill("#what", "qwertz")
    page.click("#draw")
    page.locator("#trouble", has_text="qwertz").wait_for()
    look("trouble")
    assert not found, "\n".join(found)
    visitor.context.close()


def test_nobody_is_shut_out(browser: Any, studio: Served) -> None:
    """What axe-core reports about the page, in each of its states, light and dark."""
    wanted = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    axe, visitor = (
        wanted.Axe(),
        Visitor(browser, studio.address, reduced_motion="reduce"),
    )  # otherwise colours would still be changing
    page, found = visitor.page, list[str]()

    def look(state: str) -> None:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for rule in axe.run(page).response["violations"]:
                found.extend(f"{state}, {scheme}: {rule['id']}, {node['html']}" for node in rule["nodes"])

    look("empty")
    visitor.draw(cat())
    visitor.sees("cat")
    page.click("#refine")
    visitor.results(1)
    look("a result")
    page.click("#why")
    page.locator("#doing", has_text="%").wait_for()
    page.click("#save")
    look("why, saving")
    page.keyboard.press("Escape")
    page.fill("#what", "bus")
    page.click("#draw")
    visitor.results(8)
    look("cards")
    for number in (0, 1):
        page.get_by_role("button", name="Morph: ").nth(number).click()
    page.locator("#way").wait_for()
    visitor.results(1)
    look("a morph")
    page.click("#save")
    page.keyboard.press("Escape")
    page.fill("#what", "qwertz")
    page.click("#draw")
    page.locator("#trouble", has_text="qwertz").wait_for()
    page.fill("#what", "ca")
    look("trouble, choosing")
    page.goto(f"{studio.address}api.html")
    page.locator("table").first.wait_for()
    look("the API's page")
    assert not found, "\n".join(found)
    visitor.context.close()


def test_the_page_is_small() -> None:
    assert sum(file.stat().st_size for file in (ROOT / "visketch/serve/page").iterdir()) < 200_000


def test_the_page_of_the_docs_runs(studio: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "docs/examples/cat.svg", tmp_path / "cat.svg")
    page = (ROOT / "docs/studio.md").read_text().replace("http://127.0.0.1:8345/", studio.address)
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(block, "studio.md", "exec"), {})
    assert len(list(read(tmp_path / "owls.ndjson"))) == 2
    commands = re.findall(r"^\$ (curl .*?[^\\])$", page, re.M | re.S)
    assert len(commands) > 2
    for command in commands:
        if shutil.which("curl"):
            done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
            assert "cat" in done.stdout


def test_who_hangs_up_is_dropped(studio: Served) -> None:
    def dropped() -> float:
        counted = urllib.request.urlopen(f"{studio.address}metrics").read().decode()
        return float(re.findall(r"^visketch_dropped_total (.*)$", counted, re.M)[0])

    before = dropped()
    where = urlsplit(studio.address)
    body = json.dumps({"class": "cat", "n": 16, "tries": 4})  # this is minutes of work
    head = f"POST /v1/generate HTTP/1.1\r\nhost: {where.netloc}\r\naccept: text/event-stream\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection((str(where.hostname), int(where.port or 80))) as client:
        client.sendall((head + body).encode())
        assert client.recv(1000)
    until = time.monotonic() + 120
    while dropped() == before and time.monotonic() < until:
        time.sleep(0.2)
    assert dropped() == before + 1


def test_it_ends_cleanly_while_it_draws(studio: Served) -> None:
    """This test comes last, since it ends the server of the others. Every waiting client is told so."""
    body = json.dumps({"class": "cat", "n": 16, "tries": 4}).encode()
    headers = {"content-type": "application/json", "accept": "text/event-stream"}
    answer = urllib.request.urlopen(urllib.request.Request(f"{studio.address}v1/generate", body, headers))
    assert answer.readline() == b"event: coarse\n"
    threading.Timer(0.1, lambda: studio.process.send_signal(signal.SIGTERM)).start()
    rest = answer.read().decode()
    assert json.loads(rest.strip().split("data: ")[-1])["status"] == 503
    _, said = studio.process.communicate(timeout=60)
    assert studio.process.returncode == 0
    assert said.splitlines()[-1] == "stopped"
    assert "Traceback" not in said
