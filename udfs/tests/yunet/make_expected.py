#!/usr/bin/env python3
"""Makes expected.json: what ONNX Runtime finds in the pictures of this folder with the same weights (needs numpy, pillow, onnx, onnxruntime).

The graph is written here a second time, as plain ONNX nodes, and so are the decoding and the suppression: nothing is shared with the Rust code but the weights.
"""
import json
import pathlib

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from PIL import Image

HERE = pathlib.Path(__file__).parent
WEIGHTS = HERE / "../../src/model/yunet.f32"
LONGEST_SIDE, FLOOR_SCORE, NMS_IOU = 640, 0.3, 0.3


def graph():
    floats, at, nodes, constants = np.fromfile(WEIGHTS, "<f4"), 0, [], [numpy_helper.from_array(np.float32([1, 1, 2, 2]), "twice")]

    def node(kind, inputs, **attributes):
        nodes.append(helper.make_node(kind, inputs, [f"{kind}{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def conv(x, n_out, n_in, kernel, **attributes):
        nonlocal at
        names = []
        for shape in ((n_out, n_in, kernel, kernel), (n_out,)):
            names.append(f"c{at}")
            constants.append(numpy_helper.from_array(floats[at : at + np.prod(shape)].reshape(shape), names[-1]))
            at += int(np.prod(shape))
        return node("Conv", [x, *names], kernel_shape=[kernel] * 2, pads=[kernel // 2] * 4, **attributes)

    def unit(x, n_in, n_out, relu=True):
        x = conv(conv(x, n_out, n_in, 1), n_out, 1, 3, group=n_out)
        return node("Relu", [x]) if relu else x

    def pool(x):
        return node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])

    def add_up(small, large):
        resized = node("Resize", [small, "", "twice"], mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        return node("Add", [resized, large])

    x = pool(unit(node("Relu", [conv("input", 16, 3, 3, strides=[2, 2])]), 16, 16))
    x = unit(unit(x, 16, 16), 16, 32)
    x = pool(unit(unit(x, 32, 32), 32, 64))
    c8 = unit(unit(x, 64, 64), 64, 64)
    c16 = unit(unit(pool(c8), 64, 64), 64, 64)
    c32 = unit(unit(pool(c16), 64, 64), 64, 64)
    p32 = unit(c32, 64, 64)
    p16 = unit(add_up(p32, c16), 64, 64)
    p8 = unit(add_up(p16, c8), 64, 64)
    outputs = [unit(level, 64, n, relu=False) for n in (1, 1, 4, 10) for level in (p8, p16, p32)]
    assert at == len(floats)
    values = [helper.make_tensor_value_info(o, TensorProto.FLOAT, [1, None, None, None]) for o in outputs]
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    model = helper.make_model(
        helper.make_graph(nodes, "yunet", [image], values, constants), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    checker.check_model(model)
    return model.SerializeToString()


def iou(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(w, 0) * max(h, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def faces(session, path):
    image = Image.open(path).convert("RGB")
    longest = max(image.size)
    size = tuple((side * LONGEST_SIDE + longest // 2) // longest for side in image.size) if longest > LONGEST_SIDE else image.size
    scale = np.array(image.size, float) / size
    pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float32)[:, :, ::-1]
    height, width = (-(-side // 32) * 32 for side in pixels.shape[:2])
    padded = np.zeros((1, 3, height, width), np.float32)
    padded[0, :, : pixels.shape[0], : pixels.shape[1]] = pixels.transpose(2, 0, 1)
    output = session.run(None, {"input": padded})
    found = []
    for level, stride in enumerate((8, 16, 32)):
        class_, object_, box, points = (output[head * 3 + level][0].transpose(1, 2, 0).astype(float) for head in range(4))
        score = np.sqrt(1 / (1 + np.exp(-class_)) / (1 + np.exp(-object_)))[:, :, 0]
        for y, x in zip(*np.nonzero(score >= FLOOR_SCORE)):
            centre, sides = (box[y, x, :2] + (x, y)) * stride, np.exp(box[y, x, 2:]) * stride
            corners = np.concatenate([(centre - sides / 2) * scale, sides * scale])
            landmarks = (points[y, x].reshape(5, 2) + (x, y)) * stride * scale
            found.append({"score": score[y, x], "box": corners.tolist(), "landmarks": landmarks.tolist()})
    kept = []
    for face in sorted(found, key=lambda f: -f["score"]):
        if all(iou(face["box"], other["box"]) <= NMS_IOU for other in kept):
            kept.append(face)
    return kept


def rounded(value):
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list) else round(float(value), 4)


def main():
    session = onnxruntime.InferenceSession(graph(), providers=["CPUExecutionProvider"])
    pictures = {path.name: rounded(faces(session, path)) for path in sorted(HERE.glob("*.jpg"))}
    lines = [f"{json.dumps(name)}: [\n" + ",\n".join("  " + json.dumps(f) for f in found) + "\n]" for name, found in pictures.items()]
    (HERE / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    for name, found in pictures.items():
        print(name, [f["score"] for f in found])


if __name__ == "__main__":
    main()
