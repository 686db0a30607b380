"""Measure the studio's page in a real browser.

It measures the time from a pause of the pen to new bars, the first paint, the size, and how long *finish it* takes.

    python bench/page.py               # forty pauses
    python bench/page.py --pauses 100 --finishes 5
    python bench/page.py --site public/    # of `visketch export site`: the model runs in the browser

Draws the example drawings with the mouse at 120 points a second, and pauses after each stroke. A pause begins with the
last event of the pen and ends with the frame that shows the last answer. The first paint is that of a new visitor with
an empty cache, on a warm server. What is finished is `docs/examples/cat-begun.svg`: the seconds from the click to the
first whole completion on the page, and to the last. Browser and server share the machine, so on a busy machine compare
the CPU time of the browser's and the server's processes instead. Needs playwright, psutil, and chromium or the browser
in VISKETCH_BROWSER.
"""

import argparse
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from server import served

from visketch.data.read import read

BROWSER = os.environ.get("VISKETCH_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
POINTS = 120  # points of the pen in a second
REST = 0.4  # the length of a pause in seconds
PATIENCE = 30.0  # seconds to wait for its answer
PAINTS = 5

# Records the time of the pen's last event, of the last answer, and of the frame with the last change of the bars, and
# how many requests are open. Times are in milliseconds of the page's clock.
WATCH = """
window.asking = window.answered = window.shown = window.paused = 0;
for (const name of ["pointerdown", "pointermove", "pointerup"])
  document.addEventListener(name, (event) => { window.paused = event.timeStamp; }, true);
const plain = window.fetch;
window.fetch = (...question) => {
  window.asking += 1;
  return plain(...question).finally(() => { window.asking -= 1; window.answered = performance.now(); });
};
const post = Worker.prototype.postMessage, open = new Set();
Worker.prototype.postMessage = function (question) {
  open[question.cancel ? "delete" : "add"](question.cancel ?? question.id);
  window.asking = open.size;
  this.onmessage.heard ??= this.addEventListener("message", ({ data }) => {
    if (data.event || !open.delete(data.id)) return;
    window.asking = open.size;
    window.answered = performance.now();
  }) ?? true;
  return post.call(this, question);
};
new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => { window.shown = performance.now(); })))
  .observe(document.getElementById("bars"), { childList: true, subtree: true });
"""
SETTLED = "!window.asking && window.shown > Math.max(window.paused, window.answered)"  # the bars show the last answer

# Clicks and resolves to the milliseconds until the first completion is whole, and until all are there.
FINISH = """() => new Promise((done, fail) => {
  const [cards, progress, trouble] = ["cards", "progress", "trouble"].map((id) => document.getElementById(id));
  const begun = performance.now();
  let first;
  const watcher = new MutationObserver(() => {
    if (!trouble.hidden) fail(new Error(trouble.textContent.trim()));
    if (cards.querySelector("[data-whole], .card:enabled")) first ??= performance.now() - begun;
    if (first && progress.hidden) watcher.disconnect(), done([first, performance.now() - begun]);
  });
  watcher.observe(document.body, { subtree: true, childList: true, attributes: true });
  document.getElementById("finish").click();
})"""


def strokes() -> Iterator[tuple[bool, np.ndarray]]:
    """An endless sequence of strokes in the unit square, with points 1/60 apart. The flag says whether a new drawing
    begins.
    """
    while True:
        for path in sorted(Path("docs/examples").glob("*.svg")):
            lines = next(read(path)).lines()
            points = np.concatenate(lines)
            low, side = points.min(axis=0), np.ptp(points, axis=0).max()
            for number, line in enumerate(lines):
                unit = 0.1 + 0.8 * (line - low) / side
                way = np.concatenate([[0], np.hypot(*np.diff(unit, axis=0).T).cumsum()])
                at = np.linspace(0, way[-1], max(2, round(way[-1] * 60)))
                yield number == 0, np.stack([np.interp(at, way, axis) for axis in unit.T], axis=1)


def draw(page: Any, line: np.ndarray, box: dict[str, float]) -> None:
    line = np.array([box["x"], box["y"]]) + line * box["width"]
    page.mouse.move(*line[0])
    page.mouse.down()
    start = time.perf_counter()
    for number, point in enumerate(line[1:], 1):
        page.mouse.move(*point)
        time.sleep(max(0.0, start + number / POINTS - time.perf_counter()))
    page.mouse.up()


def pauses(page: Any, count: int) -> list[float]:
    """The milliseconds from each pause of the pen to the bars. Exits if an answer does not arrive."""
    page.evaluate(WATCH)
    box, found = page.locator("#paper").bounding_box(), []
    for first, line in strokes():
        if first and found:
            page.click("#clear")
        draw(page, line, box)
        time.sleep(REST)
        until = time.monotonic() + PATIENCE
        while not page.evaluate(SETTLED):
            if time.monotonic() > until:
                said = " ".join(page.locator("#trouble").inner_text().split())
                sys.exit(f"error: no new bars within {PATIENCE:.0f} seconds of a pause; the page: {said or 'nothing'}")
            time.sleep(REST)
        found.append(page.evaluate("window.shown - window.paused"))
        if len(found) == count:
            return found
    raise AssertionError


def finishes(page: Any, count: int) -> np.ndarray:
    """Seconds to the first completion and to all, (count, 2)."""
    page.click("#clear")
    box = page.locator("#paper").bounding_box()
    for number, (first, line) in enumerate(strokes()):
        if first and number:
            break
        draw(page, line, box)
    time.sleep(REST)
    return np.array([page.evaluate(FINISH) for _ in range(count)]) / 1000


def paint(browser: Any, address: str) -> tuple[float, int, int]:
    """The milliseconds until the first paint for a new visitor, and the size and number of the page's files."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-ready]", state="attached")
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    own = "[...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]"
    sizes = page.evaluate(own + ".filter((each) => !each.name.includes('/v1/')).map((each) => each.encodedBodySize)")
    context.close()
    return first, sum(sizes), len(sizes)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass

    def handle(self) -> None:
        with suppress(ConnectionError):  # the browser was closed
            super().handle()


@contextmanager
def file_server(folder: str) -> Iterator[str]:
    """Serve a folder as static files. Yields the address."""
    handler = partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def studio() -> Iterator[str]:
    with served() as (_, address):
        yield address


def cpu() -> float:
    """The CPU seconds used so far by this process's children, the browser and the server."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(time.user + time.system for time in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pauses", type=int, default=40)
    parser.add_argument("--finishes", type=int, default=3)
    parser.add_argument("--site", metavar="FOLDER")
    options = parser.parse_args()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return print("not measured: no playwright, pip install playwright")
    if BROWSER is None:
        return print("not measured: no browser, apt-get install chromium, or name one by VISKETCH_BROWSER")
    with file_server(options.site) if options.site else studio() as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        paint(browser, address)  # not measured: the browser starts
        paints = [paint(browser, address) for _ in range(PAINTS)]
        page = browser.new_page(viewport={"width": 1280, "height": 800}, bypass_csp=True)
        page.goto(address)
        page.wait_for_selector("body[data-ready]", state="attached")
        page.locator("#first", has_not_text="Getting ready").wait_for()
        before = cpu()
        took = pauses(page, options.pauses)
        computed = (cpu() - before) / options.pauses
        finished = finishes(page, options.finishes)
        browser.close()
    _, size, files = paints[-1]
    middle, late = np.percentile(took, [50, 95])
    print(f"from the pen's pause to the bars, {len(took)} times:")
    print(
        f"  {middle:.0f} ms (median), {late:.0f} ms (95 of 100), {max(took):.0f} ms (slowest), {took[0]:.0f} ms (first)"
    )
    print(f"  {computed:.2f} s of CPU from pause to pause, with what was asked while the pen moved")
    for first, whole in finished:
        print(f"finish it: {first:.1f} s to the first way, {whole:.1f} s to all")
    print(f"first paint: {np.median([first for first, *_ in paints]):.0f} ms (median of {PAINTS})")
    print(f"the page: {files} files, {size / 1000:.1f} kB")


if __name__ == "__main__":
    main()
