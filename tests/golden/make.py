#!/usr/bin/env python3
"""Writes sums.txt: what ffmpeg says of every picture of the clips named below. Run it after a clip has changed: python3 make.py (ffmpeg on PATH).

A line: clip, frame number, time in µs after the first picture, width, height, whether it is a keyframe, CRC-32 of its planes one after another.
H.264 as yuv420p, GIF as rgb24, Motion JPEG as its coded bytes; nothing is turned. frames/s of a raw stream are 25."""

import json
import subprocess
import zlib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE / "../.."
CLIPS = [
    "media/lobby.mp4",
    *(f"tests/media/{name}" for name in [
        "baseline.mp4", "main.mp4", "high.mp4", "open.mp4", "interlaced.mp4", "high.mkv", "turned.mov", "fragmented.mp4", "front.mp4", "cut.mp4",
        "uneven.mp4", "motion.mov", "motion.mkv", "motion.mp4", "motion.mjpeg", "moving.gif", "disposed.gif"]),
]


def run(*command: str) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


def probe(clip: Path, what: str, entries: str) -> list[dict]:
    text = run("ffprobe", "-v", "error", "-select_streams", "v:0", f"-show_{what}", "-show_entries", entries, "-of", "json", str(clip))
    return json.loads(text)[what]


def pictures(clip: Path, codec: str, frames: list[dict]) -> list[bytes]:
    if codec == "mjpeg":
        data = run("ffmpeg", "-v", "error", "-i", str(clip), "-map", "0:v:0", "-c", "copy", "-f", "mjpeg", "-")
        sizes = [int(p["size"]) for p in probe(clip, "packets", "packet=size")]
    else:
        pixels = "rgb24" if codec == "gif" else "yuv420p"
        data = run("ffmpeg", "-v", "error", "-noautorotate", "-i", str(clip), "-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", pixels, "-f", "rawvideo", "-")
        def size(frame: dict) -> int:
            w, h = frame["width"], frame["height"]
            return w * h * 3 if codec == "gif" else w * h + 2 * ((w + 1) // 2) * ((h + 1) // 2)
        sizes = [size(frame) for frame in frames]
    assert sum(sizes) == len(data), (clip, sum(sizes), len(data))
    parts, at = [], 0
    for size in sizes:
        parts.append(data[at:at + size])
        at += size
    return parts


def lines(name: str):
    clip = ROOT / name
    codec = probe(clip, "streams", "stream=codec_name")[0]["codec_name"]
    frames = probe(clip, "frames", "frame=key_frame,best_effort_timestamp_time,width,height")
    parts = pictures(clip, codec, frames)
    assert len(parts) == len(frames), (clip, len(parts), len(frames))
    first = float(frames[0]["best_effort_timestamp_time"])
    for number, (frame, part) in enumerate(zip(frames, parts)):
        us = round((float(frame["best_effort_timestamp_time"]) - first) * 1e6)
        keyframe = 1 if codec == "gif" else frame["key_frame"]
        yield f"{name} {number} {us} {frame['width']} {frame['height']} {keyframe} {zlib.crc32(part):08x}"


if __name__ == "__main__":
    (HERE / "sums.txt").write_text("".join(line + "\n" for name in CLIPS for line in lines(name)))
