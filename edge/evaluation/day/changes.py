"""What changes before a fixed camera in a day, as functions of a frame and of time.

Each change leaves the picture alone until it begins, at `seconds` 0, and is a pure function
of its arguments. Lengths are of a picture 640 wide. Frames are BGR uint8 (H, W, 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from edge.reasons import Reason

Frame = np.ndarray
_REFERENCE_WIDTH = 640
_GRAIN_LEVELS = 3.0  # standard deviation of an infrared sensor's noise


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happens, and what the guard may say of it."""

    name: str
    apply: Callable[[Frame, float], Frame]  # frame and seconds since the change began, 0 and more
    causes: frozenset[Reason] = frozenset()  # what is clear; none where it must pass
    always: bool = False  # there while the view is enrolled, too
    gap_s: float = 0.0  # the camera gives no picture for so long
    lasts_s: float = 10.0  # or less, if the recording is over
    coded: bool = False  # what it makes of the frames is coded as a video, each from the one before


def _scaled(frame: Frame, factor: float | np.ndarray) -> Frame:
    return np.clip(frame * factor, 0, 255).astype(np.uint8)


def lamp(frame: Frame, seconds: float) -> Frame:
    """A lamp to one side goes out for four seconds, and on again."""
    if not 1 <= seconds < 5:
        return frame
    return _scaled(frame, np.linspace(0.5, 0.95, frame.shape[1], dtype=np.float32)[None, :, None])


def sun(frame: Frame, seconds: float) -> Frame:
    """A patch of sun comes up within two seconds and moves across the room."""
    rows, columns = frame.shape[:2]
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    along = x / columns - 0.15 - 0.05 * seconds - 0.2 * (y / rows - 0.5)
    inside = (np.abs(along) < 0.11) & (y > 0.35 * rows) & (y < 0.85 * rows)
    patch = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 2)[:, :, None]
    return _scaled(frame, 1 + 0.45 * min(1.0, seconds / 2) * patch)


def settling(frame: Frame, seconds: float) -> Frame:
    """Exposure and white balance are thrown off, and settle within three seconds."""
    left = float(np.exp(-seconds / 0.8)) * min(1.0, seconds / 0.4)
    return _scaled(frame, 1 + left * np.array([0.25, 0.1, -0.25], np.float32))


def night(frame: Frame, seconds: float) -> Frame:
    """The camera goes over to infrared: grey, lit from the lens.

    Little light is amplified, and the sensor's noise with it. A recording that is only dimmed
    has less noise than by day. What the camera sends is coded: see `Change.coded`.
    """
    rows, columns = frame.shape[:2]
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32)
    rng = np.random.default_rng(round(1000 * seconds))
    grain = np.roll(_grain(rows, columns), rng.integers(rows * columns))
    lit = grey * (1.3 - 0.7 * np.sqrt((x * x + y * y) / 2)) + grain
    return np.asarray(cv2.merge([np.clip(lit, 0, 255).astype(np.uint8)] * 3), np.uint8)


def restarted(frame: Frame, seconds: float) -> Frame:
    """The camera starts again and chooses another exposure."""
    return _scaled(frame, np.array([0.78, 0.75, 0.7], np.float32))


def focus(frame: Frame, seconds: float) -> Frame:
    """Automatic focus hunts for a second, every four: the picture breathes and blurs."""
    phase = seconds % 4
    if phase >= 1:
        return frame
    swing = float(np.sin(np.pi * phase))
    out = _moved(frame, 0, 0, 1 + 0.004 * swing)
    width = 1.5 * swing * frame.shape[1] / _REFERENCE_WIDTH
    return out if width < 0.3 else np.asarray(cv2.GaussianBlur(out, (0, 0), width), np.uint8)


def sagging(pixels: float) -> Callable[[Frame, float], Frame]:
    """The mount gives way by this much, within two seconds."""
    return lambda frame, seconds: _moved(frame, 0.3 * pixels, pixels * min(1.0, seconds / 2))


def compression(frame: Frame, seconds: float) -> Frame:
    """The stream falls to a low rate for three seconds."""
    if not 1 <= seconds < 4:
        return frame
    return _coded(frame, 15)


def dust(frame: Frame, seconds: float) -> Frame:
    """Soft specks gather on the lens."""
    rows, columns = frame.shape[:2]
    dark = np.zeros((rows, columns), np.float32)
    for x, y, size in np.random.default_rng(4).random((8, 3)):
        radius = max(1, round((5 + 6 * size) * columns / _REFERENCE_WIDTH))
        cv2.circle(dark, (round(x * columns), round(y * rows)), radius, 1.0, -1)
    soft = cv2.GaussianBlur(dark, (0, 0), 3 * columns / _REFERENCE_WIDTH)[:, :, None]
    return _scaled(frame, 1 - 0.5 * min(1.0, seconds / 3) * soft)


def plant(frame: Frame, seconds: float) -> Frame:
    """The leaves of a plant at the side move in a draught."""
    rows, columns = frame.shape[:2]
    out, rng = np.array(frame, np.uint8), np.random.default_rng(5)
    for leaf in range(14):
        x, y, turn = rng.random(3)
        sway = 0.006 * np.sin(2 * seconds + leaf) + 0.004 * np.sin(5.3 * seconds + 2 * leaf)
        at = (round((0.84 + 0.14 * x + sway) * columns), round((0.5 + 0.35 * y) * rows))
        size = (round(0.035 * columns), round(0.012 * columns))
        green = (30 + 2 * leaf, 70 + 6 * leaf, 35)
        cv2.ellipse(out, at, size, 360 * turn + 300 * sway, 0, 360, green, -1, cv2.LINE_AA)
    return out


def screen(frame: Frame, seconds: float) -> Frame:
    """A screen of a fifth of the width plays a film."""
    rows, columns = frame.shape[:2]
    left, top, right, bottom = columns // 2, rows // 8, columns * 7 // 10, rows * 3 // 10
    scene, within = divmod(seconds, 1.7)
    rng = np.random.default_rng(100 + int(scene))
    picture = cv2.resize(rng.integers(20, 235, (4, 9, 3), np.uint8), (right - left, bottom - top))
    out = np.array(frame, np.uint8)
    cv2.rectangle(out, (left - 4, top - 4), (right + 3, bottom + 3), (20, 20, 20), -1)
    out[top:bottom, left:right] = np.roll(picture, round(12 * within), axis=1)
    return out


def shelves(frame: Frame, seconds: float) -> Frame:
    """Shelves are pushed in within a second, hide three tenths of the picture, and stay."""
    rows, columns = frame.shape[:2]
    rng = np.random.default_rng(6)
    picture = rng.integers(30, 220, (9, 8, 3), np.uint8)
    high, wide = rows * 3 // 5, columns // 2
    out = np.array(frame, np.uint8)
    shown = max(1, round(wide * min(1.0, seconds)))
    whole = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA)
    out[rows - high :, :shown] = whole[:, wide - shown :]
    return out


def _coded(frame: Frame, quality: int) -> Frame:
    _, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


@lru_cache(4)
def _grain(rows: int, columns: int) -> Frame:
    """A sensor's noise at a high gain, in grey levels."""
    return np.random.default_rng(7).normal(0, _GRAIN_LEVELS, (rows, columns)).astype(np.float32)


def _moved(frame: Frame, right_px: float, down_px: float, zoom: float = 1.0) -> Frame:
    height, width = frame.shape[:2]
    scale = width / _REFERENCE_WIDTH
    x, y = (1 - zoom) * width / 2, (1 - zoom) * height / 2
    move = np.array([[zoom, 0, x + right_px * scale], [0, zoom, y + down_px * scale]])
    out = cv2.warpAffine(frame, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


_OTHER_LIGHT = frozenset({Reason.VIEW_FOREIGN, Reason.VIEW_FADED, Reason.VIEW_COVERED})
_GAP = frozenset({Reason.CAM_STALLED})
_STEP = frozenset({Reason.VIEW_FADED, Reason.VIEW_DIMMED})
_HIDDEN = frozenset({Reason.VIEW_COVERED})

CHANGES = (
    Change("nothing changes", lambda frame, seconds: frame),
    Change("lamp off and on", lamp, _STEP),
    Change("patch of sun", sun),
    Change("exposure and white balance settle", settling),
    Change("night, infrared", night, _OTHER_LIGHT, coded=True),
    Change("camera starts again, other exposure", restarted, _GAP, gap_s=2),
    Change("autofocus breathes", focus),
    Change("mount sags by 1 px", sagging(1)),
    Change("mount sags by 4 px", sagging(4)),
    Change("compression changes", compression),
    Change("dust on the lens", dust),
    Change("plant moves", plant, always=True),
    Change("screen plays a film", screen, always=True),
    Change("furniture is moved", shelves, _HIDDEN, lasts_s=25),
)
