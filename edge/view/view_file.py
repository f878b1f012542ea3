"""The file of an enrolled view: read strictly, written in one canonical form; it holds no picture.

The file is canonical JSON (RFC 8785): anything that would not be written that way is
refused. Planes of bits stay packed here, eight places a byte, row by row, so that the
parent and `config check` can refuse a file without the libraries that look at pictures.
`edge.view.fingerprint` unpacks them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import rfc8785

from edge.errors import RecordError
from edge.view.geometry import HEIGHT, MAX_SIDE_PX, MIN_SIDE_PX, STEP, WIDTH

VERSION = 1
CAMERA_BYTES = 16
DIGEST_BYTES = 32
PAIR_BYTES = 2 * HEIGHT * WIDTH // 8  # a plane of pairs
GRADIENT_BYTES = HEIGHT * WIDTH // 8  # a plane of gradient places
MAX_BYTES = 16_384
_SIDEWAYS = ((1 << WIDTH) - (1 << STEP)).to_bytes(WIDTH // 8, "big")
_DOWNWARDS = b"\xff" * (WIDTH // 8)
_USABLE = int.from_bytes(
    _SIDEWAYS * HEIGHT + _DOWNWARDS * (HEIGHT - STEP) + bytes(WIDTH // 8 * STEP), "big"
)


class Enrolment(Enum):
    """Whether enrolment's own checks were enforced."""

    ENFORCED = "enforced"
    UNENFORCED = "unenforced"


class SceneCheck(Enum):
    """The scene model's result for the empty view when it was enrolled."""

    UNCHECKED = "unchecked"
    PRIVATE = "private"
    OVERRIDDEN = "overridden"  # not private, and a second signature says so


@dataclass(frozen=True)
class ViewFile:
    """What the file says; see `edge.view.fingerprint.Fingerprint` for what it means."""

    camera: bytes  # 16 bytes: digest of the camera identity
    width: int  # pixels of the frames it was enrolled from
    height: int
    enrolment: Enrolment
    scene: SceneCheck
    bits: bytes  # of pairs
    mask: bytes
    directions: tuple[bytes, ...]  # three planes of gradient places: bits 0, 1 and 2
    gradient_mask: bytes
    enrolled_s: int  # when, in seconds since 1970 UTC; 0 if that is not known
    first: ViewFile | None = None  # the first enrolment, whole, where this renews one: what
    # every renewal is measured against...
    before: bytes = b""  # ...and the digest of the one that it renews, 32 bytes...
    renewals: int = 0  # ...and how often that was done since the first

    @property
    def trial(self) -> bool:
        """Whether it was enrolled without the full limits or the look at the scene."""
        unenforced = self.enrolment is Enrolment.UNENFORCED
        return unenforced or self.scene is SceneCheck.UNCHECKED

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the file."""
        return hashlib.sha256(self.to_bytes()).digest()

    def to_bytes(self) -> bytes:
        """The file."""
        return rfc8785.dumps(self._as_json())

    def _as_json(self) -> dict[str, Any]:
        lineage = None
        if self.first is not None:
            lineage = {
                "first": self.first._as_json(),
                "before": self.before.hex(),
                "renewals": self.renewals,
            }
        return {
            "kind": "framegate-view",
            "version": VERSION,
            "camera": self.camera.hex(),
            "width": self.width,
            "height": self.height,
            "enrolment": self.enrolment.value,
            "scene": self.scene.value,
            "bits": _text(self.bits),
            "mask": _text(self.mask),
            "directions": [_text(plane) for plane in self.directions],
            "gradient_mask": _text(self.gradient_mask),
            "enrolled_s": self.enrolled_s,
            "lineage": lineage,
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> ViewFile:
        """Read the file.

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
    def _of_json(cls, read: Any) -> ViewFile:
        if not isinstance(read, dict) or read.get("kind") != "framegate-view":
            raise RecordError("fingerprint expected, but the file is something else")
        if read.get("version") != VERSION:
            raise RecordError(f"fingerprint version {read.get('version')!r}, expected {VERSION}")
        try:
            first, before, renewals = cls._lineage(read["lineage"])
            found = cls(
                camera=bytes.fromhex(read["camera"]),
                width=_side(read["width"]),
                height=_side(read["height"]),
                enrolment=Enrolment(read["enrolment"]),
                scene=SceneCheck(read["scene"]),
                bits=_plane(read["bits"], PAIR_BYTES),
                mask=_plane(read["mask"], PAIR_BYTES),
                directions=tuple(_plane(p, GRADIENT_BYTES) for p in _three(read["directions"])),
                gradient_mask=_plane(read["gradient_mask"], GRADIENT_BYTES),
                enrolled_s=_count(read["enrolled_s"]),
                first=first,
                before=before,
                renewals=renewals,
            )
        except (KeyError, TypeError, ValueError) as err:
            raise RecordError(f"fingerprint has an odd field: {str(err)[:80]}") from err
        found._check()
        return found

    @classmethod
    def _lineage(cls, read: Any) -> tuple[ViewFile | None, bytes, int]:
        if read is None:
            return None, b"", 0
        if read["first"]["lineage"] is not None:
            raise ValueError("a first enrolment that renews another")
        return cls._of_json(read["first"]), bytes.fromhex(read["before"]), _count(read["renewals"])

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
        mask, places = _bits(self.mask), _bits(self.gradient_mask)
        if mask & ~_USABLE:
            raise RecordError("fingerprint enrols a pair that does not exist")
        if _bits(self.bits) & ~mask or any(_bits(plane) & ~places for plane in self.directions):
            raise RecordError("fingerprint has data for places that it did not enrol")
        if self.first is not None:
            self._check_lineage(self.first)

    def _check_lineage(self, first: ViewFile) -> None:
        first.check_source(self.camera, self.width, self.height)
        if first.enrolment is not self.enrolment:
            raise RecordError("fingerprint renews one that was enrolled by other limits")
        if len(self.before) != DIGEST_BYTES or self.renewals < 1:
            raise RecordError("fingerprint has an odd lineage")
        if (self.renewals == 1) != (self.before == first.digest):
            raise RecordError("fingerprint renews another view than the one in its lineage")


def _bits(plane: bytes) -> int:
    return int.from_bytes(plane, "big")


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode()


def _plane(text: object, size: int) -> bytes:
    if not isinstance(text, str):
        raise ValueError("expected base64 text")
    packed = base64.b64decode(text, validate=True)
    if len(packed) != size:
        raise ValueError(f"{len(packed)} bytes, expected {size}")
    return packed


def _three(texts: object) -> list[object]:
    if not isinstance(texts, list) or len(texts) != 3:
        raise ValueError("expected three direction planes")
    return texts


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise ValueError(f"number {value!r}")
    return value


def _side(value: object) -> int:
    if type(value) is not int or not MIN_SIDE_PX <= value <= MAX_SIDE_PX:
        raise ValueError(f"picture side {value!r}")
    return value
