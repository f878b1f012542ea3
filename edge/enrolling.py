"""Enrolling a view: from a camera or files to a signed fingerprint on disk.

The fingerprint is written beside its final name, signed, and renamed into
place, so a stopped enrolment leaves what was there before.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.clock import BootClock, S
from edge.decision.enrol import enrol
from edge.decision.fingerprint import Fingerprint
from edge.decision.people import FaceBoxes
from edge.errors import CameraError, EnrolmentError, UsageError
from edge.frames.camera import Camera, FileCamera, LiveCamera
from edge.keys import KeyStore, RecordKind
from edge.models.pull import asset

SECONDS = (0.2, 60.0)  # how long a source may be looked at
_KEPT = 40  # frames a source


@dataclass(frozen=True, slots=True)
class Request:
    """What to enrol, and how strictly."""

    sources: tuple[str, ...]  # camera index, device, URL or file; several for several lights
    out: Path
    seconds: float
    mask_people: bool
    enforce: bool


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A fingerprint on disk and its signature."""

    fingerprint: Fingerprint
    signature: Path


def enroll(request: Request, keys: KeyStore) -> Enrolled:
    """Look at the view, make its fingerprint, write and sign it.

    Raises:
        EnrolmentError: the view is not fit; says why.
        GuardError: a source, the model, the keys or the place to write is not usable.
    """
    if not SECONDS[0] <= request.seconds <= SECONDS[1]:
        raise UsageError(
            f"--seconds must be {SECONDS[0]:g} to {SECONDS[1]:g}, got {request.seconds:g}"
        )
    faces = FaceBoxes(asset("centerface.onnx"))
    frames: list[np.ndarray] = []
    digest = b""
    for source in request.sources:
        camera = _open(source)
        if digest and camera.identity.digest != digest:
            camera.close()
            raise EnrolmentError(f"{source} is another camera than {request.sources[0]}")
        digest = camera.identity.digest
        frames += _opening(camera, request.seconds)
    boxes = [faces.detect(frame) for frame in frames]
    fingerprint = enrol(
        frames, boxes, camera=digest, enforce=request.enforce, mask_people=request.mask_people
    )
    return Enrolled(fingerprint, _write(fingerprint, request.out, keys))


def _open(source: str) -> Camera:
    if "://" in source or source.isdigit() or source.startswith("/dev/"):
        return LiveCamera(source, BootClock())
    return FileCamera(Path(source))


def _opening(camera: Camera, seconds: float) -> list[np.ndarray]:
    """Frames spread evenly over the first seconds of a source."""
    frames = []
    first_ns = None
    try:
        for shot in camera.shots():
            first_ns = shot.captured_ns if first_ns is None else first_ns
            if shot.captured_ns - first_ns > seconds * S:
                break
            frames.append(shot.frame)
    finally:
        camera.close()
    if not frames:
        raise CameraError("the camera delivered no frame")
    step = max(1, len(frames) // _KEPT)
    return frames[::step]


def _write(fingerprint: Fingerprint, out: Path, keys: KeyStore) -> Path:
    try:
        with tempfile.TemporaryDirectory(prefix=".enrol-", dir=out.parent) as scratch:
            staged = Path(scratch) / out.name
            staged.write_bytes(fingerprint.to_bytes())
            signature = keys.sign_file(staged, RecordKind.VIEW)
            final = out.with_name(signature.name)
            os.replace(signature, final)
            os.replace(staged, out)
    except OSError as err:
        raise UsageError(f"cannot write {out}: {err.strerror}") from err
    return final
