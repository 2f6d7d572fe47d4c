"""Draws plates over those of the two cars in frames of udacity-test_video.mp4, some blurred, some with mud on them, some dark; needs Pillow.

    plates.py FRAMES FOLDER     FRAMES is CSV of frame_no and PNG, as EXTRACT gives it; pictures 000.jpg and so on go into the folder
"""

import csv
import io
import random
import sys
from pathlib import Path

# The part of the road with the cars in it, three times as large.
LEFT, TOP, SCALE = 480, 210, 3
EXTRACT = f"SELECT frame_no, png(resize(crop(frame, [{LEFT}, {TOP}, 800, 450]), {800 * SCALE})) FROM s WHERE frame_no < 24 ORDER BY frame_no"
# What is written, where the middle of the plate is in a frame of the clip, and its size, px.
CARS = [
    ("7XKM482", lambda n: (896, 449.5)),
    ("4RDT915", lambda n: (1145 + 1.92 * n, 447 + 0.06 * n)),
]
SIZE = (22 * SCALE, 32)
# A plate is drawn so many times as large, and made smaller as a camera does it.
FINER = 4
PAPER, INK, MUD = (236, 236, 228), (25, 32, 84), (80, 70, 60)


def plate(text):
    """A clean plate, in the narrow letters of one."""
    from PIL import Image, ImageDraw, ImageFont

    width, height = (side * FINER for side in SIZE)
    picture = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(picture).rounded_rectangle((3, 3, width - 4, height - 4), radius=10, outline=(60, 70, 110), width=4)
    # Pillow brings this font, so the letters are the same everywhere.
    font = ImageFont.load_default(size=200)
    left, top, right, bottom = (round(side) for side in font.getbbox(text, stroke_width=4))
    letters = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(letters).text((-left, -top), text, font=font, fill=255, stroke_width=4)
    letters = letters.resize((round(width * 0.86), round(height * 0.62)), Image.Resampling.LANCZOS)
    picture.paste(INK, (round(width * 0.07), round(height * 0.2)), letters)
    return picture


def spoiled(picture, kind, chance):
    """The plate as it is (0), blurred (1), with mud (2), or in the dark (3)."""
    from PIL import ImageDraw, ImageEnhance, ImageFilter

    if kind == 1:
        return picture.filter(ImageFilter.GaussianBlur(8.4))
    if kind == 2:
        for _ in range(3):
            x, y = chance.uniform(0.1, 0.9) * picture.width, chance.uniform(0.3, 0.8) * picture.height
            radius = chance.uniform(0.08, 0.16) * picture.height
            ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=MUD)
    if kind == 3:
        return ImageEnhance.Brightness(picture).enhance(0.35).filter(ImageFilter.GaussianBlur(4.2))
    return picture


def main(frames, folder):
    from PIL import Image

    csv.field_size_limit(1 << 30)
    with open(frames, newline="") as file:
        rows = list(csv.reader(file))
    for number, png in rows:
        n, chance = int(number), random.Random(int(number))
        picture = Image.open(io.BytesIO(bytes.fromhex(png.removeprefix("\\x")))).convert("RGB")
        for car, (text, middle) in enumerate(CARS):
            x, y = middle(n)
            drawn = spoiled(plate(text), (n + car) % 4, chance).resize(SIZE, Image.Resampling.LANCZOS)
            picture.paste(drawn, (round((x - LEFT) * SCALE - SIZE[0] / 2), round((y - TOP) * SCALE - SIZE[1] / 2)))
        picture.save(Path(folder, f"{n:03}.jpg"), quality=92)


if __name__ == "__main__":
    main(*sys.argv[1:])
