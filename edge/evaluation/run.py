"""The whole evaluation: which recording is played against which view, in what order.

Views are enrolled from the recordings called controlled; of several takes of one
place the first that can be enrolled is, and the others are played against it.
Every other recording is foreign to the view. A worker decodes one recording at a
time and does everything with it, so memory holds one recording a worker, beside
the openings of the views. The findings do not depend on how many workers there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from edge.clock import S
from edge.commissioning.records import DEFAULT_DWELL_S
from edge.errors import GuardError
from edge.evaluation.availability import summary
from edge.evaluation.cost import apart, slow_loop
from edge.evaluation.day.play import Lived, day
from edge.evaluation.disturb import verified_under_disturbance
from edge.evaluation.forge import PERFECT_DEVICE, honest_device, still_board
from edge.evaluation.manifest import Clip
from edge.evaluation.report.still import still
from edge.evaluation.splices import KEPT_NS, Scenery, Splice, scenery, splice
from edge.evaluation.transitions import Kind
from edge.evaluation.trials import Footage, Trial, View, decode, enrol_view, play
from edge.evidence.faces import FaceBoxes
from edge.evidence.readings import BoardSample
from edge.evidence.scene import SceneModel
from edge.policy.engine import Policy
from edge.view.bodies import Bodies

_WINDOW = 45  # frames of the other recording that a splice may need
Given = TypeVar("Given")
Got = TypeVar("Got")
_FACE = 0.15  # of the picture's height: somebody who could walk in


@dataclass(frozen=True, slots=True)
class Settings:
    """How much to try, and with what."""

    face_model: Path
    pack: str = "strict"
    splices: int = 1000
    seed: int = 1
    jobs: int = 1
    own_only: bool = False  # nothing foreign is played: availability alone


@dataclass(slots=True)
class Findings:
    """Everything the evaluation found."""

    views: list[View] = field(default_factory=list)
    foreign: list[Trial] = field(default_factory=list)  # uncontrolled, everything forged
    strangers: list[Trial] = field(default_factory=list)  # controlled, but another place
    twins: list[Trial] = field(default_factory=list)  # the view's own recording
    takes: list[Trial] = field(default_factory=list)  # other takes of the view's place
    daily: list[Trial] = field(default_factory=list)  # both of these, at the default dwell
    honest: list[Trial] = field(default_factory=list)  # uncontrolled, honest records
    splices: list[Splice] = field(default_factory=list)
    outside: list[tuple[float, bool]] = field(default_factory=list)  # predicted and true
    lived: list[Lived] = field(default_factory=list)  # the changes of a day, before each view
    verified: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """(disturbance, view): frames verified, frames."""
    cost_ms: dict[str, float] = field(default_factory=dict)  # part: per second of video
    stills: dict[str, bytes] = field(default_factory=dict)  # recording: a small JPEG, faces masked
    skipped: list[str] = field(default_factory=list)  # recordings that cannot be used, and why


@dataclass(frozen=True, slots=True)
class _Place:
    """An enrolled place and what was tried with its own recording."""

    view: View
    twin: Trial
    verified: dict[str, tuple[int, int]]
    lived: list[Lived]
    person: np.ndarray | None  # a frame with somebody in it, large enough to walk in elsewhere


@dataclass(frozen=True, slots=True)
class _Task:
    """One recording and what it is to be played against."""

    clip: Clip
    places: tuple[_Place, ...]
    kinds: tuple[Kind, ...]  # one a splice into this recording
    seed: tuple[int, int]


def evaluate(clips: Sequence[Clip], settings: Settings, say: Callable[[str], None]) -> Findings:
    """Enrol what can be enrolled, then play everything against everything."""
    found = Findings()
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        if clip.controlled:
            groups.setdefault(clip.place, []).append(clip)
    with _Workers(settings) as workers:
        places = []
        for views, place, daily, skipped in workers.map(_enrol, list(groups.values())):
            found.views += views
            found.daily += daily
            _skip(found, skipped)
            for view in views:
                found.stills[view.clip.name] = view.still
                pairs = view.fingerprint.pairs if view.fingerprint else 0
                what = f"enrolled, {pairs} pairs" if pairs else f"not enrolled: {view.refusal}"
                say(f"{view.clip.name}: {what}")
            if place is not None:
                places.append(place)
                found.twins.append(place.twin)
                found.lived += place.lived
                for name, held in place.verified.items():
                    found.verified[name, place.view.clip.name] = held
            for trial in daily:
                say(summary(trial.clip, trial.availability, DEFAULT_DWELL_S))
        if settings.own_only:
            return found
        kinds = itertools.cycle(Kind)
        tasks = []
        for number, clip in enumerate(clips):
            share = settings.splices * (number + 1) // len(clips)
            share -= settings.splices * number // len(clips)
            drawn = tuple(itertools.islice(kinds, share))
            tasks.append(_Task(clip, tuple(places), drawn, (settings.seed, number)))
        for number, part in enumerate(workers.map(_play_all, tasks), 1):
            _add(found, part)
            passed = sum(t.passed for t in (*part.foreign, *part.strangers, *part.honest))
            leaked = sum(s.forbidden for s in part.splices if s.release.value == "bracketed")
            say(
                f"[{number}/{len(clips)}] {clips[number - 1].name}: foreign frames passed "
                f"{passed}, forbidden frames in {len(part.splices) // 2} splices {leaked}"
            )
    if places:
        own = places[0].view
        assert own.fingerprint is not None
        footage = decode(own.clip, FaceBoxes(settings.face_model))
        frames = apart(footage)
        nobody = footage.detect(frames[0])
        found.cost_ms = slow_loop(frames, nobody, own.fingerprint, settings.face_model)
    return found


class _Tools:
    """What a worker loads once."""

    def __init__(self, settings: Settings) -> None:
        cv2.setNumThreads(1)
        self.faces = FaceBoxes(settings.face_model)
        self.bodies = Bodies()  # of enrolment
        self.glance = Bodies(both=False)  # of the running guard
        self.scene = SceneModel.load()
        self.policy = Policy.load(settings.pack)
        self.sceneries: dict[str, Scenery] = {}


_tools: list[_Tools] = []  # of this worker


def _begin(settings: Settings) -> None:
    _tools[:] = [_Tools(settings)]


class _Workers:
    """Processes that share the work, or this one alone."""

    def __init__(self, settings: Settings) -> None:
        self._pool = None
        if settings.jobs > 1:
            self._pool = get_context("spawn").Pool(settings.jobs, _begin, (settings,))
        else:
            _begin(settings)

    def map(self, work: Callable[[Given], Got], tasks: Sequence[Given]) -> Iterable[Got]:
        """The results in the order of the tasks, as they come."""
        return map(work, tasks) if self._pool is None else self._pool.imap(work, tasks)

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool.join()


def _enrol(takes: Sequence[Clip]) -> tuple[list[View], _Place | None, list[Trial], list[str]]:
    """Enrol the first take of one place that can be, and try its own recording.

    The trials are at the default dwell: of that take, or of all where none can be enrolled.
    """
    tools = _tools[0]
    views: list[View] = []
    daily: list[Trial] = []
    skipped: list[str] = []
    for clip in takes:
        try:
            footage = decode(clip, tools.faces)
            view = replace(enrol_view(footage, tools.bodies), still=still(footage))
        except GuardError as err:
            skipped.append(str(err))
            continue
        views.append(view)
        samples = still_board(footage.last_ns)
        daily.append(_daily(footage, view, samples))
        if view.fingerprint is None:
            continue
        twin = play(footage, view, PERFECT_DEVICE, tools.policy, samples, tools.scene)
        verified = verified_under_disturbance(footage, view.fingerprint)
        lived = [] if view.refusal else day(footage, view, tools.bodies, tools.policy)
        place = _Place(view, twin, verified, lived, _somebody(footage))
        return views, place, daily[-1:], skipped
    return views, None, daily, skipped


def _play_all(task: _Task) -> Findings:
    """Play one recording against every view."""
    tools, clip, found = _tools[0], task.clip, Findings()
    try:
        footage = decode(clip, tools.faces)
    except GuardError as err:
        found.skipped.append(str(err))
        return found
    samples = still_board(footage.last_ns)
    found.stills[clip.name] = still(footage)
    if not clip.controlled:
        device = honest_device(clip)
        found.honest.append(play(footage, None, device, tools.policy, samples))
    for place in task.places:
        shown = place.view.clip
        if shown == clip:
            continue
        same = shown.place == clip.place
        scene = tools.scene if same else None  # a stranger gets no help from the veto
        trial = play(footage, place.view, PERFECT_DEVICE, tools.policy, samples, scene)
        kind = found.takes if same else found.strangers if clip.controlled else found.foreign
        kind.append(trial)
        if same:
            found.daily.append(_daily(footage, place.view, samples))
    if clip.outside is not None:
        for shot in _each_second(footage):
            shares = tools.scene.probabilities(shot)
            found.outside.append((sum(shares[2:]), clip.outside))
    found.splices = _splices(footage, task)
    return found


def _daily(footage: Footage, view: View, samples: Sequence[BoardSample]) -> Trial:
    """What an honest user gets of a controlled recording: at the default dwell, with the veto."""
    tools, device = _tools[0], replace(PERFECT_DEVICE, dwell_s=DEFAULT_DWELL_S)
    return play(footage, view, device, tools.policy, samples, tools.scene, nearness=False)


def _splices(footage: Footage, task: _Task) -> list[Splice]:
    """Splices from every other place into this recording, drawn from the seed."""
    tools = _tools[0]
    found: list[Splice] = []
    rng = np.random.default_rng(task.seed)
    others = [_scenery(p) for p in task.places if p.view.clip.place != footage.clip.place]
    flowing = [place for place in others if place.flowing]
    visitors = [(p.view.clip.name, p.person) for p in task.places if p.person is not None]
    frames = [shot.frame for shot in footage.shots]
    for kind in task.kinds:
        peopled = [place for place in flowing if place.peopled and len(visitors) > 1]
        if kind is Kind.WALK_IN and not peopled:
            kind = Kind.HARD_CUT  # without a person, an additional one is allowed
        choice = peopled if kind is Kind.WALK_IN else flowing
        if not choice:
            return found
        place = choice[rng.integers(len(choice))]
        strange = [person for name, person in visitors if name != place.name] or [frames[0]]
        person = strange[rng.integers(len(strange))]
        begins = int(rng.integers(max(1, len(frames) - _WINDOW)))
        window = frames[begins : begins + _WINDOW]
        foreign = (footage.clip.name, window)
        given = (tools.faces, tools.policy, rng, tools.glance)
        found += splice(kind, place, foreign, person, *given)
    return found


def _scenery(place: _Place) -> Scenery:
    """The marked opening of a view's own recording; decoded once a worker."""
    tools, view = _tools[0], place.view
    if view.clip.name not in tools.sceneries:
        assert view.fingerprint is not None
        footage = decode(view.clip, tools.faces, until_ns=KEPT_NS)
        passed, peopled = place.twin.decisions, place.person is not None
        marked = scenery(footage, view.fingerprint, passed, peopled=peopled)
        tools.sceneries[view.clip.name] = marked
    return tools.sceneries[view.clip.name]


def _somebody(footage: Footage) -> np.ndarray | None:
    """The frame with the largest face, if that is large enough."""
    best, frame = _FACE, None
    for shot in footage.shots:
        tall = max((box.height for box in footage.detect(shot.frame)), default=0.0)
        if tall / shot.frame.shape[0] > best:
            best, frame = tall / shot.frame.shape[0], shot.frame
    return frame


def _each_second(footage: Footage) -> list[np.ndarray]:
    found, next_ns = [], 0
    for shot in footage.shots:
        if shot.captured_ns >= next_ns:
            found.append(shot.frame)
            next_ns = shot.captured_ns + S
    return found


def _add(found: Findings, part: Findings) -> None:
    for name in ("foreign", "strangers", "takes", "daily", "honest", "splices", "outside"):
        getattr(found, name).extend(getattr(part, name))
    for name, jpeg in part.stills.items():
        found.stills.setdefault(name, jpeg)
    _skip(found, part.skipped)


def _skip(found: Findings, lines: Sequence[str]) -> None:
    found.skipped += [line for line in lines if line not in found.skipped]
