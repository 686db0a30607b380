"""The studio without a server: static files that recognise, draw and finish sketches in the visitor's browser.

The page is that of the studio (`serve/page`) with another back end (`serve/site`), which runs the exported networks
with ONNX Runtime. `model.json` holds what depends on the weights, and the constants that Python and the page share.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from visketch.errors import UsageError, VisketchError, reason
from visketch.geometry import pieces
from visketch.model import SketchModel
from visketch.models import stroke_transformer, strokes
from visketch.tasks import complete, like
from visketch.tasks.export import classifier_graph, metadata, refuse_other_results, strokes_graph
from visketch.tasks.web_runtime import web_runtime

SERVER_ONLY = {"api.html", "api.js", "backend.js"}  # files of the page that a site does not need
MARKED = "offline.js"  # the script that lists the others
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)


def export_site(model: SketchModel, folder: Path, runtime: Path | None = None, overwrite: bool = False) -> dict:
    """Write the site to a folder, and return facts about it.

    `runtime` is the package that `web_runtime` takes. With `overwrite`, an earlier site in the folder is replaced.
    Raises UsageError for a folder that has other files. Raises VisketchError for weights that draw no strokes, for a
    folder that cannot be written, and if the results of the networks differ from torch's. If an error is raised,
    nothing is written.
    """
    check(folder, overwrite)
    if model.config.coarse != "strokes":
        raise VisketchError(f"{model.folder}: its diffusion draws fields, not strokes, which a site needs")
    for part in ("encoder", "classifier", model.config.coarse_part("strokes")):
        model.part(part)
    with _new(folder, overwrite) as place:
        own = web_runtime(runtime)
        own["ort.bin"] = zlib.compress(own.pop("ort.wasm"), 9)
        graphs = {}
        for name, (content, difference) in (
            ("classifier", classifier_graph(model, small=True)),
            ("strokes", strokes_graph(model, small=True)),
        ):
            refuse_other_results(folder, f"the {name}", difference)
            graphs[f"{name}.bin"] = zlib.compress(content, 9)
        contents = {**_page(), **own, **graphs}
        contents["model.json"] = json.dumps(about(model)).encode()
        contents[MARKED] = _listed(contents)
        for name, content in contents.items():
            (place / name).write_bytes(content)
    return {"path": folder, "files": len(contents), "bytes": sum(map(len, contents.values()))}


def about(model: SketchModel) -> dict[str, Any]:
    """What the page needs to know about the weights, with the constants of the stroke diffusion and of completing."""
    diffusion = model.part(model.config.coarse_part("strokes"))
    shape, stage = model.config.reading, model.config.stage("strokes")
    histogram = diffusion.histogram / diffusion.histogram.sum(dim=1, keepdim=True).clamp(min=1e-9)
    facts = metadata(model)
    return {
        "labels": model.labels,
        "checkpoint": facts["name"],
        "fingerprints": {part: facts[part] for part in ("encoder", "classifier")},
        "version": version("visketch"),
        "sketch": {name: getattr(shape, name) for name in ("canvas", "pen", "margin", "clamp")},
        "steps": stage.steps,
        "guidance": stage.guidance,
        "histogram": [[round(share, 5) for share in row] for row in histogram.tolist()],
        "scales": {
            "points": pieces.POINTS,
            "pieces": stage.pieces,
            "tolerance": pieces.TOLERANCE,
            "place": stroke_transformer.PLACE,
            "shape": stroke_transformer.SHAPE,
            "size": stroke_transformer.SIZE,
            "smallest": stroke_transformer.SMALLEST,
            "blunt": stroke_transformer.BLUNT,
        },
        "strength": like.STRENGTH,
        "shares": complete.SHARES,
        "completed_with": complete.GUIDANCE,
        "clutter": complete.CLUTTER,
        "looks": strokes.LOOKS,
        "noised": strokes.NOISED,
        "proposed": complete.PROPOSED,
    }


def _page() -> dict[str, bytes]:
    """The files of the page with the back end for the browser. Its policy forbids loading anything from elsewhere."""
    page, site = (files("visketch.serve") / name for name in ("page", "site"))
    found = {file.name: file.read_bytes() for file in page.iterdir() if file.name not in SERVER_ONLY}
    found |= {file.name: file.read_bytes() for file in site.iterdir()}
    start = b'<meta charset="utf-8">\n'
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'.encode()
    assert start in found["index.html"]
    return {**found, "index.html": found["index.html"].replace(start, start + policy)}


def _listed(contents: dict[str, bytes]) -> bytes:
    """The service worker, with the list of the files that it keeps and a mark that identifies their contents."""
    mark = hashlib.sha256()
    for name in sorted(contents):
        mark.update(name.encode() + b"\0" + hashlib.sha256(contents[name]).digest())
    names = ["./", *sorted(contents.keys() - {MARKED})]
    head = f"const MARK = {json.dumps(mark.hexdigest()[:16])}, FILES = {json.dumps(names)};\n"
    return head.encode() + contents[MARKED]


def check(folder: Path, overwrite: bool) -> None:
    """Raises UsageError for a path to which no site may be written."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise UsageError(f"{folder}: this is a file; name a folder")
    there = {file.name for file in folder.iterdir()}
    if not there:
        return
    head = (folder / MARKED).read_bytes()[:4096].split(b"\n")[0] if MARKED in there else b""
    if not head.startswith(b"const MARK = "):
        raise UsageError(f"{folder}: has other files, such as {min(there)}; name a new folder")
    known = {*json.loads(head.partition(b"FILES = ")[2].rstrip(b";")), MARKED}
    if foreign := there - known:
        raise UsageError(f"{folder}: has a site and other files, such as {min(foreign)}; name a new folder")
    if not overwrite:
        raise UsageError(f"{folder}: has a site already; name another folder, or replace it with --overwrite")


@contextmanager
def _new(folder: Path, overwrite: bool) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its name at the end if nothing has failed. Raises VisketchError."""
    part, old = (folder.with_name(f".{folder.resolve().name}.{os.getpid()}.{kind}") for kind in ("part", "old"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        yield part
        check(folder, overwrite)
        if folder.is_dir():
            folder.rename(old)
        part.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise VisketchError(f"{folder}: cannot be written, {reason(error)}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
