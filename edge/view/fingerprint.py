"""The fingerprint of an enrolled view: bits and masks, never a picture.

Two parts. The *sign map* holds, for chosen pairs of thumbnail pixels, which one
was brighter (`edge.view.signs`); the gate compares it with every frame. The
*gradient map* holds the direction of brightness change, in eighths of a turn, at
the strong and stable places of a 64x48 picture; the slow loop compares it a few
times a second. Places that were not chosen are zero, so nothing is stored of
them. The file is canonical JSON (RFC 8785) and is read strictly: anything that
would not be written that way is refused.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np
import rfc8785

from edge.errors import RecordError
from edge.view import signs
from edge.view.signs import Pixels

VERSION = 1
CAMERA_BYTES = 16
DIGEST_BYTES = 32
DIRECTIONS = 8  # eighths of a turn
GRADIENT_SHAPE = (signs.HEIGHT, signs.WIDTH)
MAX_BYTES = 16_384


class Enrolment(Enum):
    """Whether enrolment's own checks were enforced."""

    ENFORCED = "enforced"
    UNENFORCED = "unenforced"


class SceneCheck(Enum):
    """What the scene model said of the empty view when it was enrolled."""

    UNCHECKED = "unchecked"
    PRIVATE = "private"
    OVERRIDDEN = "overridden"  # not private, and a second signature says so


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

    @property
    def trial(self) -> bool:
        """Whether it was enrolled without the full limits or the look at the scene."""
        unenforced = self.enrolment is Enrolment.UNENFORCED
        return unenforced or self.scene is SceneCheck.UNCHECKED

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
    def digest(self) -> bytes:
        """SHA-256 of the file."""
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """The fingerprint as a file."""
        return rfc8785.dumps(self._as_json())

    def _as_json(self) -> dict[str, Any]:
        planes = [np.packbits((self.directions >> bit) & 1) for bit in range(3)]
        lineage = None
        if self.lineage is not None:
            lineage = {
                "first": self.lineage.first._as_json(),
                "before": self.lineage.before.hex(),
                "renewals": self.lineage.renewals,
            }
        return {
            "kind": "framegate-view",
            "version": VERSION,
            "camera": self.camera.hex(),
            "width": self.width,
            "height": self.height,
            "enrolment": self.enrolment.value,
            "scene": self.scene.value,
            "bits": _text(np.packbits(self.bits != 0)),
            "mask": _text(np.packbits(self.mask != 0)),
            "directions": [_text(plane) for plane in planes],
            "gradient_mask": _text(np.packbits(self.gradient_mask != 0)),
            "enrolled_s": self.enrolled_s,
            "lineage": lineage,
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprint:
        """Read a fingerprint file.

        Raises:
            RecordError: not a fingerprint of this version, written as this one writes it.
        """
        if len(data) > MAX_BYTES:
            raise RecordError(f"fingerprint of {len(data)} bytes, expected at most {MAX_BYTES}")
        try:
            read = json.loads(data)
        except (ValueError, RecursionError) as err:
            raise RecordError(f"fingerprint is not JSON: {str(err)[:80]}") from err
        found = cls._of_json(read)
        if found.to_bytes() != data:
            raise RecordError("fingerprint is not in its canonical form")
        return found

    @classmethod
    def _of_json(cls, read: Any) -> Fingerprint:
        if not isinstance(read, dict) or read.get("kind") != "framegate-view":
            raise RecordError("fingerprint expected, but the file is something else")
        if read.get("version") != VERSION:
            raise RecordError(f"fingerprint version {read.get('version')!r}, expected {VERSION}")
        try:
            directions = sum(
                (_plane(text, GRADIENT_SHAPE) & 1) << bit
                for bit, text in enumerate(_three(read["directions"]))
            )
            found = cls(
                camera=bytes.fromhex(read["camera"]),
                width=_side(read["width"]),
                height=_side(read["height"]),
                enrolment=Enrolment(read["enrolment"]),
                scene=SceneCheck(read["scene"]),
                bits=_plane(read["bits"], signs.SIGN_SHAPE),
                mask=_plane(read["mask"], signs.SIGN_SHAPE),
                directions=np.asarray(directions, np.uint8),
                gradient_mask=_plane(read["gradient_mask"], GRADIENT_SHAPE),
                enrolled_s=_count(read["enrolled_s"]),
                lineage=cls._lineage(read["lineage"]),
            )
        except (KeyError, TypeError, ValueError) as err:
            raise RecordError(f"fingerprint has an odd field: {str(err)[:80]}") from err
        found._check()
        return found

    @classmethod
    def _lineage(cls, read: Any) -> Lineage | None:
        if read is None:
            return None
        if read["first"]["lineage"] is not None:
            raise ValueError("a first enrolment that renews another")
        return Lineage(
            first=cls._of_json(read["first"]),
            before=bytes.fromhex(read["before"]),
            renewals=_count(read["renewals"]),
        )

    def check_source(self, camera: bytes, width: int, height: int) -> None:
        """Refuse a fingerprint that was enrolled from another camera or picture size.

        Raises:
            RecordError: naming what differs.
        """
        if camera != self.camera:
            raise RecordError(
                f"fingerprint is for camera {self.camera.hex()}, this one is {camera.hex()}"
            )
        if (width, height) != (self.width, self.height):
            raise RecordError(
                f"fingerprint is for {self.width}x{self.height} pixels, "
                f"the camera gives {width}x{height}"
            )

    def _check(self) -> None:
        if len(self.camera) != CAMERA_BYTES:
            raise RecordError(f"camera digest of {len(self.camera)} bytes, expected {CAMERA_BYTES}")
        if (self.mask & ~signs.USABLE_PAIRS).any():
            raise RecordError("fingerprint enrols a pair that does not exist")
        if (self.bits & ~self.mask).any() or (self.directions[self.gradient_mask == 0]).any():
            raise RecordError("fingerprint says something of places it did not enrol")
        if self.lineage is not None:
            self._check_lineage(self.lineage)

    def _check_lineage(self, lineage: Lineage) -> None:
        lineage.first.check_source(self.camera, self.width, self.height)
        if lineage.first.enrolment is not self.enrolment:
            raise RecordError("fingerprint renews one that was enrolled by other limits")
        if len(lineage.before) != DIGEST_BYTES or lineage.renewals < 1:
            raise RecordError("fingerprint has an odd lineage")
        if (lineage.renewals == 1) != (lineage.before == lineage.first.digest):
            raise RecordError("fingerprint renews another than its lineage says")


def _text(packed: np.ndarray) -> str:
    return base64.b64encode(packed.tobytes()).decode()


def _plane(text: object, shape: tuple[int, int]) -> Pixels:
    if not isinstance(text, str):
        raise ValueError("expected base64 text")
    packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if packed.size * 8 != shape[0] * shape[1]:
        raise ValueError(f"{packed.size} bytes, expected {shape[0] * shape[1] // 8}")
    plane: Pixels = (np.unpackbits(packed) * np.uint8(255)).reshape(shape)
    return plane


def _three(texts: object) -> list[object]:
    if not isinstance(texts, list) or len(texts) != 3:
        raise ValueError("expected three direction planes")
    return texts


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"number {value!r}")
    return value


def _side(value: object) -> int:
    if type(value) is not int or not signs.MIN_SIDE_PX <= value <= signs.MAX_SIDE_PX:
        raise ValueError(f"picture side {value!r}")
    return value
