"""A replay from files to files: records, telemetry and clip in, decisions and report out."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path

import numpy as np

from edge.audit.clerk import Clerk
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.schema import Board, Enrolment, Release, Start, Stop
from edge.cameras.opencv import FileCamera, opening_frames
from edge.clock import S
from edge.commissioning.records import DWELL_S, Device, load_device, load_session
from edge.errors import RecordError, UsageError, failing, meaning
from edge.evidence import telemetry
from edge.evidence.faces import FaceBoxes, face_finder
from edge.evidence.readings import BoardSample
from edge.evidence.scene import SceneModel
from edge.files import MODEL_BYTES, named_by_user, read_named, scratch_folder, temporary_place
from edge.guard.results import verified
from edge.models.pull import asset
from edge.policy.engine import Policy
from edge.replay.engine import START_NS, Outcome, Replay
from edge.report import record
from edge.report.page import write_report
from edge.report.rule_notes import notes_for
from edge.version import VERSION
from edge.view.bodies import Bodies, of_take
from edge.view.enrol import survey
from edge.view.fingerprint import Fingerprint

_ENROL_FRAMES = 30  # spread over the opening seconds
_MARGIN = 2.0  # containers tell a variable rate only roughly
_RESULTS = ("decisions.jsonl", "summary.json", "report.html")
_ENROL_S = (0.2, 60.0)
"""Bounds of the opening seconds from which a view may be enrolled."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to replay, and how; the arguments of `framegate replay`."""

    clip: Path
    device: Path
    session: Path
    telemetry: tuple[Path, ...] = ()
    pack: str = "strict"
    dwell_s: float | None = None
    enroll_view: str | None = None
    release: str = "bracketed"
    out: Path | None = None


def replay(job: Job, say: Callable[[str], None]) -> record.SceneRecord:
    """Judge the clip; `say` gets the remarks for a reader of the result.

    Raises:
        GuardError: any input is not what it should be; then nothing was written.
    """
    device = load_device(job.device)
    session = load_session(job.session)
    if job.dwell_s is not None:
        if not DWELL_S[0] <= job.dwell_s <= DWELL_S[1]:
            raise UsageError(
                f"--dwell must be {DWELL_S[0]:g} to {DWELL_S[1]:g} seconds, got {job.dwell_s:g}"
            )
        device = changed(device, dwell_s=job.dwell_s)
    samples = telemetry.load(job.telemetry)
    policy = Policy.load(job.pack)
    faces = face_finder(asset("centerface.onnx"), masking=session.operation.masked)
    # before the clip is open: FFmpeg's log does not say which of two recordings it speaks of
    enrolled = _enrolled_view(job, faces)
    camera = FileCamera(job.clip)
    _check_overlap(job, samples, camera)
    digest = camera.identity.digest
    fingerprint = enrolled or _signed_view(job, device)
    log = None if job.out is None else _fresh_log(job.out)
    if log is None:
        temporary_place()  # for a log that is not kept; checked before any output
    say("replay: the records are taken unsigned; nothing is released to any matcher")
    for path in job.telemetry:
        if ignored := ", ".join(telemetry.ignored_columns(path)):
            say(f"note: {path}: no sensor is called {ignored}; ignored")
    with contextlib.ExitStack() as scratch:
        folder = log or scratch.enter_context(scratch_folder("framegate-")) / "audit"
        signer = Signer.generate("framegate/replay")
        clerk = Clerk(AuditLog.create_or_open(folder, signer))
        guard = Replay(
            device,
            session,
            policy,
            fingerprint,
            faces,
            release=Release(job.release),
            camera=digest,
            log=clerk.write,
            scene=SceneModel.load(),
            bodies=Bodies(both=False),
            rests=False,  # what a frame shows is told, also while it decides nothing
        )
        enrolment = fingerprint.file.enrolment.value if fingerprint is not None else "none"
        start = Start(
            guard.stamp(START_NS),
            VERSION,
            job.pack,
            session.operation,
            device.dwell_s,
            Release(job.release),
            True,
            Enrolment(enrolment),
            Board.VIRTUAL,
        )
        clerk.write(start, durable=False)
        outcome = guard.run(camera.shots(), samples)
        camera.close()
        summary = changed(
            _summary(job, device, outcome, enrolment),
            not_judged=camera.tally.lost,
            recording=str(camera.tally),
        )
        stop = Stop(guard.stamp(outcome.last_ns), summary.passed, summary.frames)
        clerk.close(stop)
        summary = changed(
            summary, board="virtual", audit_verified=verified(folder, signer.verifier)
        )
    result = record.SceneRecord(
        name=_printable(job.clip.name),
        footage=_printable(job.clip.name),
        must_happen="",
        decisions=outcome.decisions,
        summary=summary,
        readings=tuple(changed(r, captured_ns=r.captured_ns - START_NS) for r in outcome.readings),
        notes=("Offline replay with unsigned records: nothing was released to any matcher.",),
        rules=notes_for(policy, (rule for d in outcome.decisions for rule in d.rules)),
    )
    if summary.recording:
        say(f"warning: {job.clip}: {summary.recording}")
    _warn(summary, outcome, say)
    if job.out is not None:
        record.write_decisions(job.out / "decisions.jsonl", outcome.decisions)
        record.write_summary(job.out / "summary.json", summary)
        write_report(job.out / "report.html", [result])
    return result


def opening(clip: Path, seconds: float) -> tuple[list[np.ndarray], bytes]:
    """Frames spread over the clip's first `seconds`, and the digest of its camera."""
    with contextlib.closing(FileCamera(clip)) as camera:
        return opening_frames(camera, seconds, _ENROL_FRAMES), camera.identity.digest


def enrol_opening(clip: Path, seconds: float, faces: FaceBoxes) -> Fingerprint:
    """A trial fingerprint from a clip's first seconds, people masked, limits not enforced."""
    frames, digest = opening(clip, seconds)
    boxes = [faces.detect(frame) for frame in frames]
    bodies = of_take(Bodies(), frames)
    found = survey(frames, boxes, camera=digest, enforce=False, bodies=bodies)
    return found.enrolled()


def _enrolled_view(job: Job, faces: FaceBoxes) -> Fingerprint | None:
    if job.enroll_view is None:
        return None
    clip, seconds = _clip_and_seconds(job.enroll_view)
    return enrol_opening(clip, seconds, faces)


def _signed_view(job: Job, device: Device) -> Fingerprint | None:
    if device.fingerprint is None:
        return None
    named = f"{device.fingerprint}: expected the enrolled view that {job.device} names"
    with failing(named, RecordError):
        return Fingerprint.from_bytes(read_named(device.fingerprint, MODEL_BYTES))


def _check_overlap(job: Job, samples: Sequence[BoardSample], camera: FileCamera) -> None:
    """See that the telemetry may be this clip's; the clip's length is as its container tells it."""
    if not samples:
        return
    first_s, last_s = (sample.captured_ns / S for sample in (samples[0], samples[-1]))
    declared_s = camera.tally.declared / camera.rate_hz if camera.rate_hz else 0.0
    late = declared_s > 0 and first_s > _MARGIN * declared_s
    if last_s < 0 or late:
        raise RecordError(
            f"{', '.join(map(str, job.telemetry))}: column t_s runs from {first_s:g} to "
            f"{last_s:g} s, all of it outside the clip: expected seconds from the clip's first "
            "frame"
        )


def _printable(name: str) -> str:
    """A file name as text: bytes that are no UTF-8 become the replacement character."""
    return os.fsencode(name).decode(errors="replace")


def _clip_and_seconds(text: str) -> tuple[Path, float]:
    if not text:
        raise UsageError("--enroll-view: expected CLIP[:SECONDS], got nothing")
    clip, colon, seconds = text.rpartition(":")
    if not colon or Path(text).exists():
        return Path(text), 1.0
    with meaning(f"--enroll-view: expected CLIP[:SECONDS], got {text!r}", ValueError):
        value = float(seconds)
    if not _ENROL_S[0] <= value <= _ENROL_S[1]:
        raise UsageError(
            f"--enroll-view: expected {_ENROL_S[0]:g} to {_ENROL_S[1]:g} seconds, got {seconds}"
        )
    return Path(clip), value


def _summary(job: Job, device: Device, outcome: Outcome, enrolment: str) -> record.Summary:
    frames = outcome.decisions
    span_s = (frames[-1].captured_ns - frames[0].captured_ns) / S if len(frames) > 1 else 0.0
    return record.summarise(
        frames,
        context_changes=tuple(outcome.changes),
        dwell_s=device.dwell_s,
        gate_us=record.GateTimes.of(outcome.gate_ns),
        evidence_hz=round(outcome.evidence_frames / span_s, 3) if span_s else None,
        release=job.release,
        enrolment=enrolment,
    )


def _warn(summary: record.Summary, outcome: Outcome, say: Callable[[str], None]) -> None:
    last_ns = outcome.decisions[-1].captured_ns if outcome.decisions else 0
    if last_ns < summary.dwell_s * S:
        say(
            f"warning: the clip lasts {last_ns / S:.1f} s, less than the dwell of "
            f"{summary.dwell_s:g} s: no frame can pass"
        )


def _fresh_log(out: Path) -> Path:
    """A folder for a new log in `out`; an old replay's log there is moved out of the way first."""
    folder = out / "audit"
    odd = f"--out {out}: expected a folder, but a file is in its place"
    with named_by_user("write", folder), meaning(odd, FileExistsError, NotADirectoryError):
        if not folder.exists():
            foreign = next((name for name in _RESULTS if (out / name).exists()), None)
            if foreign is not None:
                raise UsageError(
                    f"--out {out} holds a {foreign} that a replay did not write: expected a new "
                    "folder, an empty one, or one with earlier results"
                )
        out.mkdir(parents=True, exist_ok=True)
        if folder.exists():
            tag = hashlib.sha256(str(os.stat(folder).st_mtime_ns).encode()).hexdigest()[:8]
            folder.rename(folder.with_name(f"audit-before-{tag}"))
    return folder
