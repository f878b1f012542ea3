"""The fingerprint of an enrolled view: bits and masks, never a picture.

Two parts. The *sign map* holds, for chosen pairs of thumbnail pixels, which one
was brighter (`edge.view.signs`); the gate compares it with every frame. The
*gradient map* holds the direction of brightness change, in eighths of a turn, at
the strong and stable places of a 64x48 picture; the slow loop compares it a few
times a second. Places that were not chosen are zero, so nothing is stored of
them. What else is known of the view, and how all of it is written to a file and read, is
`edge.view.view_file`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edge.view import signs
from edge.view.signs import Pixels
from edge.view.view_file import ViewFile

DIRECTIONS = 8  # eighths of a turn
GRADIENT_SHAPE = (signs.HEIGHT, signs.WIDTH)


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """One enrolled view of one camera, its planes unpacked."""

    file: ViewFile

    @cached_property
    def bits(self) -> Pixels:
        """Shape (96, 64), 0 or 255; 0 where not chosen."""
        return _plane(self.file.bits, signs.SIGN_SHAPE)

    @cached_property
    def mask(self) -> Pixels:
        """Shape (96, 64), 255 where the pair is enrolled."""
        return _plane(self.file.mask, signs.SIGN_SHAPE)

    @cached_property
    def directions(self) -> Pixels:
        """Shape (48, 64), 0 to 7; 0 where not chosen."""
        planes = [_plane(plane, GRADIENT_SHAPE) & 1 for plane in self.file.directions]
        return np.asarray(planes[0] | planes[1] << 1 | planes[2] << 2, np.uint8)

    @cached_property
    def gradient_mask(self) -> Pixels:
        """Shape (48, 64), 255 where the direction is enrolled."""
        return _plane(self.file.gradient_mask, GRADIENT_SHAPE)

    @property
    def first(self) -> Fingerprint:
        """The first enrolment of this view: this one, unless it renews another."""
        return self if self.file.first is None else Fingerprint(self.file.first)

    @cached_property
    def counts(self) -> np.ndarray:
        """Enrolled pairs in each of the 48 blocks."""
        return signs.per_block(self.mask)

    @property
    def pairs(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def blocks(self) -> int:
        """The enrolled blocks, block i in bit i."""
        return signs.as_bits(self.counts > 0)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the file."""
        return self.file.digest

    def to_bytes(self) -> bytes:
        """The fingerprint as a file."""
        return self.file.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprint:
        """Read a fingerprint file.

        Raises:
            RecordError: not a fingerprint of this version, written as this one writes it.
        """
        return cls(ViewFile.from_bytes(data))


def packed(plane: np.ndarray) -> bytes:
    """A plane of any shape, whatever is not zero in it, as the file has it."""
    return np.packbits(plane != 0).tobytes()


def _plane(data: bytes, shape: tuple[int, int]) -> Pixels:
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    plane: Pixels = (bits * np.uint8(255)).reshape(shape)
    return plane
