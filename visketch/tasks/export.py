"""Export the classifier and the stroke diffusion as ONNX, for apps without torch.

Only this module imports onnx, and onnxruntime to check the results. The classifier's graph contains everything after
the field: the quadtree, the leaf encoder and the classifier. Batches can have any size, and blank leaves are skipped
inside the graph. Rendering the field is left to `sdf.render`, which does not need torch. The graph of the stroke
diffusion is one step of it, with guidance, and the app runs the steps.
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
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from visketch import checkpoint, quadtree
from visketch.atomic import write_atomically
from visketch.config import SketchConfig
from visketch.errors import VisketchError
from visketch.geometry import sdf
from visketch.geometry.sketch import Sketch
from visketch.model import SketchModel
from visketch.models.classifier import Classifier
from visketch.models.encoder import LeafEncoder
from visketch.models.strokes import StrokeDiffusion

OPSET = 18  # from 2022, so that phones and browsers support it too
CLOSE = 1e-3  # the largest allowed difference between the logits and torch's


class ClassifierGraph(nn.Module):
    """Turns fields into logits, as `ViSketch.logits` does, in operations that work for any sizes."""

    context: Tensor

    def __init__(self, encoder: LeafEncoder, classifier: Classifier, shape: SketchConfig) -> None:
        super().__init__()
        self.encoder, self.classifier, self.shape = encoder, classifier, shape
        self.register_buffer("context", quadtree.context(shape.depth))

    def forward(self, field: Float[Tensor, "b h h"]) -> Float[Tensor, "b c"]:
        depth, sketches = self.shape.depth, field.shape[0]
        leaf, rich = quadtree.grow(quadtree.information(field, depth, self.shape.near), self.shape.information)
        finest = (leaf & rich)[:, quadtree.first_tile(depth) :]  # only leaves of the finest level hold information
        sketch, z = finest.nonzero(as_tuple=True)
        leaves = quadtree.Leaves(sketch, torch.full_like(z, depth), z)
        cls = self.encoder(self.encoder.embed_levels(field, depth), leaves, self.context[leaves.tile], first=1)[:, 0]
        padded = cls.new_zeros(sketches, finest.shape[1], cls.shape[1]).index_put((sketch, z), cls)
        return self.classifier.out(self.classifier.pool_padded(padded, finest))


def export_classifier(model: SketchModel, path: Path) -> dict[str, Any]:
    """Write the classifier as an ONNX file, and return facts about it.

    The input is `field` (b h h) float32, and the output is `logits` (b c) float32. The metadata of the file has
    `labels` and `sketch` (the arguments of `SketchConfig`) in JSON, the fingerprints `encoder` and `classifier`, the
    `name` of the checkpoint, and the version `visketch`. Raises VisketchError if the results differ from torch's.
    """
    content, difference = classifier_graph(model)
    refuse_other_results(path, "its logits", difference)
    write_atomically(path, content)
    return {"path": path, "bytes": len(content), "classes": len(model.labels), "difference": difference}


def refuse_other_results(place: Path, what: str, difference: float) -> None:
    """Raises VisketchError if results differ from torch's by more than CLOSE. The message names the place that is not
    written.
    """
    if not difference <= CLOSE:
        raise VisketchError(
            f"{place}: not written, since {what} would differ by {difference:.2g}; try another version of torch"
        )


def classifier_graph(model: SketchModel, small: bool = False) -> tuple[bytes, float]:
    """The content of the ONNX file, and the greatest difference between its logits and torch's.

    With `small`, weights are stored as `compressed` does.
    """
    shape = model.config.reading
    graph = ClassifierGraph(model.part("encoder"), model.part("classifier"), shape)
    sample, free = {"field": torch.zeros(3, shape.canvas, shape.canvas)}, {"field": {0: torch.export.Dim("b")}}
    content = _to_onnx(graph, sample, free, "logits", metadata(model), small)
    return content, compare(model, content)


def strokes_graph(model: SketchModel, small: bool = False) -> tuple[bytes, float]:
    """The content of an ONNX file with one step of the stroke diffusion, and the greatest difference between its clean
    tokens and torch's.

    The inputs are those of `StrokeDiffusion.guided`, for b sketches of t tokens: `x` (b t d), `time` (b), `label` (b)
    int64, `count` (b) int64, `given` (b t) bool and `guidance` (). The output is `clean` (b t d). With `small`,
    weights are stored as `compressed` does.
    """
    diffusion = model.part(model.config.coarse_part("strokes"))
    inputs = _noisy(diffusion, 3, 5)
    b, t = torch.export.Dim("b"), torch.export.Dim("t", min=1, max=diffusion.config.pieces)
    free = {name: {0: b, 1: t} if value.ndim > 1 else {0: b} if value.ndim else None for name, value in inputs.items()}
    content = _to_onnx(StrokesGraph(diffusion), inputs, free, "clean", {}, small)
    session, largest = _session(content), 0.0
    for sketches, tokens in ((1, 1), (4, diffusion.config.pieces)):
        inputs = _noisy(diffusion, sketches, tokens)
        with torch.inference_mode():
            expected = diffusion.guided(**inputs).numpy()
        (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        there = np.arange(tokens) < inputs["count"].numpy()[:, None]
        largest = max(largest, float(np.abs(found - expected)[there].max()))
    return content, largest


class StrokesGraph(nn.Module):
    """One step of the stroke diffusion, for any number of sketches and of tokens."""

    def __init__(self, diffusion: StrokeDiffusion) -> None:
        super().__init__()
        self.diffusion = diffusion

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        time: Float[Tensor, " b"],
        label: Int[Tensor, " b"],
        count: Int[Tensor, " b"],
        given: Bool[Tensor, "b t"],
        guidance: Float[Tensor, ""],
    ) -> Float[Tensor, "b t d"]:
        return self.diffusion.guided(x, time, label, count, given, guidance)


def _noisy(diffusion: StrokeDiffusion, sketches: int, tokens: int) -> dict[str, Tensor]:
    """Inputs of a step, for sketches that have from 1 to `tokens` tokens. The first token of each is given."""
    random = torch.Generator().manual_seed(tokens)
    which = torch.arange(sketches)
    return {
        "x": torch.randn(sketches, tokens, diffusion.size, generator=random),
        "time": torch.rand(sketches, generator=random),
        "label": which % diffusion.classes,
        "count": (tokens - which).clamp(min=1),
        "given": torch.arange(tokens).expand(sketches, tokens) < 1,
        "guidance": torch.tensor(2.5),
    }


def _to_onnx(
    graph: nn.Module, inputs: dict[str, Tensor], free: dict[str, Any], output: str, facts: dict[str, str], small: bool
) -> bytes:
    """The content of an ONNX file with a network. `free` names the axes of each input that may have any size."""
    onnx = _import("onnx")
    _import("onnxscript")  # torch.onnx uses it
    with _quietly():
        # The graph is captured here, since torch.onnx would otherwise fall back to other methods, one of which fixes
        # the batch size.
        captured = torch.export.export(
            graph.to("cpu").eval(), tuple(inputs.values()), dynamic_shapes=free, strict=False
        )
        program = torch.onnx.export(
            captured,
            input_names=list(inputs),
            output_names=[output],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    made = program.model_proto
    onnx.helper.set_model_props(made, facts)
    if small:
        compressed(made)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def compressed(made: Any) -> None:
    """Store the weights of an ONNX model as checkpoints do: matrices and kernels as 8-bit integers with scales, other
    weights in half precision. They are converted back when the model is loaded.

    This is only done for weights that come from such numbers, so no result changes.
    """
    onnx = _import("onnx")
    nodes = []

    def as_float(array: np.ndarray, name: str) -> str:
        """Store an array, and return the name of the same as single precision."""
        made.graph.initializer.append(onnx.numpy_helper.from_array(array, f"{name}.stored"))
        nodes.append(onnx.helper.make_node("Cast", [f"{name}.stored"], [name], to=onnx.TensorProto.FLOAT))
        return name

    for weight in [weight for weight in made.graph.initializer if weight.data_type == onnx.TensorProto.FLOAT]:
        values, name = onnx.numpy_helper.to_array(weight), weight.name
        if values.size < 64:
            continue
        if (found := _integers(values)) is not None:
            parts = [as_float(part, f"{name}.{kind}") for part, kind in zip(found, ("integers", "scale"), strict=True)]
            nodes.append(onnx.helper.make_node("Mul", parts, [name]))
        elif np.array_equal(short := values.clip(-65504, 65504).astype(np.float16), values):
            as_float(short, name)
        else:
            continue
        made.graph.initializer.remove(weight)
    nodes += made.graph.node
    del made.graph.node[:]
    made.graph.node.extend(nodes)


def _integers(values: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The 8-bit integers and the scales whose products are these values. Returns None if there are none.

    A scale belongs to a row or a kernel, or to a column if a matrix is transposed.
    """
    if not checkpoint.scaled(values):
        return None
    for turned in (False, True) if values.ndim == 2 else (False,):
        matrix = torch.tensor(values.T if turned else values)
        integers, scale = checkpoint.quantised(matrix)
        if torch.equal(integers * scale.float(), matrix):
            integers, scale = (part.T if turned else part for part in (integers, scale))
            return integers.numpy(), (scale if values.ndim == 2 else scale.float()).numpy()
    return None


def metadata(model: SketchModel) -> dict[str, str]:
    """What an app needs to use the graph, and where the graph comes from."""
    assert model.folder is not None
    marks = checkpoint.fingerprints(model.folder, ("encoder", "classifier"))
    about = {"labels": json.dumps(model.labels), "sketch": model.config.reading.model_dump_json()}
    return {**about, **marks, "name": model.config.name, "visketch": version("visketch")}


def compare(model: SketchModel, content: bytes) -> float:
    """The largest difference between the logits of the file and of torch, in single precision, for scribbles of 1 to 24
    lines.
    """
    session = _session(content)
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


def _session(content: bytes) -> Any:
    return _import("onnxruntime").InferenceSession(content, providers=["CPUExecutionProvider"])


def _import(library: str) -> Any:
    try:
        return __import__(library)
    except ModuleNotFoundError:
        raise VisketchError(f'{library} is not installed: pip install "visketch[onnx]"') from None


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence torch.onnx, which among other things logs that torchvision is missing."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
