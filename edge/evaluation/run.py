"""The whole evaluation: which recording is played against which view, in what order.

Views are enrolled from the recordings called controlled; of several takes of one
place the first that can be enrolled is, and the others are played against it.
Every other recording is foreign to the view. Recordings are decoded one at a
time, so memory holds one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from edge.clock import S
from edge.decision.fingerprint import Fingerprint
from edge.decision.motion import EgoMotion
from edge.decision.people import FaceBoxes
from edge.decision.policy import Policy
from edge.decision.view import ViewCheck
from edge.errors import GuardError
from edge.evaluation.disturb import DISTURBANCES
from edge.evaluation.forge import PERFECT_DEVICE, honest_device, still_board
from edge.evaluation.manifest import Clip
from edge.evaluation.trials import VIEW_NS, Footage, Trial, View, decode, enrol_view, play
from edge.frames.sentinel import Sentinel
from edge.lease import MIN_VIEW_SCORE

_DISTURBED_STEP = 3  # every third frame is disturbed


@dataclass(slots=True)
class Findings:
    """Everything the evaluation found."""

    views: list[View] = field(default_factory=list)
    foreign: list[Trial] = field(default_factory=list)  # uncontrolled, everything forged
    strangers: list[Trial] = field(default_factory=list)  # controlled, but another place
    twins: list[Trial] = field(default_factory=list)  # the view's own recording
    takes: list[Trial] = field(default_factory=list)  # other takes of the view's place
    honest: list[Trial] = field(default_factory=list)  # uncontrolled, honest records
    verified: dict[str, tuple[int, int]] = field(default_factory=dict)  # disturbance: held, frames
    cost_ms: dict[str, float] = field(default_factory=dict)  # part: per second of video
    skipped: list[str] = field(default_factory=list)  # recordings that cannot be used, and why


def evaluate(
    clips: Sequence[Clip], faces: FaceBoxes, policy: Policy, say: Callable[[str], None]
) -> Findings:
    """Enrol what can be enrolled, then play everything against everything."""
    found = Findings()
    _enrol(clips, faces, found, say)
    usable = [v for v in found.views if v.fingerprint is not None]
    for clip in clips:
        footage = _decode(clip, faces, found)
        if footage is None:
            continue
        samples = still_board(footage.last_ns)
        say(f"{clip.name}: {len(footage.shots)} frames")
        if not clip.controlled:
            found.honest.append(play(footage, None, honest_device(clip), policy, samples))
        for shown in usable:
            trial = play(footage, shown, PERFECT_DEVICE, policy, samples)
            _sort(trial, clip, shown, found)
            if shown.clip == clip and shown.fingerprint is not None:
                _disturb(footage, shown.fingerprint, found)
    if usable and usable[0].fingerprint is not None:
        _measure(usable[0].clip, usable[0].fingerprint, faces, found)
    return found


def _enrol(
    clips: Sequence[Clip], faces: FaceBoxes, found: Findings, say: Callable[[str], None]
) -> None:
    places: set[str] = set()
    for clip in clips:
        if not clip.controlled or clip.place in places:
            continue
        footage = _decode(clip, faces, found)
        if footage is None:
            continue
        shown = enrol_view(footage)
        found.views.append(shown)
        if shown.fingerprint is None:
            say(f"{clip.name}: cannot be enrolled: {shown.refusal}")
        else:
            places.add(clip.place)
            say(f"{clip.name}: enrolled, {shown.fingerprint.pairs} pairs")


def _decode(clip: Clip, faces: FaceBoxes, found: Findings) -> Footage | None:
    try:
        return decode(clip, faces)
    except GuardError as err:
        if str(err) not in found.skipped:
            found.skipped.append(str(err))
        return None


def _sort(trial: Trial, clip: Clip, shown: View, found: Findings) -> None:
    if shown.clip == clip:
        found.twins.append(trial)
    elif shown.clip.place == clip.place:
        found.takes.append(trial)
    elif clip.controlled:
        found.strangers.append(trial)
    else:
        found.foreign.append(trial)


def _disturb(footage: Footage, fingerprint: Fingerprint, found: Findings) -> None:
    """How many disturbed frames of the view's own recording the sentinel still verifies."""
    for name, disturbed in DISTURBANCES.items():
        sentinel, check = Sentinel(fingerprint), ViewCheck(fingerprint)
        seen, last_ns, held, frames = fingerprint.blocks, -S, 0, 0
        for number, shot in enumerate(footage.shots[::_DISTURBED_STEP]):
            frame = disturbed(shot.frame, number)
            if shot.captured_ns - last_ns >= VIEW_NS:
                last_ns = shot.captured_ns
                reading = check.read(frame, shot.captured_ns, footage.detect(shot.frame))
                seen = reading.seen_blocks or fingerprint.blocks
            frames += 1
            held += sentinel.look(frame, seen).view_score >= MIN_VIEW_SCORE
        before = found.verified.get(name, (0, 0))
        found.verified[name] = (before[0] + held, before[1] + frames)


def _measure(clip: Clip, fingerprint: Fingerprint, faces: FaceBoxes, found: Findings) -> None:
    """What the parts of the slow loop cost for one second of video, on this machine now."""
    footage = decode(clip, faces)
    frames = [s.frame for s in footage.shots[:60]]
    check, motion = ViewCheck(fingerprint), EgoMotion()
    nobody = footage.detect(frames[0])
    parts: dict[str, tuple[int, Callable[[int, np.ndarray], object]]] = {
        "view": (10, lambda n, f: check.read(f, n * S // 10, nobody)),
        "ego-motion": (10, lambda n, f: motion.read(f, n * S // 10, nobody)),
        "people": (5, lambda n, f: faces.detect(f)),
    }
    for name, (rate, work) in parts.items():
        times = []
        for number, frame in enumerate(frames[:30]):
            began = time.perf_counter()
            work(number, frame)
            times.append(time.perf_counter() - began)
        found.cost_ms[name] = float(np.median(times)) * 1e3 * rate
