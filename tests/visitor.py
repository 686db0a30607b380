"""A user at the page, in a real browser.

This needs Debian's chromium, or the browser that VISKETCH_BROWSER names. Without one, the tests of the page are
skipped.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visketch.data.drawing import sketch

ROOT = Path(__file__).parents[1]
BROWSER = os.environ.get("VISKETCH_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
QUIET += " --disable-component-update --disable-sync"
PATIENCE = 120_000  # milliseconds; enough for a busy machine


@contextmanager
def opened() -> Iterator[Any]:
    """The browser. Skips the test if there is none."""
    if BROWSER is None:
        pytest.skip("no browser: apt-get install chromium, or name one by VISKETCH_BROWSER")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=QUIET.split())
        yield browser
        browser.close()


class Visitor:
    """A user at the page."""

    def __init__(self, browser: Any, address: str, before: bool = True, **screen: Any) -> None:
        """Open the page. `before` says that the user has been here before, and is therefore not shown half a cat."""
        screen = {"viewport": {"width": 1280, "height": 800}, **screen}
        self.context = browser.new_context(accept_downloads=True, **screen)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.home, self.said = address, list[str]()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.asked: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        if before:
            self.page.add_init_script("localStorage.setItem('seen', 'true')")
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready]", state="attached")

    def draw(self, strokes: list[np.ndarray]) -> None:
        """Draw strokes with the mouse, in the middle of the paper."""
        box = self.page.locator("#paper").bounding_box()
        points = np.concatenate(strokes)
        low, high = points.min(axis=0), points.max(axis=0)
        middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
        for stroke in strokes:
            line = (stroke - (low + high) / 2) * (0.74 * box["width"] / (high - low).max()) + middle
            line = line[np.unique(np.linspace(0, len(line) - 1, 16).astype(int))] if len(line) > 16 else line
            self.page.mouse.move(*line[0])
            self.page.mouse.down()
            for point in line[1:]:
                self.page.mouse.move(*point)
            self.page.mouse.up()

    def sees(self, words: str) -> None:
        self.page.locator("#first", has_text=re.compile(f"^{words}$")).wait_for()

    def results(self, count: int | None = None) -> Any:
        """The cards, once all are done. There are `count` of them, or at least one and at most eight."""
        self.page.locator("#progress[hidden]").wait_for(state="attached")
        cards = self.page.locator(".card:enabled")
        found = cards.count()
        assert found == count if count else 1 <= found <= 8, self.page.locator("#trouble").text_content()
        return cards

    def strokes(self) -> int:
        """The number of strokes on the paper, according to a saved file."""
        return len(json.loads(self.save("ndjson").read_text())["drawing"])

    def save(self, kind: str) -> Path:
        self.page.click("#save")
        with self.page.expect_download() as download:
            self.page.click(f"[data-as={kind}]")
        return Path(download.value.path())

    def leave(self) -> None:
        assert not self.said, self.said
        elsewhere = [url for url in self.asked if not url.startswith((self.home, "data:", f"blob:{self.home}"))]
        assert not elsewhere
        self.context.close()


def cat() -> list[np.ndarray]:
    return [np.asarray(stroke) for stroke in sketch(ROOT / "docs/examples/cat.svg").strokes or ()]
