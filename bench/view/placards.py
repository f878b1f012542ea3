"""Placards: rectangles of another picture that stand before an enrolled view.

The view is asked alone: no person explains a placard, no sensor and no veto speaks. A placard
goes on if the first reading of it does not end a permit; how it came is not asked, as if it
had come too slowly to be a fade. It begins if it was there from the first reading.
Shares are of the picture, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from edge.clock import MS
from edge.view.check import ViewCheck
from edge.view.fingerprint import Fingerprint

Picture = np.ndarray  # BGR uint8, (H, W, 3)
Frame = tuple[int, int, int, int]  # left, top, right and bottom, pixels
LEAST, MOST = 0.5, 0.8  # share of the picture
READ_NS = 100 * MS


@dataclass(frozen=True, slots=True)
class Placard:
    """One rectangle: what it hides, and with what."""

    place: Frame
    other: Picture  # of the view's size

    def before(self, view: Picture) -> Picture:
        """The view behind the placard."""
        left, top, right, bottom = self.place
        out = view.copy()
        out[top:bottom, left:right] = self.other[top:bottom, left:right]
        return out

    @property
    def share(self) -> float:
        left, top, right, bottom = self.place
        height, width = self.other.shape[:2]
        return (right - left) * (bottom - top) / (height * width)


def placards(view: Picture, others: Sequence[Picture], count: int, seed: int) -> Iterator[Placard]:
    """So many upright rectangles, drawn from the seed, each out of one of the other pictures."""
    height, width = view.shape[:2]
    fitted = [cv2.resize(other, (width, height)) for other in others]
    rng = np.random.default_rng(seed)
    for number in range(count):
        area, aspect = rng.uniform(LEAST, MOST), np.exp(rng.uniform(-0.7, 0.7))
        across = min(1.0, float(np.sqrt(area * aspect)))
        down = min(1.0, area / across)
        across = min(1.0, area / down)
        x, y = rng.uniform(0, 1 - across), rng.uniform(0, 1 - down)
        x = round(x / max(1 - across, 1e-9)) * (1 - across) if rng.random() < 0.7 else x
        left, top = round(x * width), round(y * height)
        right, bottom = left + round(across * width), top + round(down * height)
        yield Placard(
            (left, top, min(right, width), min(bottom, height)), fitted[number % len(fitted)]
        )


def goes_on(fingerprint: Fingerprint, view: Picture, placard: Placard) -> bool:
    """Whether a permit would outlast the placard."""
    check = ViewCheck(fingerprint)
    check.read(view, 0, ())
    return not check.read(placard.before(view), READ_NS, ()).reasons_continue


def begins(fingerprint: Fingerprint, view: Picture, placard: Placard) -> bool:
    """Whether a permit could begin with the placard there from the start."""
    return not ViewCheck(fingerprint).read(placard.before(view), 0, ()).reasons_open
