"""Recognise drawings by an exported model, without torch: python consume.py model.onnx cat.svg scans/*.png"""

import json
import sys

import numpy as np
import onnxruntime

from visketch.config import SketchConfig
from visketch.data.read import read
from visketch.errors import VisketchError
from visketch.geometry import sdf

session = onnxruntime.InferenceSession(sys.argv[1])
about = session.get_modelmeta().custom_metadata_map
labels, shape = json.loads(about["labels"]), SketchConfig(**json.loads(about["sketch"]))

for path in sys.argv[2:]:
    try:
        fields = np.stack([sdf.render(sketch, shape) for sketch in read(path)])
        (logits,) = session.run(["logits"], {"field": fields})
        for row in logits:
            chances = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
            print(f"{path}: {labels[row.argmax()]}, {chances.max():.1%}")
    except VisketchError as error:  # a file without a drawing: one line says why
        print(error, file=sys.stderr)
