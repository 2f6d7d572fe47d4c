#!/usr/bin/env python3
"""What OpenCV takes for the functions of benches/pictures.rs: milliseconds a frame of 1920x1080, on one thread; a line a function.

    benches/peer/pictures.py PICTURE

PICTURE is any picture; frame 260 of the bundled clip is what the other side measures:
`framesql run` with SELECT png(frame) FROM clip WHERE frame_no = 260, or ffmpeg. Needs opencv-python-headless and numpy.
"""
import sys
import time

import cv2
import numpy as np

SECONDS = 1.0


def milliseconds(work):
    work()
    n, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        work()
        n += 1
    return 1000 * (time.perf_counter() - start) / n


def main():
    cv2.setNumThreads(1)
    bgr = cv2.resize(cv2.imread(sys.argv[1]), (1920, 1080))
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    bright = cv2.threshold(gray, 128, 255, cv2.THRESH_BINARY)[1]
    edges = cv2.Canny(gray, 50, 150)
    part = gray[400:464, 900:964]
    part3 = rgb[400:464, 900:964]
    corners = np.float32([[100, 80], [1800, 60], [1700, 1000], [150, 950]])
    places = np.float32([[0, 0], [1279, 0], [1279, 719], [0, 719]])
    small = cv2.resize(gray, (320, 180), interpolation=cv2.INTER_AREA)
    points = np.float32([[[x, y]] for y in range(8, 180, 16) for x in range(8, 320, 16)])

    def luma():
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)

    other = cv2.blur(rgb, (5, 5))
    file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]

    def pixelated():
        made = rgb.copy()
        made[400:464, 900:964] = cv2.resize(cv2.resize(part3, (8, 8), interpolation=cv2.INTER_AREA), (64, 64), interpolation=cv2.INTER_NEAREST)
        return made

    cases = {
        "grayscale": luma,
        "blur": lambda: cv2.blur(rgb, (5, 5)),
        "blur, 31": lambda: cv2.blur(rgb, (31, 31)),
        "gaussian_blur": lambda: cv2.GaussianBlur(rgb, (5, 5), 0),
        "median_blur": lambda: cv2.medianBlur(rgb, 5),
        "median_blur, 9": lambda: cv2.medianBlur(rgb, 9),
        "median_blur, 31": lambda: cv2.medianBlur(rgb, 31),
        "bilateral": lambda: cv2.bilateralFilter(rgb, 5, 75, 75),
        "erode": lambda: cv2.erode(rgb, np.ones((5, 5), np.uint8)),
        "dilate": lambda: cv2.dilate(rgb, np.ones((5, 5), np.uint8)),
        "dilate, 31": lambda: cv2.dilate(rgb, np.ones((31, 31), np.uint8)),
        "threshold": lambda: cv2.threshold(luma(), 128, 255, cv2.THRESH_BINARY),
        "adaptive_threshold": lambda: cv2.adaptiveThreshold(luma(), 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 11, 5),
        "resize": lambda: cv2.resize(rgb, (640, 360), interpolation=cv2.INTER_AREA),
        "crop": lambda: rgb[400:464, 900:964].copy(),
        "flip": lambda: cv2.flip(rgb, 1),
        "rotate": lambda: cv2.rotate(rgb, cv2.ROTATE_90_CLOCKWISE),
        "histogram": lambda: cv2.calcHist([luma()], [0], None, [256], [0, 256]),
        "brightness": lambda: cv2.mean(luma()),
        "contrast": lambda: cv2.meanStdDev(luma()),
        "sharpness": lambda: cv2.meanStdDev(cv2.Laplacian(luma(), cv2.CV_16S)),
        "psnr": lambda: cv2.PSNR(rgb, other),
        "draw_boxes": lambda: cv2.rectangle(rgb.copy(), (900, 400, 64, 64), (0, 255, 0), 2),
        "pixelate": pixelated,
        "side_by_side": lambda: cv2.hconcat([rgb, other]),
        "decode_picture": lambda: cv2.imdecode(file, cv2.IMREAD_COLOR),
        "sobel": lambda: cv2.magnitude(cv2.Sobel(luma(), cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)),
        "laplacian": lambda: cv2.convertScaleAbs(cv2.Laplacian(luma(), cv2.CV_16S)),
        "canny": lambda: cv2.Canny(luma(), 50, 150),
        "equalize_histogram": lambda: cv2.equalizeHist(luma()),
        "clahe": lambda: cv2.createCLAHE(2.0, (8, 8)).apply(luma()),
        "hsv": lambda: cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV),
        "in_range": lambda: cv2.inRange(rgb, (50, 20, 30), (200, 220, 210)),
        "warp_perspective": lambda: cv2.warpPerspective(rgb, cv2.getPerspectiveTransform(corners, places), (1280, 720)),
        "connected_components": lambda: cv2.connectedComponentsWithStats(bright),
        "contours": lambda: cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE),
        "hough_lines": lambda: cv2.HoughLines(edges, 1, np.pi / 180, 100),
        "template_match": lambda: cv2.minMaxLoc(cv2.matchTemplate(luma(), part, cv2.TM_CCOEFF_NORMED)),
        "read_codes": lambda: cv2.QRCodeDetector().detectAndDecode(gray),
        "jpeg": lambda: cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 85]),
        "png": lambda: cv2.imencode(".png", bgr),
        "webp": lambda: cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        "the luma that is kept of a frame": lambda: cv2.resize(luma(), (320, 180), interpolation=cv2.INTER_AREA),
        "motion": lambda: np.count_nonzero(cv2.absdiff(small, small) > 25),
        "optical_flow": lambda: cv2.calcOpticalFlowPyrLK(small, small, points, None, winSize=(15, 15), maxLevel=2),
    }
    for name, work in cases.items():
        print(f"{name:34} {milliseconds(work):9.3f} ms", flush=True)


if __name__ == "__main__":
    main()
