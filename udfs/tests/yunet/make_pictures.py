#!/usr/bin/env python3
"""Makes astronaut.jpg and several.jpg from a photograph in a Python package, which pip fetches (needs pillow)."""
import hashlib
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

from PIL import Image

HERE = pathlib.Path(__file__).parent
ASTRONAUT = "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"


def fetch(folder, *what):
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, *what], check=True)


def picture(data, sha256):
    assert hashlib.sha256(data).hexdigest() == sha256, "this is another picture"
    return Image.open(io.BytesIO(data)).convert("RGB")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        fetch(name, "--only-binary=:all:", "scikit-image==0.26.0")
        with zipfile.ZipFile(next(folder.glob("scikit_image-*.whl"))) as wheel:
            astronaut = picture(wheel.read("skimage/data/astronaut.png"), ASTRONAUT)
    astronaut.save(HERE / "astronaut.jpg", quality=85)
    head, mirrored = astronaut.crop((120, 20, 340, 240)), astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    # Wider than 640, so that it is scaled, and of odd size; faces large and small, looking both ways, one darker.
    several = Image.new("RGB", (1001, 563), (96, 110, 104))
    several.paste(head.resize((440, 440)), (5, 60))
    several.paste(mirrored.resize((300, 300)), (460, 10))
    several.paste(head.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((220, 220)).point(lambda v: v * 0.6), (770, 20))
    several.paste(astronaut.resize((180, 180)), (475, 335))
    several.paste(mirrored.resize((220, 220)).rotate(10, fillcolor=(96, 110, 104)), (690, 320))
    several.save(HERE / "several.jpg", quality=80)


if __name__ == "__main__":
    main()
