"""The fingerprint of an enrolled view: bits and masks, never a picture.

Two parts. The *sign map* holds, for chosen pairs of thumbnail pixels, which one
was brighter (`edge.view.signs`); the gate compares it with every frame. The
*gradient map* holds the direction of brightness change, in eighths of a turn, at
the strong and stable places of a 64x48 picture; the slow loop compares it a few
times a second. Places that were not chosen are zero, so nothing is stored of
them. How it is written to a file and read is `edge.view.view_file`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edge.view import signs
from edge.view.signs import Pixels
from edge.view.view_file import Enrolment, SceneCheck, ViewFile

DIRECTIONS = 8  # eighths of a turn
GRADIENT_SHAPE = (signs.HEIGHT, signs.WIDTH)


@dataclass(frozen=True, eq=False)
class Lineage:
    """Where a renewed fingerprint comes from."""

    first: Fingerprint  # the first enrolment, whole: what every renewal is measured against
    before: bytes  # 32 bytes: digest of the fingerprint that was renewed
    renewals: int  # since the first enrolment, 1 or more


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """One enrolled view of one camera."""

    camera: bytes  # 16 bytes: digest of the camera identity
    width: int  # pixels of the frames it was enrolled from
    height: int
    enrolment: Enrolment
    scene: SceneCheck
    bits: Pixels  # (96, 64), 0 or 255; 0 where not chosen
    mask: Pixels  # (96, 64), 255 where the pair is enrolled
    directions: Pixels  # (48, 64), 0 to 7; 0 where not chosen
    gradient_mask: Pixels  # (48, 64), 255 where the direction is enrolled
    enrolled_s: int  # when, in seconds since 1970 UTC; 0 if that is not known
    lineage: Lineage | None = None  # none for the first enrolment of a view

    @property
    def first(self) -> Fingerprint:
        """The first enrolment of this view: this one, unless it renews another."""
        return self if self.lineage is None else self.lineage.first

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

    @cached_property
    def file(self) -> ViewFile:
        """The fingerprint as it is written."""
        lineage = self.lineage
        return ViewFile(
            camera=self.camera,
            width=self.width,
            height=self.height,
            enrolment=self.enrolment,
            scene=self.scene,
            bits=_packed(self.bits),
            mask=_packed(self.mask),
            directions=tuple(_packed((self.directions >> bit) & 1) for bit in range(3)),
            gradient_mask=_packed(self.gradient_mask),
            enrolled_s=self.enrolled_s,
            first=None if lineage is None else lineage.first.file,
            before=b"" if lineage is None else lineage.before,
            renewals=0 if lineage is None else lineage.renewals,
        )

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
        return cls.of_file(ViewFile.from_bytes(data))

    @classmethod
    def of_file(cls, file: ViewFile) -> Fingerprint:
        """The fingerprint that a file holds."""
        lineage = None
        if file.first is not None:
            lineage = Lineage(cls.of_file(file.first), file.before, file.renewals)
        planes = [_plane(plane, GRADIENT_SHAPE) & 1 for plane in file.directions]
        directions = planes[0] | planes[1] << 1 | planes[2] << 2
        return cls(
            camera=file.camera,
            width=file.width,
            height=file.height,
            enrolment=file.enrolment,
            scene=file.scene,
            bits=_plane(file.bits, signs.SIGN_SHAPE),
            mask=_plane(file.mask, signs.SIGN_SHAPE),
            directions=np.asarray(directions, np.uint8),
            gradient_mask=_plane(file.gradient_mask, GRADIENT_SHAPE),
            enrolled_s=file.enrolled_s,
            lineage=lineage,
        )


def _packed(plane: np.ndarray) -> bytes:
    return np.packbits(plane != 0).tobytes()


def _plane(packed: bytes, shape: tuple[int, int]) -> Pixels:
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    plane: Pixels = (bits * np.uint8(255)).reshape(shape)
    return plane
