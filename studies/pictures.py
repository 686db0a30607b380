"""Take the pictures of the studio at work, and draw a sheet of sketches that draw themselves.

    python studies/pictures.py [--only stills|gif|sheet ...] [--checkpoint FOLDER] [--docs docs]

It writes, under docs/:
    studio/studio.gif        a cat is begun, and finished
    studio/drawing.png       1280 pixels wide: a cat, recognised, and owls
    studio/why.png           the leaves that made it a cat
    studio/phone.png         390 pixels wide: a cat is begun
    sheets/animated.webp     sixteen sketches, stroke by stroke

Run it again when the weights or the page have changed. It needs playwright, and chromium or the browser that
VISKETCH_BROWSER names.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from server import served
from visitor import Visitor, cat, opened

from visketch.geometry.trace import Trace
from visketch.model import SketchModel
from visketch.render.animation import write_page

ROOT = Path(__file__).parents[1]
WIDE = {"viewport": {"width": 1280, "height": 900}}
GIF = {"viewport": {"width": 1120, "height": 700}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
SHOWN = 800  # the width of the GIF in pixels
COLOURS = 64
EVERY, WAITING = (
    90,
    130,
)  # milliseconds for which a frame of the GIF is shown: while the pen moves, and while one waits
FEWEST = 0.08  # the least seconds between two frames of something that moves by itself
CLASSES = ["cat", "owl", "bicycle", "flamingo", "house", "octopus", "sailboat", "guitar"]
CLASSES += ["elephant", "bus", "mushroom", "pig", "cactus", "angel", "snail", "tree"]
COLUMNS, SIDE, GAP = 8, 112, 10


class Film:
    """Pictures of a page, each shown for a number of milliseconds."""

    def __init__(self, page: Any) -> None:
        self.page, self.pictures, self.shown = page, list[Image.Image](), list[int]()

    def take(self, milliseconds: int = EVERY) -> None:
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        picture = picture.resize((SHOWN, round(SHOWN * picture.height / picture.width)), Image.Resampling.LANCZOS)
        if self.pictures and not np.any(np.asarray(picture) != np.asarray(self.pictures[-1])):
            self.shown[-1] += milliseconds
        else:
            self.pictures.append(picture)
            self.shown.append(milliseconds)

    def until(self, ended: Callable[[], bool]) -> None:
        """Film something that moves by itself, until it has ended.

        Each change is shown for the same time, however slow the machine is.
        """
        while not ended():
            before = len(self.pictures)
            self.take(WAITING)
            if len(self.pictures) == before:
                self.shown[-1] -= WAITING
            time.sleep(FEWEST)

    def write(self, path: Path) -> None:
        """Write the film as a GIF. All frames share one palette, so that what stands still costs nothing."""
        some = self.pictures[:: max(1, len(self.pictures) // 12)] + self.pictures[-1:]
        palette = Image.fromarray(np.concatenate([np.asarray(one) for one in some])).quantize(COLOURS)
        first, *rest = (one.quantize(palette=palette, dither=Image.Dither.NONE) for one in self.pictures)
        first.save(path, save_all=True, append_images=rest, duration=self.shown, loop=0, optimize=True)


def film(browser: Any, address: str, path: Path) -> None:
    """Film how a cat is begun by hand, with the guesses, and then finished."""
    visitor = Visitor(browser, address, **GIF)
    page, begun = visitor.page, cat()
    reel = Film(page)
    reel.take(800)
    box = page.locator("#paper").bounding_box()
    points = np.concatenate(begun)
    low, high = points.min(axis=0), points.max(axis=0)
    centre = np.array([box["x"], box["y"]]) + box["width"] / 2
    for stroke in begun[:3]:
        line = (stroke - (low + high) / 2) * (0.7 * box["width"] / (high - low).max()) + centre
        steps = np.concatenate([[0], np.linalg.norm(np.diff(line, axis=0), axis=1).cumsum()])
        at = np.linspace(0, steps[-1], max(3, round(steps[-1] / 14)))
        line = np.stack([np.interp(at, steps, axis) for axis in line.T], axis=1)
        page.mouse.move(*line[0])
        page.mouse.down()
        for number, point in enumerate(line[1:]):
            page.mouse.move(*point)
            if number % 3 == 2:
                reel.take()
        page.mouse.up()
        page.wait_for_timeout(1500)  # wait for the guesses
        reel.take(350)
    reel.take(500)
    page.locator("#finish").hover()
    reel.take(300)
    page.click("#finish")
    reel.until(lambda: page.locator("#progress[hidden]").count() > 0)
    page.wait_for_timeout(700)  # the cards move to their places
    reel.take(3000)
    reel.write(path)
    visitor.context.close()


def still(page: Any, path: Path) -> None:
    """Save a picture of the page with few colours, so that it loads quickly."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def stills(browser: Any, address: str, folder: Path) -> None:
    visitor = Visitor(browser, address, **WIDE)
    visitor.draw(cat())
    visitor.sees("cat")
    visitor.page.fill("#what", "owl")
    visitor.page.keyboard.press("Escape")
    visitor.page.click("#draw")
    visitor.results(8)
    visitor.page.wait_for_timeout(700)
    still(visitor.page, folder / "drawing.png")
    visitor.page.click("#why")
    visitor.page.locator("#overlay rect").first.wait_for()
    still(visitor.page, folder / "why.png")
    visitor.context.close()
    visitor = Visitor(browser, address, **PHONE)
    visitor.draw(cat()[: (len(cat()) + 1) // 2])
    visitor.page.locator("#bars li", has_text="%").first.wait_for()
    still(visitor.page, folder / "phone.png")
    visitor.context.close()


def sheet(checkpoint: str | None, path: Path) -> None:
    """Draw one sketch of each of some classes. Nothing is chosen."""
    model = SketchModel.load(checkpoint)
    found = model.generate_fields(CLASSES, 1, seed=1, refine=False, coarse="strokes")
    pages = []
    for number, strokes in enumerate(found.strokes or ()):
        row, column = divmod(number, COLUMNS)
        pen = model.config.sketch.pen * model.config.sketch.canvas
        drawing = Trace(strokes, pen).scaled(SIDE / model.config.sketch.canvas)
        pages.append(drawing.moved(*(float(GAP + place * (SIDE + GAP)) for place in (column, row))))
    rows = -(-len(pages) // COLUMNS)
    facts = {"classes": CLASSES, "seed": 1, "checkpoint": model.config.name}
    write_page(path, pages, COLUMNS * (SIDE + GAP) + GAP, rows * (SIDE + GAP) + GAP, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=["stills", "gif", "sheet"], default=["stills", "gif", "sheet"])
    parser.add_argument("--checkpoint")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    chosen = parser.parse_args()
    wanted = {"stills": ["studio/drawing.png", "studio/why.png", "studio/phone.png"]}
    wanted |= {"gif": ["studio/studio.gif"], "sheet": ["sheets/animated.webp"]}
    files = [chosen.docs / name for only in chosen.only for name in wanted[only]]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
    if "sheet" in chosen.only:
        sheet(chosen.checkpoint, chosen.docs / "sheets/animated.webp")
    if {"stills", "gif"} & set(chosen.only):
        words = ["--checkpoint", chosen.checkpoint] if chosen.checkpoint else []
        with served(*words) as (_, address), opened() as browser:
            if "stills" in chosen.only:
                stills(browser, address, chosen.docs / "studio")
            if "gif" in chosen.only:
                film(browser, address, chosen.docs / "studio/studio.gif")
    for file in files:
        print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
