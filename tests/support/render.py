"""Rendered footage for tests: a textured room, a street, sensor noise, a person, a pan.

Nothing here is a photograph, so tests of the whole chain run on any machine.
Every function is a pure function of its arguments; the same seed gives the
same pixels. Views are BGR uint8 of shape (H, W, 3), sizes are (width, height)
in pixels. A rendered person is a silhouette, not a face a detector would find.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cameras.layout import Layout

View = NDArray[np.uint8]
Size = tuple[int, int]

VGA: Size = (640, 480)
_HORIZON = 240
NOISE_SIGMA = 2.0  # grey levels; a webcam in room light


def room(seed: int = 0, size: Size = VGA) -> View:
    """An empty interior: wall, floor, shelf with books, pictures, a door; full of stable edges."""
    rng = np.random.default_rng([seed, 1])
    view = _wall(rng, 640, 480)
    _floor(rng, view)
    _shelf(rng, view)
    for _ in range(4):
        _picture(rng, view)
    _draw_door(rng, view)
    return _fit(view, size)


def street(seed: int = 0, size: Size = VGA, at_m: float = 0.0) -> View:
    """A view down a street after `at_m` metres of travel: sky, house fronts, road, parked cars."""
    rng = np.random.default_rng([seed, 2])
    view = np.empty((480, 640, 3), np.uint8)
    view[:_HORIZON] = np.linspace((235, 200, 150), (245, 235, 225), _HORIZON)[:, None]
    _road(rng, view, at_m)
    looks = [(rng.integers(50, 200, 3), rng.uniform(1.2, 2.6, 4)) for _ in range(20)]
    distance_m = [(3 + (i * 6 - at_m) % 120, i) for i in range(20)]
    for depth_m, i in sorted(distance_m, reverse=True):
        colour, shape = looks[i]
        _houses(view, 700 / depth_m, colour.tolist(), shape)
        if i % 3 == 0:
            x, half = int(320 + 350 / depth_m * shape[2]), max(int(300 / depth_m), 1)
            y = _HORIZON + int(500 / depth_m)
            cv2.rectangle(view, (x, y - half), (x + 2 * half, y), colour[::-1].tolist(), -1)
    return _fit(view, size)


def with_person(view: View, x: float = 0.5, height: float = 0.7) -> View:
    """`view` with a head and shoulders in front of it; x and height are shares of the picture."""
    out = view.copy()
    rows, cols = out.shape[:2]
    head = height * rows / 5
    centre = (round(x * cols), round(rows - 4 * head))
    shoulders = (centre[0], round(rows + 0.4 * head))
    cv2.ellipse(out, shoulders, (round(2 * head), round(3.2 * head)), 0, 0, 360, (60, 40, 35), -1)
    cv2.ellipse(out, centre, (round(0.75 * head), round(head)), 0, 0, 360, (140, 165, 205), -1)
    return out


def with_noise(view: View, seed: int, sigma: float = NOISE_SIGMA) -> View:
    """One exposure of `view`: fresh sensor noise, so that no two frames are equal."""
    rng = np.random.default_rng([seed, 3])
    noise = rng.normal(0.0, sigma, view.shape).astype(np.float32)
    return np.clip(view + noise, 0, 255).round().astype(np.uint8)


def with_light(view: View, gain: float = 1.0, offset: float = 0.0) -> View:
    """`view` under other light: every value times `gain` plus `offset`."""
    return cv2.convertScaleAbs(view, alpha=gain, beta=offset)  # type: ignore[return-value]


def coloured(view: View, gain: float) -> View:
    """`view` with its colours that much stronger, and a tint where it has none."""
    hue, saturation, value = cv2.split(cv2.cvtColor(view, cv2.COLOR_BGR2HSV))
    strong = cv2.convertScaleAbs(saturation, alpha=gain, beta=20 * (gain > 1))
    painted = cv2.merge([hue, strong, value])
    return cv2.cvtColor(painted, cv2.COLOR_HSV2BGR)  # type: ignore[return-value]


def planar(view: View, layout: Layout) -> np.ndarray:
    """`view` as a camera gives it in that layout."""
    i420 = cv2.cvtColor(view, cv2.COLOR_BGR2YUV_I420)
    if layout is Layout.I420:
        return i420
    y, u, v = Layout.I420.planes(i420)
    return np.concatenate([y, np.stack([u, v], axis=2).reshape(-1, y.shape[1])])


def panned(view: View, right_px: float, down_px: float = 0.0) -> View:
    """What a camera turned right and down by that many pixels sees; the margin is mirrored."""
    rows, cols = view.shape[:2]
    shift = np.array([[1, 0, -right_px], [0, 1, -down_px]], np.float32)
    return cv2.warpAffine(  # type: ignore[return-value]
        view, shift, (cols, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def still(view: View, count: int, seed: int = 0) -> Iterator[View]:
    """`count` frames of a fixed camera looking at `view`."""
    return (with_noise(view, seed * 100_003 + i) for i in range(count))


def lived_in(view: View, count: int, seed: int = 0) -> Iterator[View]:
    """`count` frames of a fixed camera in a room in use: the light varies, a curtain moves."""
    rng = np.random.default_rng([seed, 5])
    rows, cols = view.shape[:2]
    grains = rng.normal(0.0, NOISE_SIGMA, (4, *view.shape)).round().astype(np.int16)
    for i in range(count):
        now = with_light(view, gain=1.0 + 0.03 * np.sin(i / 9.0))
        left = round(cols * (0.06 + 0.05 * np.sin(i / 7.0)))
        curtain = now[rows // 3 : rows // 2, left : left + cols // 16]
        curtain[:] = curtain // 2
        shift = (int(rng.integers(rows)), int(rng.integers(cols)))
        grain = np.roll(grains[i % 4], shift, (0, 1))
        yield cv2.add(now, grain, dtype=cv2.CV_8U)  # type: ignore[misc]


def pan(view: View, count: int, px_per_frame: float = 4.0, seed: int = 0) -> Iterator[View]:
    """`count` frames of a camera turning steadily to the right."""
    return (with_noise(panned(view, px_per_frame * i), seed * 100_003 + i) for i in range(count))


def drive(count: int, seed: int = 0, size: Size = VGA, m_per_frame: float = 0.4) -> Iterator[View]:
    """`count` frames of a camera carried down a street."""
    return (
        with_noise(street(seed, size, at_m=m_per_frame * i), seed * 100_003 + i)
        for i in range(count)
    )


def write_clip(path: Path, frames: Iterable[View], fps: float = 30.0) -> Path:
    """Write frames as Motion JPEG (.avi), MPEG-4 (.mp4) or HuffYUV (.mkv); constant rate."""
    codec = {".avi": "MJPG", ".mp4": "mp4v", ".mkv": "HFYU"}[path.suffix]
    writer: cv2.VideoWriter | None = None
    for frame in frames:
        if writer is None:
            size = (frame.shape[1], frame.shape[0])
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
            assert writer.isOpened(), f"this OpenCV cannot write {codec}"
        writer.write(frame)
    assert writer is not None, "a clip needs at least one frame"
    writer.release()
    return path


def _grain(rng: np.random.Generator, shape: tuple[int, int], mean: float, spread: float) -> View:
    """Texture with detail at several scales, like plaster, wood or asphalt."""
    total = np.full(shape, mean, np.float32)
    for cells in (4, 12, 40):
        coarse = rng.normal(0, spread / 2, (cells, cells)).astype(np.float32)
        total += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(total, 0, 255).astype(np.uint8)


def _road(rng: np.random.Generator, view: View, at_m: float) -> None:
    """Asphalt and lane marks that run towards the camera as it travels."""
    surface = _grain(rng, (480, 640), 85, 40)
    y = np.arange(_HORIZON, 480)
    along_m = 500 / (y - _HORIZON + 4.0) + at_m
    view[_HORIZON:] = surface[(along_m * 12).astype(int) % 480][..., None]
    for row, dash in zip(y, along_m % 6 < 3, strict=True):
        if dash:
            half = 1 + (row - _HORIZON) // 40
            view[row, 320 - half : 320 + half] = 230


def _houses(view: View, scale: float, colour: list[int], shape: NDArray[np.float64]) -> None:
    """One house on each side of the street; `scale` is pixels a metre at its distance."""
    for side, high in ((-1, shape[0]), (1, shape[1])):
        x, top = int(320 + side * scale * 3.5), int(_HORIZON - scale * 2 * high)
        end = 0 if side < 0 else 640
        if not 0 <= x < 640:
            continue
        cv2.rectangle(view, (x, top), (end, int(_HORIZON + scale * 0.7)), colour, -1)
        pane = max(int(scale * 0.5), 2)
        for row in range(3):
            for col in range(3):
                left = x + side * pane * (1 + 2 * col) - pane // 2
                above = top + pane * (1 + 2 * row)
                cv2.rectangle(view, (left, above), (left + pane, above + pane), (60, 50, 40), -1)


def _wall(rng: np.random.Generator, width: int, height: int) -> View:
    tint = rng.uniform(0.8, 1.0, 3)
    light = np.linspace(1.1, 0.75, width)[None, :, None]
    grey = _grain(rng, (height, width), 170, 22).astype(np.float32)[..., None]
    return np.clip(grey * tint * light, 0, 255).astype(np.uint8)


def _floor(rng: np.random.Generator, view: View) -> None:
    top = int(rng.integers(380, 420))
    view[top:] = _grain(rng, (480 - top, 640), 95, 25)[..., None]
    for x in range(0, 640, int(rng.integers(40, 70))):
        cv2.line(view, (x, top), (x * 2 - 320, 480), (50, 60, 70), 2)
    cv2.rectangle(view, (0, top - 8), (640, top), (225, 225, 225), -1)


def _shelf(rng: np.random.Generator, view: View) -> None:
    left, top = int(rng.integers(20, 330)), int(rng.integers(90, 140))
    width, height = int(rng.integers(170, 260)), int(rng.integers(170, 230))
    cv2.rectangle(view, (left, top), (left + width, top + height), (45, 70, 100), -1)
    rows = int(rng.integers(3, 5))
    for row in range(rows):
        foot = top + (row + 1) * height // rows - 6
        x = left + 6
        while x < left + width - 16:
            thick, tall = int(rng.integers(6, 15)), int(rng.integers(22, height // rows - 10))
            colour = rng.integers(30, 230, 3).tolist()
            cv2.rectangle(view, (x, foot - tall), (x + thick, foot), colour, -1)
            x += thick + int(rng.integers(1, 4))


def _picture(rng: np.random.Generator, view: View) -> None:
    x, y = int(rng.integers(10, 560)), int(rng.integers(10, 90))
    width, height = int(rng.integers(40, 80)), int(rng.integers(40, 70))
    view[y : y + height, x : x + width] = _grain(rng, (height, width), 120, 60)[
        : view[y : y + height, x : x + width].shape[0],
        : view[y : y + height, x : x + width].shape[1],
        None,
    ]
    cv2.rectangle(view, (x, y), (x + width, y + height), rng.integers(0, 90, 3).tolist(), 4)


def _draw_door(rng: np.random.Generator, view: View) -> None:
    left = int(rng.integers(440, 500))
    cv2.rectangle(view, (left, 120), (left + 130, 410), (120, 150, 180), -1)
    for x in (left + 12, left + 72):
        for y in (135, 235, 320):
            cv2.rectangle(view, (x, y), (x + 46, y + 70), (70, 95, 120), 3)
    cv2.circle(view, (left + 12, 275), 5, (40, 200, 220), -1)


def _fit(view: View, size: Size) -> View:
    if size == VGA:
        return view
    return cv2.resize(view, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
