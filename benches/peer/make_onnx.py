#!/usr/bin/env python3
"""Makes yunet.onnx of the weights in udfs/src/model/yunet.f32, with the output names that OpenCV's FaceDetectorYN looks for.

    make_onnx.py OUT.onnx                                            (needs numpy, onnx, onnxruntime, pillow)

The graph is the one that the tests compare the kernels with (udfs/tests/yunet/make_expected.py). Its twelve outputs are maps of
cells; here each becomes a list [1, cells, channels], and class and object become probabilities, as in the model that OpenCV reads.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "udfs/tests/yunet"))

from make_expected import graph  # noqa: E402

HEADS = (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
STRIDES = (8, 16, 32)


def model(width, height):
    """The model for pictures of that size, multiples of 32: OpenCV's reader wants fixed sizes."""
    network = onnx.load_from_string(graph())
    maps = [output.name for output in network.graph.output]
    del network.graph.output[:]
    dimensions = network.graph.input[0].type.tensor_type.shape.dim
    dimensions[2].ClearField("dim_param"), dimensions[3].ClearField("dim_param")
    dimensions[2].dim_value, dimensions[3].dim_value = height, width
    for head, channels in HEADS:
        network.graph.initializer.append(numpy_helper.from_array(np.int64([1, -1, channels]), f"shape_{head}"))
        for stride in STRIDES:
            name = f"{head}_{stride}"
            steps = [("Transpose", [maps.pop(0)], {"perm": [0, 2, 3, 1]}), ("Reshape", [f"{name}_Transpose", f"shape_{head}"], {})]
            if channels == 1:
                steps.append(("Sigmoid", [f"{name}_Reshape"], {}))
            for at, (kind, inputs, attributes) in enumerate(steps):
                output = name if at == len(steps) - 1 else f"{name}_{kind}"
                network.graph.node.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
            cells = (width // stride) * (height // stride)
            network.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, cells, channels]))
    onnx.checker.check_model(network, full_check=True)
    return network.SerializeToString(deterministic=True)


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(model(640, 384))
