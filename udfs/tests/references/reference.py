#!/usr/bin/env python3
"""What ONNX Runtime gives for the picture of `main.rs`: reference.py FOLDER, with numpy and onnxruntime.

FOLDER holds the files NAME.onnx; NAME.onnx.expected.json is written beside each whose input is a picture of fixed size, and what is there
already as NAME.expected.json (from TensorFlow.js) is compared."""

import json
import sys
from pathlib import Path

import numpy
import onnxruntime

# What is taken from each value, and what the rest is divided by; none for all others.
SCALES = {"nanodet": (116, 57), "faceres": (-1024, 8), "text-detection": (127.5, 127.5), "text-recognition": (127.5, 127.5)}
# Of models that take pictures of any size, the one that main.rs gives them.
SHAPES = {"text-detection": [1, 3, 480, 640], "text-recognition": [1, 3, 48, 320]}


def main(folder):
    for path in sorted(Path(folder).glob("*.onnx")):
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        inputs = session.get_inputs()
        shape = SHAPES.get(path.stem) or [side if isinstance(side, int) else 1 for side in inputs[0].shape]
        if len(inputs) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[3]) or shape[2] < 8:
            print(f"{path.name}: its input is {shape}, which is no picture of fixed size")
            continue
        mean, std = SCALES.get(path.stem, (0, 1))
        values = (numpy.arange(numpy.prod(shape), dtype=numpy.int64) * 7919 % 256).astype(numpy.float32)
        made = session.run(None, {inputs[0].name: ((values - mean) / std).reshape(shape).astype(numpy.float32)})
        expected = [
            {"name": output.name, "shape": list(array.shape), "values": array.astype(float).reshape(-1).tolist()}
            for output, array in zip(session.get_outputs(), made)
        ]
        Path(f"{path}.expected.json").write_text(json.dumps(expected))
        other = path.with_suffix(".expected.json")
        if other.exists():
            for ours, theirs in zip(expected, json.loads(other.read_text())):
                difference = numpy.abs(numpy.array(ours["values"]) - numpy.array(theirs["values"])).max()
                print(f"{path.name} {ours['name']}: differs from TensorFlow.js by at most {difference:.2e}")


main(sys.argv[1])
