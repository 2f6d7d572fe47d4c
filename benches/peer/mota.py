#!/usr/bin/env python3
"""How well TRACK follows the people of two clips of MOT15, by motmetrics, from their public detections; beside SORT's own figures.

    benches/peer/mota.py FRAMESQL FOLDER    the program, and the folder with TUD-Campus/gt.txt, TUD-Campus.det.txt and the same of TUD-Stadtmitte

It fails where a method is below SORT's own figures (Bewley's program on the same detections), or the default one below the other.
"""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import motmetrics
import numpy

# Clip, and MOTA of SORT's own program.
CLIPS = [("TUD-Campus", 0.627), ("TUD-Stadtmitte", 0.717)]
METHODS = ["sort", "bytetrack"]
FRAME_US = 40_000
SQL = """SELECT frame, track_id, x, y, w, h
         FROM TRACK((SELECT *, [x, y, w, h] AS box, to_timestamp_micros(frame * {us})::timestamptz AS ts FROM s) ORDER BY ts, method => '{method}')
         WHERE track_id IS NOT NULL ORDER BY frame, track_id"""


def tracks(program, detections, method):
    """By frame the ids and boxes that TRACK gives."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder, "seen.csv")
        with open(detections) as lines, open(rows, "w") as file:
            file.write("frame,x,y,w,h,score\n")
            for line in csv.reader(lines):
                file.write(",".join([line[0], *line[2:7]]) + "\n")
        sql = SQL.format(us=FRAME_US, method=method)
        command = [program, "run", "-", "--format", "csv", "--source", f"s={rows}"]
        done = subprocess.run(command, input=sql, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise SystemExit(done.stderr)
    return by_frame(list(csv.reader(done.stdout.splitlines()))[1:])


def by_frame(rows):
    frames = {}
    for frame, number, *box in rows:
        frames.setdefault(int(frame), []).append((int(number), [float(side) for side in box[:4]]))
    return frames


def truth(path):
    """By frame the ids and boxes that are to be found: those with confidence 1."""
    with open(path) as lines:
        return by_frame([line for line in csv.reader(lines) if float(line[6]) >= 1])


def distances(true, found):
    """1 - IoU of each pair; NaN where they overlap less than half."""
    a, b = (numpy.array([box for _, box in some], dtype=float).reshape(-1, 1, 4) for some in (true, found))
    b = b.reshape(1, -1, 4)
    sides = [numpy.minimum(a[..., i] + a[..., i + 2], b[..., i] + b[..., i + 2]) - numpy.maximum(a[..., i], b[..., i]) for i in (0, 1)]
    both = numpy.clip(sides[0], 0, None) * numpy.clip(sides[1], 0, None)
    iou = both / (a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - both)
    return numpy.where(iou >= 0.5, 1 - iou, numpy.nan)


def score(true, found):
    accumulator = motmetrics.MOTAccumulator()
    for frame in sorted(set(true) | set(found)):
        one, other = true.get(frame, []), found.get(frame, [])
        accumulator.update([i for i, _ in one], [i for i, _ in other], distances(one, other), frameid=frame)
    metrics = ["mota", "idf1", "num_switches", "num_false_positives", "num_misses"]
    return motmetrics.metrics.create().compute(accumulator, metrics=metrics, name="all").iloc[0]


def main(program, folder):
    print("| clip | method | MOTA | IDF1 | id switches | false positives | misses | MOTA of SORT's own program |")
    print("|---|---|---|---|---|---|---|---|")
    failed = False
    for clip, least in CLIPS:
        true = truth(Path(folder, clip, "gt.txt"))
        scores = [score(true, tracks(program, Path(folder, f"{clip}.det.txt"), method)) for method in METHODS]
        for method, (mota, idf1, *counts) in zip(METHODS, scores):
            print(f"| {clip} | {method} | {mota:.3f} | {idf1:.3f} | {' | '.join(str(int(count)) for count in counts)} | {least} |")
        sort, bytetrack = (round(one.iloc[0], 3) for one in scores)
        failed |= not least <= sort <= bytetrack
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
