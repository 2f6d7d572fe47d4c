#!/usr/bin/env python3
"""How many faces of group photos are found, by the height that a face has in the picture, and how many are found that are none.

    faces.py FRAMESQL FOLDER…

FOLDER holds photos; those of the npm package @vladmandic/face-api (demo/sample1.jpg to sample6.jpg, fetched by the npm client as it is set up here, kept in
the cache directory only) are looked at too. What detect_faces finds in the photo itself is the truth. Each photo is made smaller until its faces have that
height in the mean, and laid on a gray picture of 640x480 if it fits there, else on the smallest that holds it; a face is found if a box covers it with IoU above 0.3.
Needs opencv-python-headless and numpy.
"""

import csv
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import cv2
import numpy as np

PACKAGE = "@vladmandic/face-api@1.7.15"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "framesql/peer/photos"
HEIGHTS = [60, 40, 30, 20, 14]
# The default, and the one that OpenCV's sample has.
SCORES = [0.7, 0.6]
FACES = "SELECT f.frame_no, face.box['x'], face.box['y'], face.box['w'], face.box['h'] FROM s AS f CROSS JOIN UNNEST(detect_faces(frame, {})) AS face"


def fetched():
    """The six group photos of the package."""
    if not (CACHE / "sample6.jpg").is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as directory:
            packed = subprocess.run(["npm", "pack", "--json", PACKAGE], cwd=directory, check=True, capture_output=True, text=True)
            with tarfile.open(Path(directory, json.loads(packed.stdout)[0]["filename"])) as archive:
                for number in range(1, 7):
                    (CACHE / f"sample{number}.jpg").write_bytes(archive.extractfile(f"package/demo/sample{number}.jpg").read())
    return [CACHE / f"sample{number}.jpg" for number in range(1, 7)]


def found(program, pictures, score=SCORES[0]):
    """The boxes in each picture."""
    with tempfile.TemporaryDirectory() as directory:
        for number, picture in enumerate(pictures):
            cv2.imwrite(f"{directory}/{number:04}.png", picture)
        command = [program, "run", "-", "--format", "csv", "--source", f"s={directory}/*.png"]
        done = subprocess.run(command, input=FACES.format(score), capture_output=True, text=True, check=True)
    boxes = [[] for _ in pictures]
    for number, *box in list(csv.reader(done.stdout.splitlines()))[1:]:
        boxes[int(number)].append([float(side) for side in box])
    return boxes


def iou(a, b):
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(across, 0) * max(down, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def smaller(photo, truth, height):
    """The photo with faces of that height in the mean, and where they are; itself if they are smaller already."""
    by = min(1.0, height / statistics.mean(box[3] for box in truth))
    picture = cv2.resize(photo, None, fx=by, fy=by, interpolation=cv2.INTER_AREA)
    canvas = np.full((max(480, picture.shape[0]), max(640, picture.shape[1]), 3), 114, np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    return canvas, [[side * by for side in box] for box in truth]


def main():
    program, *folders = sys.argv[1:]
    files = fetched() + sorted(path for folder in folders for path in Path(folder).iterdir() if path.suffix in (".jpg", ".png"))
    photos = [cv2.imread(str(path)) for path in files]
    truths = found(program, photos)
    photos, truths = zip(*[(photo, truth) for photo, truth in zip(photos, truths) if truth])
    n_faces = sum(map(len, truths))
    print(f"{n_faces} faces in {len(photos)} photos\n\n| height, px | score | found | no faces |\n|---|---|---|---|")
    for height in HEIGHTS:
        made = [smaller(photo, truth, height) for photo, truth in zip(photos, truths)]
        for score in SCORES:
            n_found = n_others = 0
            for boxes, (_, truth) in zip(found(program, [picture for picture, _ in made], score), made):
                n_found += sum(any(iou(box, face) > 0.3 for box in boxes) for face in truth)
                n_others += sum(all(iou(box, face) <= 0.3 for face in truth) for box in boxes)
            print(f"| {height} | {score} | {n_found} | {n_others} |")
    return 0 if n_faces >= 28 else 1


if __name__ == "__main__":
    sys.exit(main())
