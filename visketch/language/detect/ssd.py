"""The network of the shipped detector: SSDLite-MobileNetV2 in ONNX, for one picture of 300 x 300 pixels at a time.

The network is by Sandler et al. 2018, "MobileNetV2" (arXiv 1801.04381), and was trained on COCO by Google.
`checkpoints/detector/README.md` says where the weights come from. Only this module uses onnxruntime for inference.
"""

import hashlib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from visketch.errors import VisketchError, reason

SIDE = 300  # side of the network's input in pixels; a picture is stretched to it, as in training
SCALES = np.array([10, 10, 5, 5], np.float32)  # the scales of the box codes: centre y, centre x, height, width
FILE = "detector.toml"


class Ssd:
    """Turns the box codes and scores of every anchor into boxes. It can be called from several threads at once."""

    def __init__(self, model: Path, anchors: Float[np.ndarray, "a 4"]) -> None:
        """Load the network.

        `anchors` are y1, x1, y2, x2 in shares. Raises VisketchError without onnxruntime, or for a broken model.
        """
        try:
            import onnxruntime
        except ImportError:
            raise VisketchError("photos need onnxruntime: pip install onnxruntime") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # views run in parallel, each in one thread
        options.log_severity_level = 4
        try:
            self.session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            (self.input,) = (one.name for one in self.session.get_inputs())
        except Exception as error:  # onnxruntime has its own exception for each cause
            raise damaged(model) from error
        self.centre = np.stack([anchors[:, :2] + anchors[:, 2:]], axis=0)[0] / 2
        self.span = anchors[:, 2:] - anchors[:, :2]

    def __call__(self, pixels: UInt8[np.ndarray, "y x 3"]) -> tuple[Float[np.ndarray, "a 4"], Float[np.ndarray, "a k"]]:
        """For every anchor, its box in a picture and its scores.

        A box is x1, y1, x2, y2 in shares of the sides, and may extend beyond the picture. There is a score in 0..1 for
        each COCO id; column 0 is the background.
        """
        small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        levels = np.asarray(small, np.float32)[None] / 127.5 - 1
        outputs = self.session.run(None, {self.input: levels})
        codes, scores = sorted((one[0] for one in outputs), key=lambda one: one.shape[-1])
        codes = codes.reshape(-1, 4) / SCALES
        centre = codes[:, :2] * self.span + self.centre
        half = np.exp(codes[:, 2:]) * self.span / 2
        return np.concatenate([centre - half, centre + half], axis=1)[:, [1, 0, 3, 2]], scores


def folder() -> Path:
    """The folder of the shipped detector."""
    return Path(str(resources.files("visketch.checkpoints"))) / "detector"


def load(home: Path) -> tuple[Ssd, dict]:
    """The network in a folder, and its settings.

    Raises VisketchError if a file is missing, or is not the file with which the settings were measured. A network with
    one changed byte may still run and give wrong counts.
    """
    try:
        settings = tomllib.loads((home / FILE).read_text(encoding="utf-8"))
        for name, digest in settings["sha256"].items():
            if hashlib.sha256((home / name).read_bytes()).hexdigest() != digest:
                raise damaged(home / name)
        anchors = np.load(home / "anchors.npy", allow_pickle=False).reshape(-1, 4)
    except OSError as error:
        raise VisketchError(f"{error.filename}: {reason(error)}; install visketch again") from None
    except (ValueError, KeyError) as error:
        raise damaged(home / FILE) from error
    return Ssd(home / "detector.onnx", anchors), settings


def damaged(file: Path) -> VisketchError:
    return VisketchError(f"{file}: damaged, or of another detector; install visketch again")
