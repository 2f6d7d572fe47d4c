#!/usr/bin/env python3
"""Makes the small clips and pictures of this folder: pip install pillow && python3 make.py (ffmpeg with libx264 on PATH). README.md says what each is for."""

import struct
import subprocess
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).parent
LOBBY = HERE / "../../media/lobby.mp4"
X264 = ["-c:v", "libx264", "-threads", "1", "-pix_fmt", "yuv420p"]
EXACT = ["-fflags", "+bitexact", "-flags", "+bitexact"]


def test_picture(size: str, seconds: float, rate: int = 25) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]


def lobby(start: float, seconds: float, size: str) -> list[str]:
    return ["-ss", str(start), "-t", str(seconds), "-i", str(LOBBY), "-vf", f"scale={size}", "-an"]


def make(name: str, *arguments: str) -> None:
    command = ["ffmpeg", "-v", "error", "-y", *arguments, *EXACT, str(HERE / name)]
    subprocess.run(command, check=True)


make("baseline.mp4", *test_picture("98x66", 1), *X264, "-profile:v", "baseline", "-crf", "34", "-g", "10")
make("main.mp4", *lobby(2, 1.6, "160:90"), *X264, "-profile:v", "main", "-bf", "3", "-x264-params", "b-pyramid=none", "-crf", "34", "-g", "12")
make("high.mp4", *lobby(7, 1.6, "160:90"), *X264, "-profile:v", "high", "-bf", "4", "-refs", "4", "-x264-params", "b-pyramid=normal", "-crf", "34", "-g", "16")
make("open.mp4", *lobby(4, 1.6, "160:90"), *X264, "-bf", "3", "-x264-params", "open-gop=1:keyint=10:min-keyint=10:scenecut=0", "-crf", "36")
make("interlaced.mp4", *test_picture("96x64", 0.6), *X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1", "-crf", "34")
make("high.mkv", *test_picture("112x80", 1.2), *X264, "-bf", "2", "-crf", "36", "-g", "10", "-cluster_time_limit", "400")
make("turned.mov", "-i", str(HERE / "baseline.mp4"), "-c", "copy", "-metadata:s:v", "rotate=270")
make("fragmented.mp4", "-i", str(HERE / "main.mp4"), "-c", "copy", "-movflags", "frag_keyframe+empty_moov+default_base_moof")
make("front.mp4", "-i", str(HERE / "main.mp4"), "-c", "copy", "-movflags", "+faststart")
# Cut between keyframes without coding again: an edit list hides what stands before the cut.
make("cut.mp4", "-ss", "0.7", "-i", str(HERE / "main.mp4"), "-c", "copy")
uneven = "select='not(eq(mod(n,5),3))*not(between(n,10,14))'"
make("uneven.mp4", *test_picture("96x64", 1), "-vf", uneven, "-fps_mode", "vfr", *X264, "-bf", "2", "-crf", "36")
for name in ["motion.mov", "motion.mkv", "motion.mp4", "motion.mjpeg"]:
    make(name, *test_picture("64x48", 0.4), "-c:v", "mjpeg", "-q:v", "20", "-pix_fmt", "yuvj420p", "-threads", "1")
palette = "split[a][b];[a]palettegen=max_colors=16[p];[b][p]paletteuse=dither=none"
make("moving.gif", *test_picture("64x48", 1, 10), "-vf", palette)

# Every way to dispose of a picture: kept, cleared, restored, over a screen that is transparent where nothing is drawn.
drawn = []
for number in range(8):
    picture = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle((number * 3, number * 2, number * 3 + 12, number * 2 + 10), fill=(30 * number, 255 - 30 * number, 90, 255))
    drawn.append(picture)
drawn[0].save(HERE / "disposed.gif", save_all=True, append_images=drawn[1:], duration=[0, 50, 70, 200, 40, 60, 10, 90], disposal=[1, 2, 3, 1, 3, 3, 2, 1], loop=0)

pictures = HERE / "pictures"
pictures.mkdir(exist_ok=True)
first = ["-frames:v", "1", "-update", "1"]
make("pictures/p1.jpg", *test_picture("64x48", 1), *first, "-q:v", "10", "-pix_fmt", "yuvj420p")
make("pictures/p2.png", *test_picture("50x70", 1), *first, "-pix_fmt", "rgb24")
make("pictures/p3.png", *test_picture("31x17", 1), *first, "-pix_fmt", "gray")
make("pictures/p10.bmp", *test_picture("20x10", 1), *first, "-pix_fmt", "bgr24")
# The first picture again, with the EXIF note that it is to be turned by 90 degrees.
plain = (pictures / "p1.jpg").read_bytes()
tiff = b"II*\0" + struct.pack("<I", 8) + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
exif = b"Exif\0\0" + tiff
(pictures / "p11.jpg").write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:])
