"""Enrolling a view: from a camera or files to a signed fingerprint on disk.

The fingerprint is written beside its final name, signed, and renamed into
place, so a stopped enrolment leaves what was there before. The view whose name it
takes is kept beside it: as NAME.before by a renewal, else as NAME.before-TIME.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.cameras.identity import CameraIdentity
from edge.cameras.live import open_source
from edge.cameras.opencv import Camera, FileCamera, opening_frames
from edge.cameras.source import parse_source
from edge.commissioning.keys import KeyStore, RecordKind
from edge.errors import CameraError, EnrolmentError, UsageError
from edge.evidence.faces import FaceBoxes
from edge.evidence.scene import SceneModel, without_people
from edge.evidence.vision import MOSTLY_PERSON
from edge.files import (
    MODEL_BYTES,
    move_over,
    named_by_user,
    read_named,
    write_given,
    write_new,
    write_whole,
)
from edge.models.pull import asset
from edge.view.bodies import Bodies, of_take
from edge.view.box import Box
from edge.view.enrol import EMPTY, Survey, survey
from edge.view.enrolment.coverage import Coverage, as_png, draw
from edge.view.fingerprint import Fingerprint
from edge.view.renewal import check_due, check_like, renewed
from edge.view.signs import Pixels
from edge.view.view_file import Enrolment, SceneCheck

SECONDS = (0.2, 60.0)  # how long a source may be looked at
DEFAULT_SECONDS = 8.0  # somebody who stands still shows in time: the longer, the surer
_KEPT = 40  # frames a source, up to twice as many
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
    renew: Path | None = None  # the signed view that this one takes over from
    coverage: Path | None = None  # where a drawing of what took each block is written


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A fingerprint on disk and its signature."""

    fingerprint: Fingerprint
    signature: Path
    coverage: Coverage
    kept: Path | None  # where the view that had this name is now; None if there was none


@dataclass(frozen=True, slots=True)
class _Taken:
    """The frames of every source, one after the other, and what was found in each."""

    frames: list[np.ndarray]
    lights: list[int]
    boxes: list[tuple[Box, ...]]
    bodies: list[Pixels]


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
    keys.record_signer()  # who cannot sign need not look
    now_s = int(time.time())
    old = _renewable(request, keys, now_s) if request.renew is not None else None
    identity, taken = _look(request)
    if old is not None:
        old.file.check_source(identity.digest, taken.frames[0].shape[1], taken.frames[0].shape[0])
        check_like(old, taken.frames)
    fingerprint, scene, coverage = _fingerprint(identity, taken, request, keys, now_s)
    if old is not None:
        fingerprint = renewed(old, fingerprint)
    overrider = request.override if scene is SceneCheck.OVERRIDDEN else None
    kept = _keep(request, now_s) if request.out.is_file() else None
    signature = _write(fingerprint, request.out, keys, overrider)
    return Enrolled(fingerprint, signature, coverage, kept)


def _fingerprint(
    identity: CameraIdentity, taken: _Taken, request: Request, keys: KeyStore, now_s: int
) -> tuple[Fingerprint, SceneCheck, Coverage]:
    """The fingerprint; or all causes against it together, the first to mend at the top."""
    found = survey(
        taken.frames,
        taken.boxes,
        camera=identity.digest,
        enforce=request.enforce,
        mask_people=request.mask_people,
        lights=taken.lights,
        enrolled_s=now_s,
        bodies=taken.bodies,
    )
    if request.coverage is not None:
        write_given(request.coverage, as_png(found.coverage))
    scene, objection = SceneCheck.UNCHECKED, ""
    try:
        scene = _judge_scene(taken, found, request, keys)
    except EnrolmentError as err:
        objection = str(err)
    causes = _causes(found, objection)
    if found.fingerprint is None or causes:
        raise EnrolmentError("; ".join(causes), tuple(draw(found.coverage)))
    return Fingerprint(replace(found.fingerprint.file, scene=scene)), scene, found.coverage


def _causes(found: Survey, objection: str) -> list[str]:
    """All that speaks against a view; masking is named only where it would do."""
    causes = list(found.causes)
    if found.maskable and not objection:
        causes[0] += ", or leave them out with --mask-people"
    return [*causes, objection] if objection else causes


def _renewable(request: Request, keys: KeyStore, now_s: int) -> Fingerprint:
    """The signed view that is to be renewed, if it may be."""
    assert request.renew is not None
    old = Fingerprint.from_bytes(keys.read_verified(request.renew, RecordKind.VIEW))
    if request.mask_people:
        raise UsageError("a renewal is made from the empty view: leave --mask-people out")
    if request.enforce is not (old.file.enrolment is Enrolment.ENFORCED):
        raise UsageError(
            f"{request.renew} is {old.file.enrolment.value}, and so its renewal must be: "
            f"{'leave --unenforced out' if not request.enforce else 'add --unenforced'}"
        )
    check_due(old, now_s)
    return old


def _look(request: Request) -> tuple[CameraIdentity, _Taken]:
    """Which camera it is, its frames, and under which light each was taken."""
    identity: CameraIdentity | None = None
    faces, bodies = FaceBoxes(asset("centerface.onnx")), Bodies()
    taken = _Taken([], [], [], [])
    for light, source in enumerate(request.sources):
        camera = open_source(source)
        identity = identity or camera.identity
        if camera.identity.digest != identity.digest:
            camera.close()
            one, other = (parse_source(text).shown for text in (source, request.sources[0]))
            raise EnrolmentError(f"{one} is another camera than {other}")
        seen = _opening(camera, request.seconds)
        if isinstance(camera, FileCamera) and not camera.tally.complete:
            raise EnrolmentError(f"{source}: {camera.tally}")
        taken.frames.extend(seen)
        taken.lights.extend([light] * len(seen))
        taken.boxes.extend(faces.detect(frame) for frame in seen)
        taken.bodies.extend(of_take(bodies, seen))
    assert identity is not None
    return identity, taken


def _judge_scene(taken: _Taken, found: Survey, request: Request, keys: KeyStore) -> SceneCheck:
    """Whether the view looks like a private interior; a trial is not asked.

    Raises:
        EnrolmentError: it does not, or nothing can be said of it; says what helps.
    """
    if not request.enforce:
        return SceneCheck.UNCHECKED
    chosen = range(0, len(taken.frames), max(1, len(taken.frames) // _JUDGED))
    away = [found.away[i] for i in chosen]
    hidden = 1 - float(np.mean(away))
    refused = bool(found.causes)
    if hidden > MOSTLY_PERSON:
        step = "that is judged when they are gone" if refused else EMPTY
        raise EnrolmentError(
            f"people, or what looks like them, hide {hidden:.0%} of the picture, so nothing can "
            f"be said of the place: {step}"
        )
    empty = [without_people(taken.frames[i], away[n]) for n, i in enumerate(chosen)]
    reasons = SceneModel.load().judge_empty(empty)
    if not reasons:
        return SceneCheck.PRIVATE
    codes = ", ".join(reason.value for reason in reasons)
    if request.override is None:
        raise EnrolmentError(_advice(codes, peopled=found.peopled, refused=refused))
    if request.override.record_verifier().text == keys.record_verifier().text:
        raise EnrolmentError("the override needs another key than the one that signs the view")
    return SceneCheck.OVERRIDDEN


def _advice(codes: str, *, peopled: bool, refused: bool) -> str:
    """What helps if the scene model objects; an override is named only where it would do.

    Args:
        codes: of what the model takes the view for.
        peopled: somebody was there, whom the model may have judged.
        refused: something else speaks against the view and is mended first.
    """
    finding = f"the view does not look like a private interior ({codes})"
    if peopled:
        finding += ", which people, or what looks like them, may cause"
    if refused:
        return f"{finding}: that is asked again when the rest is mended"
    if peopled:
        return f"{finding}: {EMPTY} before a second key holder overrides that"
    return f"{finding}: a second key holder may override that with --override DIR"


def _opening(camera: Camera, seconds: float) -> list[np.ndarray]:
    """Frames spread evenly over the first seconds of a source."""
    try:
        frames = opening_frames(camera, seconds, _KEPT)
    finally:
        camera.close()
    if not frames:
        raise CameraError("the camera delivered no frame")
    return frames


def _keep(request: Request, now_s: int) -> Path:
    """Keep the view that is about to be replaced, with its signatures: the way back.

    The view that a renewal replaces descends from the one kept before, whose place it takes;
    after a new enrolment it takes nobody's: the time is added to the name.
    """
    out, renew = request.out, request.renew
    renews = renew is not None and renew.samefile(out)
    kept = out.with_name(f"{out.name}.before{'' if renews else f'-{now_s}'}")
    with named_by_user("write", kept):
        for ending in ("", ".sig", ".override.sig"):
            if (old := Path(f"{out}{ending}")).exists():
                write_whole(Path(f"{kept}{ending}"), read_named(old, MODEL_BYTES))
    return kept


def _write(fingerprint: Fingerprint, out: Path, keys: KeyStore, overrider: KeyStore | None) -> Path:
    with (
        named_by_user("write", out),
        tempfile.TemporaryDirectory(prefix=".enrol-", dir=out.parent) as scratch,
    ):
        staged = Path(scratch) / out.name
        write_new(staged, fingerprint.to_bytes())
        if overrider is not None:
            second = overrider.sign_file(staged, RecordKind.VIEW)
            move_over(second, out.with_name(f"{out.name}.override.sig"))
        signature = keys.sign_file(staged, RecordKind.VIEW)
        final = out.with_name(signature.name)
        move_over(signature, final)
        move_over(staged, out)
    return final
