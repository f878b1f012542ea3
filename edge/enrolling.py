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
from edge.decision.fingerprint import Fingerprint, SceneCheck
from edge.decision.people import FaceBoxes
from edge.decision.scene import SceneModel
from edge.errors import CameraError, EnrolmentError, UsageError
from edge.frames.camera import Camera, FileCamera, is_live, open_camera
from edge.keys import KeyStore, RecordKind
from edge.models.pull import asset

SECONDS = (0.2, 60.0)  # how long a source may be looked at
_KEPT = 40  # frames a source
_JUDGED = 5  # frames the scene model sees


@dataclass(frozen=True, slots=True)
class Request:
    """What to enrol, and how strictly."""

    sources: tuple[str, ...]  # camera index, device, URL or file; several for several lights
    out: Path
    seconds: float
    mask_people: bool
    enforce: bool
    override: KeyStore | None = None  # whose signature sets the scene model's refusal aside


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
    scene = _judge_scene(frames, request, keys)
    fingerprint = enrol(
        frames,
        boxes,
        camera=digest,
        enforce=request.enforce,
        mask_people=request.mask_people,
        scene=scene,
    )
    overrider = request.override if scene is SceneCheck.OVERRIDDEN else None
    return Enrolled(fingerprint, _write(fingerprint, request.out, keys, overrider))


def _judge_scene(frames: list[np.ndarray], request: Request, keys: KeyStore) -> SceneCheck:
    """Whether the view looks like a private interior; a trial is not asked."""
    if not request.enforce:
        return SceneCheck.UNCHECKED
    reasons = SceneModel.load().judge_empty(frames[:: max(1, len(frames) // _JUDGED)])
    if not reasons:
        return SceneCheck.PRIVATE
    said = ", ".join(reason.value for reason in reasons)
    if request.override is None:
        raise EnrolmentError(
            f"the view does not look like a private interior ({said}): "
            "a second key holder may override that with --override DIR"
        )
    if request.override.record_verifier().text == keys.record_verifier().text:
        raise EnrolmentError("the override needs another key than the one that signs the view")
    return SceneCheck.OVERRIDDEN


def _open(source: str) -> Camera:
    if is_live(source):
        return open_camera(source, BootClock())
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
            frames.append(camera.layout.bgr(shot.frame))
    finally:
        camera.close()
    if not frames:
        raise CameraError("the camera delivered no frame")
    step = max(1, len(frames) // _KEPT)
    return frames[::step]


def _write(fingerprint: Fingerprint, out: Path, keys: KeyStore, overrider: KeyStore | None) -> Path:
    try:
        with tempfile.TemporaryDirectory(prefix=".enrol-", dir=out.parent) as scratch:
            staged = Path(scratch) / out.name
            staged.write_bytes(fingerprint.to_bytes())
            if overrider is not None:
                second = overrider.sign_file(staged, RecordKind.VIEW)
                os.replace(second, out.with_name(f"{out.name}.override.sig"))
            signature = keys.sign_file(staged, RecordKind.VIEW)
            final = out.with_name(signature.name)
            os.replace(signature, final)
            os.replace(staged, out)
    except OSError as err:
        raise UsageError(f"cannot write {out}: {err.strerror}") from err
    return final
