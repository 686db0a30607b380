"""Fuzz the readers of every format by mutation: every input must give a drawing or an error of one line.

    python bench/fuzz.py [--inputs 100000] [--seconds 600] [--seed 0] [--keep FOLDER]

Seeds are small valid files of each format. Every input is a mutation of one: bytes are changed, cut, doubled, moved or
spliced with those of another file, and words and numbers are replaced by hostile ones. The input is read as `classify`
reads it, in a process whose address space may grow by 1 GB, and with a limit of 5 s of CPU time. Drawings that were
read are rendered, and some are traced. A failure is any exception other than VisketchError, an error message of more
than one line, too much time, or a process that died. The exit code is 1 if there was a failure, and `--keep` writes
the inputs that failed.
"""

import argparse
import base64
import gzip
import io
import json
import multiprocessing
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from visketch.config import SketchConfig
from visketch.data import write
from visketch.data.read import read
from visketch.errors import VisketchError
from visketch.geometry import sdf
from visketch.geometry import trace as tracing

SECONDS, BYTES = 5, 1 << 30  # limits for one input
FIRST = 50  # at most this many drawings of one input are read
EXAMPLES = Path(__file__).parents[1] / "docs/examples"
HOSTILE = [
    *(b"", b"\0", b"\xff" * 8, b"9" * 400, b"-1", b"1e999", b"NaN", b"null", b"[" * 3000, b"{}", b'"', b"\n"),
    *(b"\xef\xbb\xbf", b"]]>", b"&a;", b"<g>" * 400, b'<use href="#a"/>', b"<script>x()</script>"),
    *(b'<!ENTITY a "b">', b'<!DOCTYPE svg SYSTEM "file:///etc/passwd">', b'xlink:href="../../../etc/passwd"'),
    *(b'<image href="http://localhost:9/x.png"/>', b'<style>@import url("file:///etc/passwd");</style>'),
    *(b'transform="scale(1e308)"', b'd="M0 0' + b"l1 1" * 5000 + b'"', b'd="M0 0A1 1 0 0 1 nan inf"'),
    *(struct.pack("<I", value) for value in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF)),
    *(struct.pack(">I", value) for value in (1, 30_000, 0x7FFFFFFF)),
]
SHAPES = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" stroke="red">
<defs><path id="a" d="M0 0C1 2 3 4 5 6A2 3 4 0 1 7 8Z"/></defs>
<g transform="rotate(9) scale(2)"><use href="#a" x="5"/><rect x="1%" width="9mm" height="9" rx="2"/>
<polyline points="1,2 3,4 5,9"/><ellipse rx="3" ry="9"/></g></svg>"""


def seeds() -> dict[str, bytes]:
    """Small valid files of every format, by name."""
    lines = [np.array([[3, 4], [60, 9], [50, 60], [8, 40]], np.float32), np.array([[20, 20], [25, 30]], np.float32)]
    found = {"house.svg": (EXAMPLES / "house.svg").read_bytes(), "cat.svg": (EXAMPLES / "cat.svg").read_bytes()}
    found["shapes.svg"] = SHAPES.encode()
    found["cat.ndjson"] = (write.ndjson(lines, "cat") * 3).encode()
    raw = {"word": "owl", "drawing": [[[1.5, 2.5, 3], [4, 5, 6], [0, 10, 20]]]}
    found["raw.ndjson"] = (json.dumps(raw) + "\n").encode() * 2
    stroke = struct.pack("<H", 3) + bytes([1, 2, 3, 4, 5, 6])
    found["cat.bin"] = (struct.pack("<Q2sbIH", 7, b"GB", 1, 0, 2) + stroke * 2) * 3
    found |= documents(lines)
    bitmaps = np.random.default_rng(0).integers(0, 256, (3, 784), np.uint8)
    drawings = np.array([np.ones((4, 3), np.int16), np.ones((2, 3), np.int16)], object)
    file = io.BytesIO()
    np.save(file, bitmaps)
    found["cat.npy"] = file.getvalue()
    file = io.BytesIO()
    np.savez_compressed(file, train=drawings)
    found["cat.npz"] = file.getvalue()
    pixels = np.full((40, 48), 230, np.uint8)
    pixels[8:10, 5:40] = pixels[8:30, 20:22] = 30
    grey = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    many = {"save_all": True, "append_images": [grey.rotate(90), grey.rotate(180)]}
    for name, (picture, kind, options) in {
        "grey.png": (grey, "PNG", {}),
        "palette.png": (grey.convert("P"), "PNG", {"transparency": 0}),
        "deep.png": (Image.fromarray(pixels.astype(np.uint16) * 250), "PNG", {}),
        "clear.png": (grey.convert("RGBA"), "PNG", {}),
        "photo.jpg": (grey.convert("RGB"), "JPEG", {"exif": exif}),
        "print.jpg": (grey.convert("CMYK"), "JPEG", {"progressive": True}),
        "a.webp": (grey.convert("RGB"), "WEBP", {}),
        "moving.gif": (grey, "GIF", many),
        "a.bmp": (grey, "BMP", {}),
        "pages.tiff": (grey, "TIFF", {**many, "compression": "tiff_lzw"}),
    }.items():
        file = io.BytesIO()
        picture.save(file, kind, **options)
        found[name] = file.getvalue()
    return found


def documents(lines: list[np.ndarray]) -> dict[str, bytes]:
    """Small files of other programs."""
    pairs = [line.tolist() for line in lines]
    named = [{"points": [{"x": x, "y": y, "t": 0} for x, y in line]} for line in pairs]
    rows = [[x, y, 0] for x, y in pairs[0]] + [[-5, 3, 1]]
    free = {"type": "freedraw", "x": 1, "y": 2, "points": pairs[0], "angle": 0.5, "isDeleted": False}
    more = [{"type": kind, "x": 1, "y": 2, "width": 9, "height": 5} for kind in ("rectangle", "ellipse", "diamond")]
    arrow = {"type": "arrow", "x": 1, "y": 2, "points": pairs[1], "roundness": {"type": 2}, "endArrowhead": "dot"}
    scene = {"type": "excalidraw", "version": 2, "elements": [free, *more, arrow], "appState": {}}
    place = {"typeName": "shape", "x": 3, "y": 4, "rotation": 1, "parentId": "page:a", "opacity": 1, "index": "a1"}
    packed = base64.b64encode(struct.pack("<3f6e", 1, 2, 0.5, 3, 4, 0, -5, 6, 0)).decode()
    segments = [{"type": "free", "points": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}, {"type": "free", "path": packed}]
    ends = {"start": {"x": 0, "y": 0}, "end": {"x": 9, "y": 9}, "bend": 3, "arrowheadEnd": "arrow"}
    shapes = [("draw", {"segments": segments}), ("geo", {"geo": "star", "w": 9, "h": 5}), ("arrow", ends)]
    records = [place | {"id": f"shape:{kind}", "type": kind, "props": props} for kind, props in shapes]
    drawing = json.dumps([line.T.tolist() for line in lines])
    ink = (
        "<ink><traceFormat><channel name='X'/><channel name='Y'/></traceFormat><trace>1 2,'3'4,*-1,!5!#F</trace></ink>"
    )
    table = f'countrycode,drawing,key_id,word\nGB,"{drawing}",1,cat\nGB,"{drawing}",2,cat\n'
    found = {
        "pairs.json": json.dumps(pairs * 2),
        "named.json": json.dumps(named),
        "rows.json": json.dumps(rows),
        "many.json": json.dumps([{"word": "cat", "drawing": pairs}] * 2, indent=1),
        "a.excalidraw": json.dumps(scene),
        "a.tldr": json.dumps({"tldrawFileFormatVersion": 1, "schema": {}, "records": records}),
        "a.inkml": ink,
        "a.csv": table,
    }
    content = {name: text.encode() for name, text in found.items()}
    content["a.ndjson.gz"] = gzip.compress(f'{{"drawing": {drawing}}}\n'.encode() * 3)
    for name, array in (("stroke3.npy", np.array(rows, np.float32)), ("floats.npy", np.eye(28)[None].repeat(2, 0))):
        file = io.BytesIO()
        np.save(file, array)
        content[name] = file.getvalue()
    return content


VALUES = [
    None,
    True,
    -1,
    0,
    1e308,
    10**400,
    0.5,
    "",
    "x",
    "#fff",
    [],
    {},
    [[]],
    [1, 2],
    [[1, 2], [3, 4]],
    {"x": 1, "y": 2},
]


def rearranged(document: object, rng: np.random.Generator) -> object:
    """A JSON document with one of its values, or the list or field that holds it, replaced, doubled or left out."""
    if not isinstance(document, dict | list) or not document or rng.random() < 0.1:
        return VALUES[rng.integers(len(VALUES))]
    if isinstance(document, list):
        at = int(rng.integers(len(document)))
        middle = [[], [document[at]] * 3, [rearranged(document[at], rng)]][rng.choice(3, p=[0.1, 0.1, 0.8])]
        return document[:at] + middle + document[at + 1 :]
    name = list(document)[rng.integers(len(document))]
    rest = {key: value for key, value in document.items() if key != name}
    return rest if rng.random() < 0.1 else {**rest, name: rearranged(document[name], rng)}


def mutant(all: list[bytes], content: bytes, rng: np.random.Generator) -> bytes:
    """An input with one to eight changes. Half of the JSON documents stay valid JSON and change in content."""
    if content[:1] in b"{[" and rng.random() < 0.5:
        try:
            document = json.loads(content)
        except ValueError:
            document = None
        for _ in range(rng.integers(1, 4) if document else 0):
            document = rearranged(document, rng)
        if document:
            return json.dumps(document).encode()
    text = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        at, end = sorted(rng.integers(0, len(text) + 1, 2).tolist())
        end = min(end, at + int(rng.integers(1, 64)))
        match rng.integers(0, 9):
            case 0 | 1:
                for place in rng.integers(0, max(len(text), 1), rng.integers(1, 6)).tolist():
                    if text:
                        text[place] ^= 1 << int(rng.integers(8))
            case 2 | 3:
                text[at:end] = HOSTILE[rng.integers(len(HOSTILE))]
            case 4:
                text[at:end] = b""
            case 5:
                text[at:at] = text[at:end] * int(rng.integers(1, 50))
            case 6:
                other = all[rng.integers(len(all))]
                start = int(rng.integers(0, len(other)))
                text[at:end] = other[start : start + int(rng.integers(1, 200))]
            case 7:
                text[at:end] = rng.integers(0, 256, end - at, np.uint8).tobytes()
            case 8:
                text = text[: int(rng.integers(0, len(text) + 1))] if rng.random() < 0.3 else text
    return bytes(text[: 1 << 20])


class Alarm(BaseException):
    """An input took too long. This is a BaseException, so that no reader mistakes it for a broken file."""


def ring(*_: object) -> None:
    raise Alarm


def one(path: Path, shape: SketchConfig, trace: bool) -> str:
    """The outcome of one input: "read", "refused", or the name of a failure."""
    outcome, problems = "refused", []
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        for sketch in islice(read(path, problems.append), FIRST):
            outcome = "read"
            try:
                sdf.render(sketch, shape)
                if trace and sketch.pixels is not None:
                    found = tracing.trace(tracing.from_pixels(sketch.pixels))
                    write.svg([(found.strokes, found.pen)], 64, 64, {})
                    write.ndjson(found.strokes, "a")
            except VisketchError as error:
                problems.append(error)
        if any("\n" in str(problem) for problem in problems):
            return "more than one line"
    except Alarm:
        return f"longer than {SECONDS} s"
    except BaseException as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:80]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return outcome


def work(seed: int, count: int, seconds: float, keep: Path | None, results: "multiprocessing.Queue") -> None:
    """The work of one process. Returns counts by format and outcome."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, ring)
    files = seeds()
    all, names = list(files.values()), list(files)
    shape = SketchConfig()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():  # imports everything that is imported late, and tests the seeds
            Path(folder, name).write_bytes(content)
            for sketch in read(Path(folder, name)):
                sdf.render(sketch, shape)
            one(Path(folder, name), shape, trace=True)
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + BYTES, now + BYTES))
        counts: Counter[tuple[str, str]] = Counter()
        start, slowest = time.monotonic(), 0.0
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            name = names[rng.integers(len(names))]
            content = mutant(all, files[name], rng)
            path = Path(folder, f"input{Path(name).suffix}")
            path.write_bytes(content)
            before = time.process_time()
            outcome = one(path, shape, trace=number % 20 == 0)
            slowest = max(slowest, time.process_time() - before)
            counts[Path(name).suffix, outcome] += 1
            if outcome not in ("read", "refused") and keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{number}-{name}").write_bytes(content)
            if time.monotonic() - start > seconds:
                break
            if number % 1000 == 999:
                results.put((counts, slowest, False))
                counts = Counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put((counts, slowest, peak))


def main() -> None:
    parser = argparse.ArgumentParser(description="Mutated files of every format.")
    parser.add_argument("--inputs", type=int, default=100_000, help="so many (100,000)")
    parser.add_argument("--seconds", type=float, default=1e9, help="or as many as fit into this time")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs")
    parser.add_argument("--keep", type=Path, help="a folder for the inputs that failed")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = (options.seed, options.inputs, options.seconds, options.keep, results)
    process = context.Process(target=work, args=arguments)
    process.start()
    counts: Counter[tuple[str, str]] = Counter()
    slowest, peak = 0.0, 0.0
    while not peak:
        try:
            more, slowest_so_far, peak = results.get(timeout=60)
        except Exception:
            if process.is_alive():
                continue
            counts["all", f"the process ended with {process.exitcode}"] += 1
            break
        counts += more
        slowest = max(slowest, slowest_so_far)
    process.join()
    failures = {key: count for key, count in counts.items() if key[1] not in ("read", "refused")}
    for kind in sorted({kind for kind, _ in counts}):
        print(f"{kind:8} " + ", ".join(f"{count:,} {what}" for (of, what), count in counts.most_common() if of == kind))
    failed = sum(failures.values())
    print(f"{counts.total():,} inputs, {failed} failures; the slowest {slowest:.2f} s, peak {peak:.0f} MiB")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
