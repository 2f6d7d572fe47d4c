#!/usr/bin/env python3
"""Runs framesql, with its own decoder and with ffmpeg's, and the script in turns over one clip, checks that they count the same faces, and compares their CPU time.

    turns.py FRAMESQL MODEL.onnx [TURNS [CLIP]]

CPU time is what the system says of each process at its end, with the processes that it started and waited for, so the ffmpeg child is in it: nothing of it is
measured inside. Without ffmpeg on PATH framesql runs with its own decoder only.
"""

import csv
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OURS = ("framesql", "framesql, ffmpeg")
QUERY = """
SELECT window_start, count(*) AS frames, sum(cardinality(detect_faces(frame))) AS faces
FROM TUMBLE(clip, ts, INTERVAL '1 second') GROUP BY window_start ORDER BY window_start;
"""


def run(command, **environment):
    """The rows (frames, faces) that a command prints, and the CPU seconds it took."""
    with tempfile.TemporaryFile("w+") as out:
        actions = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1)]
        child = os.posix_spawnp(command[0], [str(word) for word in command], os.environ | environment, file_actions=actions)
        _, status, usage = os.wait4(child, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise SystemExit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
        out.seek(0)
        rows = [(int(row["frames"]), int(row["faces"])) for row in csv.DictReader(out)]
    return rows, usage.ru_utime + usage.ru_stime


def main(framesql, model, turns="5", clip=str(ROOT / "media/lobby.mp4")):
    with tempfile.TemporaryDirectory() as folder:
        query = Path(folder, "faces.sql")
        query.write_text(QUERY)
        ours = [framesql, "run", query, "--format", "csv", "--source", f"clip={clip}"]
        contestants = {
            OURS[0]: ours,
            OURS[1]: ours,
            "by hand, OpenCV": [sys.executable, HERE / "peer.py", model, clip, "opencv"],
            "by hand, ONNX Runtime": [sys.executable, HERE / "peer.py", model, clip, "onnxruntime"],
        }
        if shutil.which("ffmpeg") is None:
            del contestants[OURS[1]]
        rates = {name: [] for name in contestants}
        answers = {}
        for turn in range(int(turns)):
            for name, command in contestants.items():
                answers[name], cpu = run(command, FRAMESQL_DECODER="ffmpeg" if name == OURS[1] else "builtin")
                frames = sum(frames for frames, _ in answers[name])
                rates[name].append(frames / cpu)
                print(f"turn {turn + 1}  {name:24} {frames} frames in {cpu:6.2f} CPU s: {frames / cpu:7.1f} frames per CPU second", flush=True)
    if len({str(rows) for rows in answers.values()}) != 1:
        raise SystemExit(f"they do not count the same: {answers}")
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, rate in medians.items():
        print(f"median  {name:24} {rate:7.1f} frames per CPU second")
    # The faster of the two by hand is the one to beat.
    hand = [name for name in rates if name not in OURS]
    for name in (name for name in OURS if name in rates):
        for what, others in [("the faster script", hand), ("the OpenCV script", hand[:1])]:
            ratios = [ours / max(rates[n][turn] for n in others) for turn, ours in enumerate(rates[name])]
            print(f"{name} does {statistics.median(ratios):.2f} times the frames per CPU second of {what}")


if __name__ == "__main__":
    main(*sys.argv[1:])
