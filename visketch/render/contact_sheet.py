"""A contact sheet: some rows of a data set as people see them, to check it before training."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

SIDE, WIDE, EDGE, COLUMNS = 192, 720, 16, 2  # pixels of a picture, and of a row with its text; columns of rows
OF_EACH = 2  # the number of rows of each task and kind, with different scenes and styles
INK, GREY, LINE, RED = (20, 20, 20), (110, 110, 110), (220, 220, 220), (200, 30, 30)
LONGEST = 220  # the most characters of an answer


class ContactSheet:
    """Collects the first test rows of every kind and task, and draws each: the sketch, the scene with its boxes, and
    the text.
    """

    def __init__(self) -> None:
        self.kept: list[tuple[dict, np.ndarray, np.ndarray]] = []
        self.counts: Counter[tuple] = Counter()

    def offer(self, split: str, kind: str, row: dict, sketch: np.ndarray, scene: np.ndarray) -> None:
        which = (kind, row["task"], row["question"])
        fresh = (kind, row["images"][1]), (which, row["style"], row["seen"])
        if split == "test" and self.counts[which] < OF_EACH and not any(self.counts[one] for one in fresh):
            self.counts.update((which, *fresh))
            self.kept.append((row, sketch, scene))

    def write(self, path: Path) -> None:
        self.kept.sort(key=lambda kept: (kept[0]["kind"], kept[0]["task"], kept[0]["question"], kept[0]["style"]))
        down = -(-len(self.kept) // COLUMNS) or 1
        page = Image.new("RGB", (COLUMNS * WIDE + EDGE, down * (SIDE + EDGE) + EDGE), "white")
        for number, (row, sketch, scene) in enumerate(self.kept):
            y, x = divmod(number, COLUMNS)
            self._draw(page, (EDGE + x * WIDE, EDGE + y * (SIDE + EDGE)), row, sketch, scene)
        page.save(path)

    def _draw(
        self, page: Image.Image, corner: tuple[int, int], row: dict, sketch: np.ndarray, scene: np.ndarray
    ) -> None:
        x, y = corner
        draw = ImageDraw.Draw(page)
        for number, pixels in enumerate((sketch, scene)):
            left = x + number * (SIDE + EDGE)
            picture = ImageOps.contain(Image.fromarray(pixels).convert("RGB"), (SIDE, SIDE), Image.Resampling.LANCZOS)
            page.paste(picture, (left, y))
            draw.rectangle((left, y, left + picture.width - 1, y + picture.height - 1), outline=LINE)
        wide, high = picture.size
        for x1, y1, x2, y2 in row["boxes"]:
            draw.rectangle((left + wide * x1, y + high * y1, left + wide * x2, y + high * y2), outline=RED)
        text = row["prompt"][0]["content"][-1]["text"]
        answer = row["completion"][0]["content"][0]["text"]
        answer = answer if len(answer) <= LONGEST else f"{answer[:LONGEST]} ..."
        about = f"{row['kind']} · {row['style']} · {'seen' if row['seen'] else 'unseen'} · {row['label']}"
        font, top, words = ImageFont.load_default(13), y, x + 2 * (SIDE + EDGE)
        for what, colour in ((about, GREY), (text, INK), (answer, RED)):
            wrapped = _wrap(what, font, WIDE - 2 * (SIDE + EDGE) - EDGE)
            draw.multiline_text((words, top), wrapped, colour, font)
            top += 17 * (wrapped.count("\n") + 1) + 6


def _wrap(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", wide: int) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > wide:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)
