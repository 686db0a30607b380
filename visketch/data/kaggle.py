"""The CSV files of Kaggle's Quick, Draw! Doodle Recognition Challenge: one drawing a row, as JSON in a column."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from visketch.data import files, points
from visketch.errors import VisketchError
from visketch.geometry.sketch import Sketch

COLUMN = "drawing"
START = ("key_id", "countrycode")


def is_it(head: bytes) -> bool:
    """Whether a file with these first bytes is a table with a column of drawings."""
    line = head.decode("utf-8-sig", "replace").splitlines()[:1]
    return bool(line) and COLUMN in [name.strip().strip('"') for name in line[0].split(",")] and "," in line[0]


def drawings(path: Path) -> Iterator[Sketch | VisketchError]:
    """The drawing of each row, with an error in place of a row that cannot be read.

    If the table has a column `word`, it gives the class of each drawing.
    """
    csv.field_size_limit(files.LONGEST)
    text = (line.decode("utf-8", "replace") for line in files.lines(path))
    rows = csv.DictReader((line.lstrip("\ufeff") for line in text), skipinitialspace=True)
    try:
        columns = rows.fieldnames or ()
    except csv.Error as error:
        raise VisketchError(f"{path}: not a complete table ({error}); download it again") from None
    if COLUMN not in columns:
        raise VisketchError(f"{path}: a table without a column {COLUMN!r}; give Kaggle's own or another file")
    number = 0
    layout: points.Layout | None = None
    while True:
        source = f"{path}:{number + 1}"
        try:
            row = next(rows, None)
            number += 1
            if row is None:
                return
            if not any(row.values()):
                continue
            layout = layout or ("rows" if all(row.get(name) for name in START) else None)
            strokes = points.strokes(json.loads(row.get(COLUMN) or ""), layout)
        except csv.Error as error:
            yield VisketchError(f"{source}: not a complete table ({error}); download it again")
            return
        except (json.JSONDecodeError, RecursionError):
            yield VisketchError(f"{source}: the drawing is not complete JSON; fix or remove that row")
        except ValueError as error:
            yield VisketchError(f"{source}: {error}; fix or remove that row")
        else:
            about = {"kind": "QuickDraw CSV"}
            yield Sketch(strokes=strokes, label=row.get("word") or None, source=source, about=about)
