"""Export the classifier as one ONNX file, for apps without torch. Only this module imports onnx, and onnxruntime to
check the result.

The graph has everything after the field: the quadtree, the leaf encoder, the classifier. Batches can have any size, and
blank leaves are skipped inside the graph. Rendering the field is left to `sdf.render`, which needs no torch.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from visketch import checkpoint, quadtree
from visketch.config import SketchConfig
from visketch.errors import VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.models.classifier import Classifier
from visketch.models.encoder import LeafEncoder

OPSET = 18  # of 2022, which phones and browsers also support
CLOSE = 1e-3  # the largest allowed difference of the logits from torch's


class ClassifierGraph(nn.Module):
    """Fields → logits, as `ViSketch.logits`, in operations that work for any sizes."""

    context: Tensor

    def __init__(self, encoder: LeafEncoder, classifier: Classifier, shape: SketchConfig) -> None:
        super().__init__()
        self.encoder, self.classifier, self.shape = encoder, classifier, shape
        self.register_buffer("context", quadtree.context(shape.depth))

    def forward(self, field: Float[Tensor, "b h h"]) -> Float[Tensor, "b c"]:
        depth, sketches = self.shape.depth, field.shape[0]
        leaf, rich = quadtree.grow(quadtree.information(field, depth, self.shape.near), self.shape.information)
        finest = (leaf & rich)[:, quadtree.first_tile(depth) :]  # only finest leaves hold information
        sketch, z = finest.nonzero(as_tuple=True)
        leaves = quadtree.Leaves(sketch, torch.full_like(z, depth), z)
        cls = self.encoder(self.encoder.embed_levels(field, depth), leaves, self.context[leaves.tile], first=1)[:, 0]
        padded = cls.new_zeros(sketches, finest.shape[1], cls.shape[1]).index_put((sketch, z), cls)
        return self.classifier.out(self.classifier.pool_padded(padded, finest))


def export_classifier(model: SketchModel, path: Path) -> dict[str, Any]:
    """Write the ONNX file; returns facts about it. Raises VisketchError if its results differ.

    Input `field` (b h h) float32, output `logits` (b c) float32. Metadata of the file: `labels` and `sketch` (the
    arguments of `SketchConfig`) in JSON, `encoder` and `classifier` (fingerprints), `name` of the checkpoint,
    `visketch`.
    """
    onnx = _import("onnx")
    _import("onnxscript")  # used by torch.onnx
    shape = model.config.reading
    graph = ClassifierGraph(model.part("encoder"), model.part("classifier"), shape).to("cpu").eval()
    with _quietly():
        # Captured here, since torch.onnx would otherwise fall back to other methods, one of which fixes the batch size.
        sample, free = torch.zeros(3, shape.canvas, shape.canvas), {"field": {0: torch.export.Dim("b")}}
        captured = torch.export.export(graph, (sample,), dynamic_shapes=free, strict=False)
        program = torch.onnx.export(
            captured, input_names=["field"], output_names=["logits"], opset_version=OPSET, dynamo=True, verbose=False
        )
    assert program is not None
    made = program.model_proto
    onnx.helper.set_model_props(made, metadata(model))
    onnx.checker.check_model(made, full_check=True)
    content = made.SerializeToString()
    difference = compare(model, content)
    if not difference <= CLOSE:
        raise VisketchError(
            f"{path}: not written, since its logits would differ by {difference:.2g}; try another version of torch"
        )
    checkpoint.write_atomically(path, content)
    return {"path": path, "bytes": len(content), "classes": len(model.labels), "difference": difference}


def metadata(model: SketchModel) -> dict[str, str]:
    """What an app needs to use the graph, and its origin."""
    assert model.folder is not None
    marks = {part: checkpoint.read_metadata(model.folder, part)["fingerprint"] for part in ("encoder", "classifier")}
    about = {"labels": json.dumps(model.labels), "sketch": model.config.reading.model_dump_json()}
    return {**about, **marks, "name": model.config.name, "visketch": version("visketch")}


def compare(model: SketchModel, content: bytes) -> float:
    """The largest difference between the logits of both, in single precision, for scribbles of 1 to 24 lines."""
    runtime = _import("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    scribbles = [
        Sketch(strokes=tuple(rng.normal(size=(5, 2)).cumsum(axis=0).astype(np.float32) for _ in range(count)))
        for count in (1, 2, 4, 8, 16, 24)
    ]
    fields = np.stack([sdf.render(sketch, model.config.reading) for sketch in scribbles])
    brief, model.use_bf16 = model.use_bf16, False
    try:
        expected = model.logits(torch.from_numpy(fields).to(model.device)).cpu().numpy()
    finally:
        model.use_bf16 = brief
    (found,) = session.run(None, {"field": fields})
    return float(np.abs(found - expected).max())


def _import(library: str) -> Any:
    try:
        return __import__(library)
    except ModuleNotFoundError:
        raise VisketchError(f'{library} is not installed: pip install "visketch[onnx]"') from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence torch.onnx, which logs that torchvision is missing, and more."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
