"""The packed data set: an Arrow IPC file, memory-mapped, so that memory use does not depend on its size.

One row is one drawing. All record batches but the last have ROWS rows, so a row is found by one division. Every column
of a batch is a numpy view of the mapped file, so reading a drawing creates no Arrow object and copies nothing.

    label    dictionary<uint16, string>   the class; the dictionary is the list of labels
    split    uint8                        0 training, 1 validation, 2 test
    key      string                       16 hex digits, the start of the drawing's SHA-1; the split follows from it
    points   list<float32>                x, y, x, y ... of all strokes, empty for a raster
    lengths  list<uint32>                 points in each stroke
    pixels   binary                       the ink mask as a 1-bit PNG, null for strokes
"""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from visketch.data.folder import SPLITS
from visketch.errors import UsageError, VisketchError
from visketch.geometry.sketch import Sketch, fit

ROWS = 4096
FORMAT = b"visketch-1"
SCHEMA = pa.schema(
    {
        "label": pa.dictionary(pa.uint16(), pa.string()),
        "split": pa.uint8(),
        "key": pa.string(),
        "points": pa.list_(pa.float32()),
        "lengths": pa.list_(pa.uint32()),
        "pixels": pa.binary(),
    }
)


class Store:
    """A packed data set, open for reading.

    `label` and `split`, each (drawings,), are in memory. The drawings stay on disk.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the packed data set at `path`. Raises VisketchError if it is not one."""
        self.path = Path(path)
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        except (OSError, pa.ArrowInvalid) as error:
            problem = "not a packed data set" if self.path.exists() else "no such file"
            raise VisketchError(f"{path}: {problem}; write one with `visketch data pack`") from error
        metadata = reader.schema.metadata or {}
        if metadata.get(b"format") != FORMAT or not batches:
            raise VisketchError(f"{path}: packed by another version; pack it again with `visketch data pack`")
        self.provenance: dict = json.loads(metadata[b"provenance"])
        self.labels: list[str] = batches[-1]["label"].dictionary.to_pylist()
        self.label: np.ndarray = np.concatenate([batch["label"].indices.to_numpy() for batch in batches])
        self.split: np.ndarray = np.concatenate([batch["split"].to_numpy() for batch in batches])
        self._batches = [_views(batch) for batch in batches]

    def __reduce__(self) -> tuple:
        return Store, (self.path,)  # a worker process maps the file again, and the system shares the pages

    def __len__(self) -> int:
        return len(self.label)

    @property
    def fingerprint(self) -> str:
        """16 hex digits that identify the drawings, in their order, and their classes and splits."""
        digest = hashlib.sha256(self.split.tobytes() + self.label.tobytes())
        for (_, keys), *_ in self._batches:
            digest.update(keys.tobytes())
        return digest.hexdigest()[:16]

    def __getitem__(self, index: int | np.integer) -> Sketch:
        """Drawing number `index`.

        Its strokes (points, 2) are read-only views of the file. Its `source` is its key.
        """
        if not 0 <= index < len(self.label):
            raise IndexError(f"index {index} is out of range: there are {len(self)} drawings")
        batch, row = divmod(int(index), ROWS)
        (key_at, keys), (point_at, points), (length_at, lengths), (pixel_at, pixels) = self._batches[batch]
        label = self.labels[self.label[index]]
        source = keys[key_at[row] : key_at[row + 1]].tobytes().decode()
        if pixel_at[row + 1] > pixel_at[row]:
            png = pixels[pixel_at[row] : pixel_at[row + 1]].tobytes()
            return Sketch(pixels=_decode(png), label=label, source=source)
        drawing = points[point_at[row] : point_at[row + 1]].reshape(-1, 2)
        strokes, first = [], 0
        for length in lengths[length_at[row] : length_at[row + 1]].tolist():
            strokes.append(drawing[first : first + length])
            first += length
        return Sketch(strokes=tuple(strokes), label=label, source=source)

    def sizes(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of strokes and of points of every drawing, each (drawings,). Both are 0 for a raster."""
        strokes = [np.diff(lengths[0]) for _, _, lengths, _ in self._batches]
        points = [np.diff(points[0]) // 2 for _, points, _, _ in self._batches]
        return np.concatenate(strokes), np.concatenate(points)

    def count(self, measure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Measure every stroke of every drawing, and add up the results of each drawing.

        `measure` takes the lengths of all strokes and returns a number for each. The result is (drawings,), with 0 for
        a raster.
        """
        sums = []
        for _, _, (offsets, lengths), _ in self._batches:
            total = np.concatenate([[0], np.cumsum(measure(lengths))])
            sums.append(total[offsets[1:]] - total[offsets[:-1]])
        return np.concatenate(sums).astype(np.int64)

    def has(self, split: str, labels: Sequence[str]) -> bool:
        """Whether a split has at least two drawings of each class."""
        counts = dict(zip(*np.unique(self.label[self.rows(split)], return_counts=True), strict=True))
        return all(name in self.labels and counts.get(self.labels.index(name), 0) >= 2 for name in labels)

    def rows(self, split: str) -> np.ndarray:
        """The row numbers (drawings,) of a split, which is "train", "validation" or "test"."""
        if split not in SPLITS:
            raise UsageError(f"no split {split!r}; use one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.split == SPLITS.index(split))


def is_packed(file: Path) -> bool:
    """Whether a file begins like a packed data set."""
    try:
        with file.open("rb") as content:
            return content.read(6) == b"ARROW1"
    except OSError:
        return False


def key(sketch: Sketch) -> str:
    """The first 16 hex digits of the SHA-1 of a drawing: of its compact JSON in QuickDraw's form, or of its mask.

    Strokes with coordinates that are not integers are first scaled to QuickDraw's 0..255.
    """
    if sketch.pixels is not None:
        text = repr(sketch.pixels.shape).encode() + np.packbits(sketch.pixels).tobytes()
    else:
        strokes = sketch.strokes or ()
        if not all((stroke == np.rint(stroke)).all() for stroke in strokes):
            strokes = tuple(np.rint(stroke * 255) for stroke in fit(strokes, margin=0.0))
        drawing = [stroke.T.astype(np.int64).tolist() for stroke in strokes]
        text = json.dumps(drawing, separators=(",", ":")).encode()
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()[:16]


def split(key: str) -> str:
    """The split of a drawing that follows from its key. It is used if the data set does not name a split.

    The key is taken as a number in 0..1.
    """
    place = int(key, 16) / 16**16
    return "test" if place < 0.10 else "validation" if place < 0.15 else "train"


def _views(batch: pa.RecordBatch) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The (offsets, values) of the columns of variable length, as views of the mapped file."""
    types = {"key": np.uint8, "points": np.float32, "lengths": np.uint32, "pixels": np.uint8}
    views = []
    for name, type in types.items():
        buffers = batch[name].buffers()
        offsets, values = np.frombuffer(buffers[1], np.int32), buffers[-1]
        views.append((offsets[: len(batch) + 1], np.frombuffer(values, type) if values else np.empty(0, type)))
    return tuple(views)


def _decode(png: bytes) -> np.ndarray:
    from PIL import Image

    # Pillow's booleans are bytes of 255, which compiled code (such as skimage's) would use as an index.
    return np.array(Image.open(io.BytesIO(png))).view(np.uint8) != 0
