#!/usr/bin/env python3
"""Counts the faces in every second of a clip as one writes it by hand: OpenCV decodes, the same YuNet looks at 640x360, one thread.

    peer.py MODEL.onnx CLIP [opencv|onnxruntime]                      (needs numpy, opencv-python-headless, onnxruntime)
"""

import math
import sys
from collections import Counter

import cv2
import numpy as np

LONGEST_SIDE, SCORE, NMS_IOU = 640, 0.7, 0.3


class OpenCV:
    """OpenCV's own face detector, which pads the picture and decodes the outputs."""

    def __init__(self, path, size):
        self.detector = cv2.FaceDetectorYN.create(path, "", size, SCORE, NMS_IOU, 5000)

    def count(self, picture):
        return 0 if (found := self.detector.detect(picture)[1]) is None else len(found)


class OnnxRuntime:
    """ONNX Runtime, and the decoding in numpy."""

    def __init__(self, path, size):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.height, self.width = self.session.get_inputs()[0].shape[2:]
        self.padded = np.zeros((1, 3, self.height, self.width), np.float32)

    def count(self, picture):
        height, width = picture.shape[:2]
        self.padded[0, :, :height, :width] = picture.transpose(2, 0, 1)
        outputs = self.session.run(None, {"input": self.padded})
        boxes, scores = [], []
        for level, stride in enumerate((8, 16, 32)):
            classes, objects, box = (outputs[head * 3 + level][0] for head in range(3))
            score = np.sqrt(classes * objects)[:, 0]
            for cell in np.nonzero(score >= SCORE)[0]:
                y, x = divmod(int(cell), self.width // stride)
                w, h = np.exp(box[cell, 2:]) * stride
                boxes.append([(x + box[cell, 0]) * stride - w / 2, (y + box[cell, 1]) * stride - h / 2, w, h])
                scores.append(float(score[cell]))
        return len(cv2.dnn.NMSBoxes(boxes, scores, SCORE, NMS_IOU)) if boxes else 0


def main(model, path, runtime="opencv"):
    cv2.setNumThreads(1)
    clip = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    width, height = (clip.get(p) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    scale = min(1, LONGEST_SIDE / max(width, height))
    size = (round(width * scale), round(height * scale))
    detector = {"opencv": OpenCV, "onnxruntime": OnnxRuntime}[runtime](model, size)
    frames, faces = Counter(), Counter()
    while True:
        # The time of the frame that read() gives is known before it.
        second = math.floor(clip.get(cv2.CAP_PROP_POS_FRAMES) / clip.get(cv2.CAP_PROP_FPS) + 1e-9)
        there, picture = clip.read()
        if not there:
            break
        frames[second] += 1
        faces[second] += detector.count(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR))
    print("second,frames,faces")
    for second in sorted(frames):
        print(f"{second},{frames[second]},{faces[second]}")


if __name__ == "__main__":
    main(*sys.argv[1:])
