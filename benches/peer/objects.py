#!/usr/bin/env python3
"""What the model of objects sees, by how a picture is made ready for it: ONNX Runtime on every tenth frame of two clips, a line a way.

    objects.py MODEL MEDIA

MODEL is objects.onnx as framesql models pull installs it, MEDIA the folder of clips/intel-car-detection.mp4, clips/pedestrians_vtest_30s.mp4 and mot/PETS09-S2L1.det.txt. Cars are counted by frames: those
in which a car, bus or truck is found where a person sees one, and where there is none; people by the public detections of the clip, at an IoU above 0.4. Needs numpy, onnxruntime and opencv-python-headless.
"""

import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

SIDE, N_CLASSES, PERSON, VEHICLES = 416, 80, 0, {2, 5, 7}
SCORES, LEAST_SCORE, NMS_IOU, SAME_IOU = (0.5, 0.4, 0.3), 0.2, 0.6, 0.4
# Of every tenth frame: those with a car in them, as a person sees it, and those with the edge of one that comes or goes.
WITH_A_CAR, WITH_AN_EDGE = {60, 70, 80, 90, 100, 190, 200, 210, 220, 230, 320, 330, 340}, {110, 180, 240}
MEAN, STD = np.float32([103.53, 116.28, 123.675]), np.float32([57.375, 57.12, 58.395])
# Fit, gray or black beside it, interpolation, colours, numbers; the first is framesql's.
WAYS = [
    ("letterbox", 114, "area", "bgr", "mean and std"),
    ("letterbox", 114, "linear", "bgr", "mean and std"),
    ("letterbox", 0, "area", "bgr", "mean and std"),
    ("centred", 114, "area", "bgr", "mean and std"),
    ("centred", 0, "area", "bgr", "mean and std"),
    ("stretch", 0, "area", "bgr", "mean and std"),
    ("stretch", 0, "linear", "bgr", "mean and std"),
    ("letterbox", 114, "area", "rgb", "mean and std"),
    ("stretch", 0, "area", "rgb", "mean and std"),
    ("letterbox", 114, "area", "rgb", "0 to 1"),
    ("stretch", 0, "area", "rgb", "0 to 1"),
    ("stretch", 0, "linear", "rgb", "0 to 1"),
]


def ready(frame, way):
    """The input, and where a box of it lies in the frame."""
    fit, beside, interpolation, colours, numbers = way
    how = cv2.INTER_AREA if interpolation == "area" else cv2.INTER_LINEAR
    height, width = frame.shape[:2]
    by = (SIDE / width, SIDE / height) if fit == "stretch" else (SIDE / max(width, height),) * 2
    to = round(width * by[0]), round(height * by[1])
    left, top = ((SIDE - to[0]) // 2, (SIDE - to[1]) // 2) if fit == "centred" else (0, 0)
    picture = np.full((SIDE, SIDE, 3), beside, np.uint8)
    picture[top : top + to[1], left : left + to[0]] = cv2.resize(frame, to, interpolation=how)
    values = picture.astype(np.float32)
    values = (values - MEAN) / STD if numbers == "mean and std" else values / 255
    values = values if colours == "bgr" else values[:, :, ::-1]
    back = lambda x, y: ((x - left) / by[0], (y - top) / by[1])
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None]), back


def iou(a, b):
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(across, 0) * max(down, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def found(session, frame, way):
    """Score, class and corners of what is found, of each class the best of those that overlap."""
    values, back = ready(frame, way)
    outputs = session.run(None, {session.get_inputs()[0].name: values})
    candidates = []
    for stride in (8, 16, 32):
        across = SIDE // stride
        scores, sides = sorted((o[0] for o in outputs if o.shape[1] == across**2), key=lambda o: o.shape[1] != N_CLASSES)
        for at in np.flatnonzero(scores.max(axis=1) >= LEAST_SCORE):
            shares = np.exp(sides[at].reshape(4, -1))
            left, top, right, bottom = (shares / shares.sum(axis=1, keepdims=True) @ np.arange(shares.shape[1])) * stride
            x, y = (at % across + 0.5) * stride, (at // across + 0.5) * stride
            corners = (*back(x - left, y - top), *back(x + right, y + bottom))
            candidates.append((float(scores[at].max()), int(scores[at].argmax()), corners))
    kept = []
    for one in sorted(candidates, reverse=True):
        if all(one[1] != other[1] or iou(one[2], other[2]) <= NMS_IOU for other in kept):
            kept.append(one)
    return kept


def frames(path):
    """Every tenth frame, by its number."""
    clip, all_frames, number = cv2.VideoCapture(str(path)), {}, 0
    while (read := clip.read())[0]:
        if number % 10 == 0:
            all_frames[number] = read[1]
        number += 1
    return all_frames


def main(model, media):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    road, street = frames(media / "clips/intel-car-detection.mp4"), frames(media / "clips/pedestrians_vtest_30s.mp4")
    truth = defaultdict(list)
    for line in (media / "mot/PETS09-S2L1.det.txt").read_text().splitlines():
        number, _, x, y, w, h = map(float, line.split(",")[:6])
        truth[int(number) - 1].append((x, y, x + w, y + h))
    n_people = sum(len(truth[number]) for number in street)
    print(f"| way | score | frames with a car, of {len(WITH_A_CAR)} | without | people, of {n_people} | others |\n|---|---|---|---|---|---|")
    for way in WAYS:
        cars = {number: found(session, frame, way) for number, frame in road.items()}
        people = {number: found(session, frame, way) for number, frame in street.items()}
        for least in SCORES:
            seen = {number for number, all_found in cars.items() if any(s >= least and c in VEHICLES for s, c, _ in all_found)}
            boxes = {number: [b for s, c, b in all_found if s >= least and c == PERSON] for number, all_found in people.items()}
            n_met = sum(any(iou(box, one) > SAME_IOU for box in boxes[number]) for number in street for one in truth[number])
            n_others = sum(all(iou(box, one) <= SAME_IOU for one in truth[number]) for number in street for box in boxes[number])
            print(f"| {', '.join(map(str, way))} | {least} | {len(seen & WITH_A_CAR)} | {len(seen - WITH_A_CAR - WITH_AN_EDGE)} | {n_met} | {n_others} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
