"""Small drawings for tests, made of strokes with some random tremor.

`draw("cat", seed=3)` is always the same cat. Coordinates are QuickDraw's: 0 to 255, x to the right, y down.
"""

from collections.abc import Callable

import numpy as np

from visketch.geometry.sketch import Sketch

Strokes = list[np.ndarray]


def arc(x: float, y: float, radius: float, start: float = 0, end: float = 360, points: int = 25) -> np.ndarray:
    """A part of a circle. Its angles are in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, end, points))
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def line(*points: tuple[float, float]) -> np.ndarray:
    """A polyline through the points."""
    return np.array(points, dtype=float)


def cat() -> Strokes:
    ears = [line((52, 92), (58, 22), (104, 56)), line((152, 56), (198, 22), (204, 92))]
    face = [arc(128, 132, 84), arc(98, 116, 9), arc(158, 116, 9), line((118, 146), (138, 146), (128, 156), (118, 146))]
    mouth = [arc(114, 158, 14, 0, 150, 9), arc(142, 158, 14, 30, 180, 9)]
    whiskers = [
        line((128 + 34 * side, y), (128 + 104 * side, y2)) for side in (-1, 1) for y, y2 in ((150, 138), (160, 170))
    ]
    return ears + face + mouth + whiskers


def house() -> Strokes:
    walls, roof = line((50, 110), (50, 225), (206, 225), (206, 110)), line((30, 118), (128, 30), (226, 118), (30, 118))
    door, window = (
        line((112, 225), (112, 165), (146, 165), (146, 225)),
        line((66, 135), (96, 135), (96, 165), (66, 165), (66, 135)),
    )
    return [walls, roof, door, window]


def star() -> Strokes:
    tips = arc(128, 128, 105, -90, 630, points=6)  # every second corner of a pentagon, so that the lines cross
    return [tips]


def circle() -> Strokes:
    return [arc(128, 128, 100, points=40)]


def fish() -> Strokes:
    body = [arc(110, 168, 100, 218, 322, 20), arc(110, 88, 100, 38, 142, 20)]
    return [*body, line((188, 128), (238, 88), (228, 128), (238, 168), (188, 128)), arc(62, 118, 6, points=9)]


def flower() -> Strokes:
    petals = [arc(128 + 42 * np.cos(angle), 84 + 42 * np.sin(angle), 22) for angle in np.linspace(0, 2 * np.pi, 6)[:-1]]
    return [arc(128, 84, 18), *petals, line((128, 150), (124, 190), (128, 246)), arc(156, 208, 28, 90, 180, 9)]


def stairs() -> Strokes:
    return [line(*((20 + 36 * step + right, 236 - 36 * step) for step in range(6) for right in (0, 36)))]


def spiral() -> Strokes:
    angles = np.linspace(0, 6 * np.pi, 70)
    return [np.stack([128 + 5.5 * angles * np.cos(angles), 128 + 5.5 * angles * np.sin(angles)], axis=1)]


SUBJECTS: dict[str, Callable[[], Strokes]] = {
    subject.__name__: subject for subject in (cat, house, star, circle, fish, flower, stairs, spiral)
}


def draw(label: str, seed: int = 0, tremble: float = 3.0) -> Sketch:
    """One drawing of `label`, stretched, tilted and shaken by `tremble` QuickDraw units. Each seed gives a different
    one.
    """
    rng = np.random.default_rng([seed, *label.encode()])
    tilt, stretch = rng.normal(0, 0.02 * tremble), np.exp(rng.normal(0, 0.03 * tremble, 2))
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    strokes = [(stroke - 128) * stretch @ turn + 128 + rng.normal(0, tremble, 2) for stroke in SUBJECTS[label]()]
    shaken = [stroke + rng.normal(0, tremble / 3, stroke.shape) for stroke in strokes]
    return Sketch(strokes=tuple(stroke.astype(np.float32) for stroke in shaken), label=label, source=f"{label}-{seed}")


def draw_many(count: int, seed: int = 0, labels: tuple[str, ...] = tuple(SUBJECTS)) -> list[Sketch]:
    """`count` different drawings, cycling through the labels."""
    return [draw(labels[i % len(labels)], seed=seed * 10_000 + i) for i in range(count)]


def two_on_a_page() -> Sketch:
    """A cat, and a house to the right below it, with a gap between them."""
    house = [line + 330 for line in draw("house").strokes or ()]
    return Sketch(strokes=(*(draw("cat").strokes or ()), *house))
