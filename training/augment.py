"""What pictures meet before a scene model sees them: light, blur, lenses, people.

Every function takes and gives BGR uint8 and a random generator; the same seed
gives the same pixels. People are cut out of a green-screen clip and put before
interiors and exteriors alike, so that a person filling the frame is no cue.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZE = 160  # pixels on a side of the model's input
GREY_SHARE = 0.5  # colour must not be the cue: whole collections are grey throughout


def augment(
    picture: np.ndarray, rng: np.random.Generator, people: list[np.ndarray], size: int = SIZE
) -> np.ndarray:
    """One altered copy of `picture`, `size` on a side."""
    out = _crop(picture, rng)
    if rng.random() < 0.5:
        out = out[:, ::-1]
    out = cv2.resize(np.ascontiguousarray(out), (size, size), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.3:
        out = _roll(out, rng)
    if rng.random() < 0.15:
        out = _wide(out, rng)
    if rng.random() < 0.45:
        out = _occlude(out, rng, people)
    out = _light(out, rng)
    if rng.random() < GREY_SHARE:
        out = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < 0.2:
        out = _motion_blur(out, rng)
    elif rng.random() < 0.2:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.8))
    if rng.random() < 0.4:
        quality = int(rng.integers(12, 70))
        out = cv2.imdecode(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)
    return out


def plain(picture: np.ndarray, size: int = SIZE) -> np.ndarray:
    """The picture as the running guard prepares it."""
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR_EXACT)


def cut_people(clip: Path, count: int = 24) -> list[np.ndarray]:
    """People cut out of a green-screen clip, BGRA, cropped to the person."""
    capture = cv2.VideoCapture(str(clip))
    total = max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    cut = []
    for number in np.linspace(0, total - 1, count).astype(int):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(number))
        found, frame = capture.read()
        if not found:
            continue
        hue, saturation, _ = cv2.split(cv2.cvtColor(frame, cv2.COLOR_BGR2HSV))
        green = (hue > 35) & (hue < 85) & (saturation > 80)
        alpha = cv2.erode(np.where(green, 0, 255).astype(np.uint8), np.ones((3, 3), np.uint8))
        rows, columns = np.nonzero(alpha)
        if rows.size > 0.05 * alpha.size:
            box = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            cut.append(np.dstack([frame, alpha])[box])
    capture.release()
    return cut


def _crop(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Part of the picture, portrait to wide."""
    height, width = picture.shape[:2]
    share = rng.uniform(0.4, 1.0)
    stretch = rng.uniform(0.7, 1.43)
    high = min(height, max(32, int(height * np.sqrt(share) * stretch)))
    wide = min(width, max(32, int(width * np.sqrt(share) / stretch)))
    top, left = rng.integers(0, height - high + 1), rng.integers(0, width - wide + 1)
    return picture[top : top + high, left : left + wide]


def _roll(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = picture.shape[0]
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-12, 12), rng.uniform(1, 1.2))
    return cv2.warpAffine(picture, turn, (side, side), borderMode=cv2.BORDER_REFLECT_101)


def _wide(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Barrel distortion."""
    side = picture.shape[0]
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    bend = 1 + np.float32(rng.uniform(0.05, 0.3)) * (x * x + y * y)
    to_pixels = (side - 1) / 2
    return cv2.remap(
        picture,
        (x * bend / bend.max() * 1.05 + 1) * to_pixels,
        (y * bend / bend.max() * 1.05 + 1) * to_pixels,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def _occlude(picture: np.ndarray, rng: np.random.Generator, people: list[np.ndarray]) -> np.ndarray:
    if people and rng.random() < 0.65:
        return _put_person(picture, people[rng.integers(len(people))], rng)
    out = picture.copy()
    side = out.shape[0]
    colour = rng.integers(0, 255, 3).tolist()
    centre = (int(rng.integers(0, side)), int(rng.integers(side // 3, side)))
    axes = tuple(int(a) for a in rng.integers(side // 10, side // 2.5, 2))
    cv2.ellipse(out, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    noise = rng.normal(0, 12, out.shape)
    changed = np.any(out != picture, axis=2, keepdims=True)
    return np.where(changed, np.clip(out + noise, 0, 255), picture).astype(np.uint8)


def _put_person(picture: np.ndarray, person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = picture.shape[0]
    high = int(side * rng.uniform(0.5, 1.8))
    wide = max(8, int(high * person.shape[1] / person.shape[0]))
    body = cv2.resize(person, (wide, high), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        body = body[:, ::-1]
    tint = rng.uniform(0.4, 1.2, 3) * rng.uniform(0.6, 1.1)
    colour = np.clip(body[:, :, :3] * tint, 0, 255)
    if high > side:  # close to the camera: the head stays in the picture
        top = int(side * rng.uniform(0, 0.4))
    else:
        top = side - int(high * rng.uniform(0.7, 1.0))
    left = int(rng.uniform(-0.3, 1.0) * side) - wide // 4
    out = picture.astype(np.float32)
    y0, y1 = max(0, top), min(side, top + high)
    x0, x1 = max(0, left), min(side, left + wide)
    if y1 <= y0 or x1 <= x0:
        return picture
    part = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    alpha = body[part][:, :, 3:4] / 255.0
    out[y0:y1, x0:x1] = out[y0:y1, x0:x1] * (1 - alpha) + colour[part] * alpha
    return out.astype(np.uint8)


def _light(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, white balance; sometimes dark and noisy."""
    out = picture.astype(np.float32)
    dark = rng.random() < 0.15
    gain = rng.uniform(0.15, 0.5) if dark else rng.uniform(0.65, 1.4)
    out = (out - 128) * rng.uniform(0.7, 1.25) + 128
    out = out * gain * rng.uniform(0.88, 1.12, 3)
    if dark or rng.random() < 0.25:
        out += rng.normal(0, rng.uniform(2, 9), out.shape)
    return np.clip(out, 0, 255).astype(np.uint8)


def _motion_blur(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1.0 / length
    turn = cv2.getRotationMatrix2D((length / 2 - 0.5, length / 2 - 0.5), rng.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(picture, -1, kernel / max(kernel.sum(), 1e-6))
