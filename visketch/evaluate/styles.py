"""Drawings in other styles, with one change at a time: turned, with strokes missing, with other pens, photographed.

A style is a pure function of a drawing and a random generator. All centre lines are rendered with the project's own
pen, so a pen only matters in a picture. Such styles are drawn with Pillow and read like a user's pictures.
"""

import io
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from visketch.data import image
from visketch.errors import UsageError
from visketch.geometry.sketch import Sketch, fit

Style = Callable[[Sketch, np.random.Generator], Sketch]

SIDE = 256  # pixels of a picture
FINE = 4  # pictures are drawn at this multiple of their size, so that edges are smooth
MARGIN = 1 / 16
PEN = 1 / 64  # the width of the normal pen as a share of the side


def as_drawn(sketch: Sketch, rng: np.random.Generator) -> Sketch:
    return sketch


def turned(sketch: Sketch, rng: np.random.Generator, degrees: float = 20.0) -> Sketch:
    """The drawing turned to the left or to the right."""
    angle = np.radians(degrees) * rng.choice((-1, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return _like(sketch, strokes=tuple((line @ turn.T).astype(np.float32) for line in _strokes(sketch)))


def incomplete(sketch: Sketch, rng: np.random.Generator) -> Sketch:
    """The drawing without 30 % of its strokes, chosen at random. At least one stroke is kept."""
    lines = _strokes(sketch)
    chance = rng.random(len(lines))
    kept = chance >= min(0.3, chance.max())
    return _like(sketch, strokes=tuple(line for line, keep in zip(lines, kept, strict=True) if keep))


def pen(sketch: Sketch, rng: np.random.Generator, times: float = 1.0) -> Sketch:
    """A picture of the drawing with a pen of `times` the normal width."""
    return _read(picture(sketch, times * PEN), sketch)


def paper(sketch: Sketch, rng: np.random.Generator) -> Sketch:
    """A photo of a drawing on paper: uneven light, grain, slight blur, strong JPEG compression."""
    direction = rng.normal(size=2)
    axis = np.linspace(-1, 1, SIDE)
    along = (direction[0] * axis + direction[1] * axis[:, None]) / np.abs(direction).sum()  # -1 to 1
    light = 0.8 - 0.2 * along
    clean = np.asarray(picture(sketch, PEN), np.float32) / 255
    levels = light * (70 + (235 - 70) * clean)  # grey ink on paper that is not quite white
    levels = ndimage.gaussian_filter(levels, 0.8) + rng.normal(0, 6, levels.shape)
    photo = io.BytesIO()
    Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).save(photo, "JPEG", quality=50)
    with Image.open(photo) as seen:
        return _read(seen, sketch)


STYLES: dict[str, Style] = {
    "turned": turned,
    "incomplete": incomplete,
    "pen": pen,  # this is for comparison with the other pictures
    "pen x 0.5": partial(pen, times=0.5),
    "pen x 3": partial(pen, times=3.0),
    "paper": paper,
}


def picture(sketch: Sketch, width: float) -> Image.Image:
    """The drawing in black on white, anti-aliased. The `width` of the pen is a share of the side."""
    side, radius = FINE * SIDE, FINE * SIDE * width / 2
    fine = Image.new("L", (side, side), 255)
    draw = ImageDraw.Draw(fine)
    for line in fit(_strokes(sketch), MARGIN):
        points = [(float(x), float(y)) for x, y in line * side]
        draw.line(points, fill=0, width=round(2 * radius), joint="curve")
        for x, y in (points[0], points[-1]):  # round ends
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return fine.reduce(FINE)


def _read(seen: Image.Image, sketch: Sketch) -> Sketch:
    """Read a picture in the way in which `data.image` reads a file."""
    found, _ = image.understand(seen)
    return _like(sketch, pixels=found.pixels, thin=found.thin)


def _like(sketch: Sketch, **drawing: object) -> Sketch:
    return Sketch(**drawing, label=sketch.label, source=sketch.source)  # type: ignore[arg-type]


def _strokes(sketch: Sketch) -> tuple[np.ndarray, ...]:
    if sketch.strokes is None:
        raise UsageError(f"{sketch.source}: this is a picture; styles need drawings with strokes")
    return sketch.lines()
