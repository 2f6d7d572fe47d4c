#!/usr/bin/env python3
"""Makes reference.json and the JPEG files beside it: what OpenCV, Pillow and numpy say of pictures made by a formula.

Needs numpy, pillow, opencv-python-headless, scipy, scikit-image and segno. The formula is written a second time in main.rs; nothing else is shared.
"""
import json
import pathlib

import cv2
import numpy as np
import scipy.fft
import segno
import skimage.metrics
from PIL import Image

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 67, 45  # Odd both ways.
STEP = 5  # Of large results every fifth pixel of every fifth row is kept.


def wave(v):
    """A triangle between 0 and 255."""
    return np.minimum(np.abs(v % 512 - 256), 255)


def formula(width, height):
    y, x = np.mgrid[0:height, 0:width].astype(int)
    detail = x * y % 23
    channels = [wave(9 * x + 4 * y), wave(2 * x + 11 * y + 100), wave(5 * x + 3 * y + 300)]
    return np.stack([c * 232 // 256 + detail for c in channels], axis=-1).astype(np.uint8)


def planes(width, height):
    """Y, U, V as no camera makes them: every value of luma and chroma, also those outside the limited range."""
    y, x = np.mgrid[0:height, 0:width].astype(int)
    cy, cx = np.mgrid[0 : (height + 1) // 2, 0 : (width + 1) // 2].astype(int)
    return wave(5 * x + 7 * y), wave(13 * cx + 5 * cy), wave(3 * cx + 17 * cy + 200)


def sampled(picture):
    return picture[::STEP, ::STEP].flatten().tolist()


def rgb_of(y, u, v, full, kr, kb):
    """The definition, in floats: ITU-R BT.601 and BT.709, chroma of the sample that four pixels share."""
    u, v = (np.repeat(np.repeat(c, 2, 0), 2, 1)[: y.shape[0], : y.shape[1]] - 128.0 for c in (u, v))
    y = y.astype(float) if full else np.maximum(y - 16.0, 0) * 255 / 219  # Blacker than black is black.
    scale = 1.0 if full else 255 / 224
    r = y + 2 * (1 - kr) * v * scale
    b = y + 2 * (1 - kb) * u * scale
    g = (y - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.rint(np.stack([r, g, b], axis=-1)), 0, 255).astype(np.uint8)


def iou(a, b):
    (ax, ay, aw, ah), (bx, by, bw, bh) = a, b
    if min(aw, ah, bw, bh) <= 0:
        return 0.0
    w = max(0.0, min(ax + aw, bx + bw) - max(ax, bx))
    h = max(0.0, min(ay + ah, by + bh) - max(ay, by))
    return w * h / (aw * ah + bw * bh - w * h)


def filters(rgb, gray):
    """What OpenCV makes of the picture by each function that gives a picture, with the arguments that main.rs calls it with."""
    dx, dy = (cv2.Sobel(gray, cv2.CV_64F, *d) for d in [(1, 0), (0, 1)])
    block = np.ones((5, 5), np.uint8)
    made = {
        "blur": cv2.blur(rgb, (5, 5)),
        "gaussian_blur": cv2.GaussianBlur(rgb, (7, 7), 0),
        "median_blur": cv2.medianBlur(rgb, 5),
        "erode": cv2.erode(rgb, block),
        "dilate": cv2.dilate(rgb, block),
        "threshold": cv2.threshold(gray, 128, 255, cv2.THRESH_BINARY)[1],
        "adaptive_threshold": cv2.adaptiveThreshold(gray, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 11, 4),
        "equalize_histogram": cv2.equalizeHist(gray),
        "sobel": np.minimum(np.rint(np.sqrt(dx * dx + dy * dy)), 255).astype(np.uint8),
        "laplacian": cv2.convertScaleAbs(cv2.Laplacian(gray, cv2.CV_16S)),
        "canny": cv2.Canny(gray, 50, 150),
        "flip": cv2.flip(rgb, 1),
        "rotate": cv2.rotate(rgb, cv2.ROTATE_90_CLOCKWISE),
        "bilateral": cv2.bilateralFilter(rgb, 5, 75, 75),
        "clahe": cv2.createCLAHE(2.0, (8, 8)).apply(gray),
        "warp_perspective": warped(rgb),
        "hsv": cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV),
        "in_range": cv2.inRange(rgb, (50, 20, 30), (200, 220, 210)),
    }
    # Edges and lines are single pixels: all of these are kept.
    whole = {"canny", "adaptive_threshold", "in_range"}
    return {name: (p.flatten() if name in whole else p[::STEP, ::STEP].flatten()).tolist() for name, p in made.items()}


def warped(rgb):
    """Four corners seen from the front."""
    corners = np.float32([[5, 4], [60, 8], [55, 40], [8, 36]])
    places = np.float32([[0, 0], [39, 0], [39, 29], [0, 29]])
    return cv2.warpPerspective(rgb, cv2.getPerspectiveTransform(corners, places), (40, 30))


def found(rgb, gray):
    """What OpenCV finds: regions, outlines, lines, a part."""
    bright = cv2.adaptiveThreshold(gray, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 11, -9)
    _, _, stats, centers = cv2.connectedComponentsWithStats(bright)
    regions = sorted([-int(s[4]), *map(int, s[[1, 0, 2, 3]]), *map(float, c)] for s, c in zip(stats[1:], centers[1:]))
    contours, tree = cv2.findContours(bright, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outer = [c for c, links in zip(contours, tree[0]) if links[3] < 0]
    outlines = sorted([*cv2.boundingRect(c), cv2.contourArea(c), cv2.arcLength(c, True), len(c)] for c in outer)
    lines = cv2.HoughLinesWithAccumulator(cv2.Canny(gray, 50, 150), 1, np.pi / 180, 22).reshape(-1, 3)
    part = cv2.flip(gray[10:25, 20:40], 1)
    _, score, _, place = cv2.minMaxLoc(cv2.matchTemplate(gray, part, cv2.TM_CCOEFF_NORMED))
    return {
        "connected_components": regions,
        "contours": outlines,
        "hough_lines": [[float(rho), float(theta), int(votes)] for rho, theta, votes in lines],
        "template_match": [*place, score],
    }


def ground(width, height, zoom, right, down):
    """A smooth ground, larger and moved: sin and cos of the same numbers in Rust."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    x, y = (x - right - width / 2) / zoom + width / 2, (y - down - height / 2) / zoom + height / 2
    return (128 + 50 * np.sin(x / 6) * np.cos(y / 8) + 40 * np.sin((x + 2 * y) / 23)).astype(np.uint8)


def flow():
    """The mean vector of a grid of points, by OpenCV."""
    means = []
    for zoom, right, down in [(1.0, 1.5, -0.75), (1.0, -5.0, 3.0), (1.04, 2.0, 1.0)]:
        before, now = ground(160, 120, 1.0, 0.0, 0.0), ground(160, 120, zoom, right, down)
        points = np.float32([[[x, y]] for y in range(8, 120, 16) for x in range(8, 160, 16)])
        moved, status, _ = cv2.calcOpticalFlowPyrLK(before, now, points, None, winSize=(15, 15), maxLevel=3)
        kept = status[:, 0] == 1
        means.append([zoom, right, down, *map(float, (moved - points)[kept, 0].mean(axis=0))])
    return means


def codes():
    """A QR code and an EAN-13 on a grey ground."""
    picture = np.full((220, 320), 200, np.uint8)
    modules = np.array([list(row) for row in segno.make("framesql gate 3", error="m", micro=False).matrix])
    qr = np.kron(np.where(modules > 0, 0, 255), np.ones((4, 4), int))
    qr = np.pad(qr, 16, constant_values=255)
    picture[20 : 20 + qr.shape[0], 10 : 10 + qr.shape[1]] = qr
    digits = [int(d) for d in "4006381333931"]
    left = ["0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111", "0001011"]
    inverted = [code.translate(str.maketrans("01", "10")) for code in left]
    parity = "LGLLGG"  # Of a first digit 4.
    bars = "101" + "".join(left[d] if p == "L" else inverted[d][::-1] for d, p in zip(digits[1:7], parity))
    bars += "01010" + "".join(inverted[d] for d in digits[7:]) + "101"
    row = np.kron(np.array([0 if bar == "1" else 255 for bar in bars]), np.ones(1, int))
    bar = np.pad(np.tile(row, (50, 1)), ((6, 6), (14, 14)), constant_values=255)
    picture[60 : 60 + bar.shape[0], 180 : 180 + bar.shape[1]] = bar
    return picture


def measures(rgb, gray, image):
    """Numbers of a picture, and of two."""
    other = cv2.GaussianBlur(rgb, (7, 7), 0)
    other_gray = cv2.cvtColor(other, cv2.COLOR_RGB2GRAY)
    small = np.asarray(Image.fromarray(gray).resize((32, 32), Image.Resampling.BILINEAR)).astype(float)
    waves = scipy.fft.dctn(small, norm="ortho")[:8, :8].flatten()
    bits = "".join("1" if w > np.median(waves) else "0" for w in waves)
    cells = (rgb >> 5).astype(int) @ [64, 8, 1]
    fullest = rgb[cells == np.bincount(cells.flatten()).argmax()].mean(axis=0)
    return {
        "contrast": float(gray.std()),
        "histogram": np.bincount(gray.flatten() // 16, minlength=16).tolist(),
        "phash": bits,
        "psnr": float(cv2.PSNR(rgb, other)),
        "ssim": float(skimage.metrics.structural_similarity(gray, other_gray, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)),
        "dominant_color": fullest.tolist(),
    }


def main():
    reference = {}
    rgb = formula(WIDTH, HEIGHT)
    image = Image.fromarray(rgb)
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    resized = {f"{w}x{h}": sampled(np.asarray(image.resize((w, h), Image.Resampling.BILINEAR))) for w, h in [(20, 13), (33, 45), (100, 70), (1, 1)]}
    reference["resize"] = resized
    reference["crop"] = {"box": [10.5, 7, 20.2, 15], "size": [21, 15], "rgb": sampled(np.asarray(image.crop((10, 7, 31, 22))))}
    reference["grayscale"] = sampled(gray)
    reference["figures"] = []
    for width, height in [(WIDTH, HEIGHT), (1, 1), (2, 2), (1, 9), (9, 1), (200, 3)]:
        luma = cv2.cvtColor(formula(width, height), cv2.COLOR_RGB2GRAY)
        sharpness = cv2.Laplacian(luma, cv2.CV_64F).var()
        reference["figures"].append({"size": [width, height], "brightness": float(luma.mean()), "sharpness": float(sharpness)})
    y, u, v = planes(WIDTH, HEIGHT)
    matrices = {"Bt601": (0.299, 0.114), "Bt709": (0.2126, 0.0722)}
    reference["yuv"] = {
        f"{matrix} {name}": sampled(rgb_of(y, u, v, full, *weights))
        for matrix, weights in matrices.items()
        for name, full in [("Limited", False), ("Full", True)]
    }
    # OpenCV knows one of the four, on even sizes only: its own arithmetic as a second witness.
    y, u, v = planes(64, 44)
    stacked = np.concatenate([c.flatten() for c in (y, u, v)]).astype(np.uint8).reshape(66, 64)
    reference["yuv by OpenCV"] = sampled(cv2.cvtColor(stacked, cv2.COLOR_YUV2RGB_I420))
    limited = np.clip((np.clip(y, 16, 235) - 16.0) * 255 / 219, 0, 255)
    reference["brightness of limited luma"] = float(limited.mean())
    boxes = [[0, 0, 10, 10], [5, 5, 10, 10], [2.5, 2.5, 5, 5], [100, 100, 10, 10], [10, 0, 10, 10], [0, 0, 0, 10], [5, 5, -5, -5], [-1e6, -1e6, 2e6, 2e6]]
    reference["box_iou"] = {"boxes": boxes, "iou": [[iou(a, b) for b in boxes] for a in boxes]}
    reference["filters"] = filters(rgb, gray)
    reference["measures"] = measures(rgb, gray, image)
    reference["found"] = found(rgb, gray)
    reference["flow"] = flow()
    Image.fromarray(codes()).save(HERE / "codes.png", optimize=True)
    files = {
        "rgb444.jpg": dict(image=image, quality=90, subsampling=0),
        "rgb420.jpg": dict(image=image, quality=90, subsampling=2),
        "progressive.jpg": dict(image=image, quality=90, subsampling=0, progressive=True),
        "gray.jpg": dict(image=Image.fromarray(gray), quality=90),
        "cmyk.jpg": dict(image=image.convert("CMYK"), quality=90),
    }
    reference["jpeg"] = {}
    for name, options in files.items():
        options.pop("image").save(HERE / name, "JPEG", **options)
        reference["jpeg"][name] = sampled(np.asarray(Image.open(HERE / name).convert("RGB")))
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in reference.items())
    (HERE / "reference.json").write_text("{\n" + lines + "\n}\n")


if __name__ == "__main__":
    main()
