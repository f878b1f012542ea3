"""What a fixed camera meets in a day, done to a frame: light, exposure, compression, vibration."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from edge.clock import S
from edge.evaluation.trials import VIEW_NS, Footage
from edge.frames.sentinel import Sentinel
from edge.lease import MIN_VIEW_SCORE
from edge.view.check import ViewCheck
from edge.view.fingerprint import Fingerprint

_STEP = 3  # every third frame is disturbed
Disturbance = Callable[[np.ndarray, int], np.ndarray]  # frame and its number to a new frame


def _gain(factor: float) -> Disturbance:
    return lambda frame, number: np.asarray(cv2.convertScaleAbs(frame, alpha=factor), np.uint8)


def _gamma(power: float) -> Disturbance:
    table = (255 * (np.arange(256) / 255) ** power).round().astype(np.uint8)
    return lambda frame, number: np.asarray(cv2.LUT(frame, table), np.uint8)


def _lamp(frame: np.ndarray, number: int) -> np.ndarray:
    """A lamp to one side."""
    ramp = np.linspace(0.6, 1.15, frame.shape[1])[None, :, None]
    return np.asarray(np.clip(frame * ramp, 0, 255), np.uint8)


def _flicker(frame: np.ndarray, number: int) -> np.ndarray:
    """Mains flicker under a rolling shutter: bands of light that drift."""
    rows = np.arange(frame.shape[0])[:, None, None]
    bands = 1 + 0.15 * np.sin(2 * np.pi * (rows / frame.shape[0] * 2 + number * 0.13))
    return np.asarray(np.clip(frame * bands, 0, 255), np.uint8)


def _jpeg(quality: int) -> Disturbance:
    def again(frame: np.ndarray, number: int) -> np.ndarray:
        _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    return again


def _shake(pixels: float) -> Disturbance:
    """Vibration: up to `pixels` of 640, another direction each frame."""

    def moved(frame: np.ndarray, number: int) -> np.ndarray:
        height, width = frame.shape[:2]
        reach = pixels * width / 640
        x, y = reach * np.sin(number * 2.1), reach * np.cos(number * 1.3)
        shift = np.array([[1, 0, x], [0, 1, y]])
        out = cv2.warpAffine(frame, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(out, np.uint8)

    return moved


def _blur(frame: np.ndarray, number: int) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(frame, (0, 0), 1.5 * frame.shape[1] / 640), np.uint8)


DISTURBANCES: dict[str, Disturbance] = {
    "as it is": lambda frame, number: frame,
    "exposure x0.6": _gain(0.6),
    "exposure x1.25": _gain(1.25),
    "gamma 0.8": _gamma(0.8),
    "gamma 1.3": _gamma(1.3),
    "lamp to one side": _lamp,
    "mains flicker": _flicker,
    "JPEG quality 20": _jpeg(20),
    "vibration 2 px": _shake(2.0),
    "slight defocus": _blur,
}


def verified_under_disturbance(
    footage: Footage, fingerprint: Fingerprint
) -> dict[str, tuple[int, int]]:
    """How many disturbed frames of the view's own recording the sentinel still verifies."""
    verified = {}
    for name, disturbed in DISTURBANCES.items():
        sentinel, check = Sentinel(fingerprint), ViewCheck(fingerprint)
        seen, last_ns, held, frames = fingerprint.blocks, -S, 0, 0
        for number, shot in enumerate(footage.shots[::_STEP]):
            frame = disturbed(shot.frame, number)
            if shot.captured_ns - last_ns >= VIEW_NS:
                last_ns = shot.captured_ns
                reading = check.read(frame, shot.captured_ns, footage.detect(shot.frame))
                seen = reading.seen_blocks or fingerprint.blocks
            frames += 1
            held += sentinel.look(frame, seen).view_score >= MIN_VIEW_SCORE
        verified[name] = (held, frames)
    return verified
