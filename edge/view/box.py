"""A detected face as a rectangle, in pixels of the frame it was found in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """A detected face, in pixels of the frame it was found in; never a vector."""

    left: float
    top: float
    right: float
    bottom: float
    score: float  # the detector's own, 0 to 1

    @property
    def height(self) -> float:
        return self.bottom - self.top
