"""A drawn street, realistic enough for a detector: two stop signs, a clock and a traffic light, with their boxes."""

import math

import numpy as np
from drawings import line
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDE, HIGH = 640, 480
BOXES = {  # in pixels
    "stop sign": [(92, 72, 248, 228), (388, 198, 472, 282)],
    "clock": [(270, 60, 370, 160)],
    "traffic light": [(539, 92, 581, 208)],
}


def street(seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    down = np.linspace(0, 1, HIGH)[:, None, None]
    pixels = np.array([120, 165, 215]) * (1 - down) + np.array([215, 225, 235]) * down + np.zeros((1, WIDE, 1))
    ground = int(0.7 * HIGH)
    pixels[ground:] = [85, 120, 60]
    pixels += rng.normal(0, 10, pixels.shape)
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(30):
        x, r = int(rng.integers(0, WIDE)), int(rng.integers(15, 50))
        red, green, blue = rng.integers([30, 70, 20], [80, 120, 60]).tolist()
        draw.ellipse((x - r, ground - 1.2 * r, x + r, ground + 0.3 * r), (red, green, blue))
    picture = picture.filter(ImageFilter.GaussianBlur(1.5))
    draw = ImageDraw.Draw(picture)
    for box in BOXES["stop sign"]:
        _stop_sign(draw, *_middle(box))
    for box in BOXES["clock"]:
        _clock(draw, *_middle(box))
    for box in BOXES["traffic light"]:
        _traffic_light(draw, *_middle(box))
    return picture.filter(ImageFilter.GaussianBlur(0.6))


def stop_sign() -> list[np.ndarray]:
    """The strokes of a stop sign, as a query."""
    edge = line(*_octagon(50, 40, 38), _octagon(50, 40, 38)[0])
    s = line((32, 33), (26, 32), (24, 36), (31, 42), (30, 47), (23, 47))
    t = [line((35, 33), (45, 33)), line((40, 33), (40, 47))]
    o = line((49, 33), (55, 34), (56, 46), (49, 47), (47, 40), (49, 33))
    p = line((60, 47), (60, 33), (68, 34), (68, 40), (60, 41))
    return [edge, s, *t, o, p, line((47, 78), (47, 130)), line((53, 78), (53, 130))]


def clock() -> list[np.ndarray]:
    from drawings import arc

    ticks = [
        line(*((50 + r * math.cos(math.radians(a)), 50 + r * math.sin(math.radians(a))) for r in (34, 39)))
        for a in range(0, 360, 30)
    ]
    return [arc(50, 50, 42), *ticks, line((50, 50), (50, 24)), line((50, 50), (67, 58))]


def picture_of(strokes: list[np.ndarray], side: int = 256) -> Image.Image:
    """A picture of strokes, drawn with a pen on white."""
    page, points = Image.new("L", (side, side), 255), np.concatenate(strokes)
    low, span = points.min(axis=0), np.ptp(points, axis=0).max()
    for stroke in strokes:
        places = (stroke - low) / span * 0.8 * side + 0.1 * side
        ImageDraw.Draw(page).line([tuple(place) for place in places.tolist()], 0, 5, "curve")
    return page


def _middle(box: tuple[int, int, int, int]) -> tuple[float, float, float]:
    """The centre of a box (x, y), and half of its height."""
    x1, y1, x2, y2 = box
    return (x1 + x2) / 2, (y1 + y2) / 2, (y2 - y1) / 2


def _octagon(x: float, y: float, r: float) -> list[tuple[float, float]]:
    r /= math.cos(math.radians(22.5))
    return [(x + r * math.cos(a), y + r * math.sin(a)) for a in np.radians(np.arange(22.5, 382, 45)).tolist()]


def _stop_sign(draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    draw.rectangle((x - 0.07 * r, y, x + 0.07 * r, y + 3.2 * r), (150, 150, 150))
    draw.polygon(_octagon(x, y, r), (240, 240, 240))
    draw.polygon(_octagon(x, y, 0.93 * r), (185, 25, 35))
    draw.text((x, y), "STOP", "white", ImageFont.load_default(0.66 * r), "mm", stroke_width=1, stroke_fill="white")


def _clock(draw: ImageDraw.ImageDraw, x: float, y: float, r: float) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), (30, 30, 30))
    draw.ellipse((x - 0.9 * r, y - 0.9 * r, x + 0.9 * r, y + 0.9 * r), (245, 245, 240))
    for hour in range(1, 13):
        a = math.radians(30 * hour - 90)
        place = x + 0.74 * r * math.cos(a), y + 0.74 * r * math.sin(a)
        draw.text(place, str(hour), (20, 20, 20), ImageFont.load_default(0.22 * r), "mm")
    for angle, length, width in ((-40, 0.45, 3), (70, 0.65, 2)):
        a = math.radians(angle)
        draw.line((x, y, x + length * r * math.cos(a), y + length * r * math.sin(a)), (10, 10, 10), width)


def _traffic_light(draw: ImageDraw.ImageDraw, x: float, y: float, half: float) -> None:
    r = half / 3.6
    draw.rectangle((x - 0.15 * r, y, x + 0.15 * r, y + 8 * r), (60, 60, 60))
    draw.rounded_rectangle((x - 1.3 * r, y - 3.6 * r, x + 1.3 * r, y + 3.6 * r), 0.5 * r, (35, 38, 35))
    for place, colour in zip((-2.2, 0, 2.2), ((230, 40, 30), (60, 50, 15), (15, 55, 25)), strict=True):
        draw.ellipse((x - 0.9 * r, y + (place - 0.9) * r, x + 0.9 * r, y + (place + 0.9) * r), colour)
