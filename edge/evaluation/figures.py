"""From findings to figures: counts, shares with their bounds, and whether a goal was reached."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from functools import partial

import cv2

from edge.audit.schema import Release
from edge.clock import S
from edge.commissioning.records import DEFAULT_DWELL_S
from edge.evaluation.availability import Availability, CauseRow, by_cause, summary
from edge.evaluation.bounds import lower, upper
from edge.evaluation.day.play import Lived
from edge.evaluation.report.figure import (
    Figure,
    Question,
    asked,
    none_at_all,
    not_tried,
    reported,
    share,
)
from edge.evaluation.run import Findings
from edge.evaluation.splices import Splice
from edge.evaluation.transitions import FORBIDDEN, Kind
from edge.evaluation.trials import Trial
from edge.reasons import Family

SETTING_OF_SLOW_LOOP = 150.0  # ms a second of video: 15 % of one core
MIN_AVAILABLE = 0.97  # of the time after the default dwell
MIN_KNOWN = 0.99  # of the time after it, while something changes before the camera
_SITE = "places that a site may enrol"
_SHORT = "the recording is over before the dwell"
_NO_VIEW = "no recording of a fixed place could be enrolled"


def figures(found: Findings, splices: int, *, own_only: bool = False) -> list[Figure]:
    """Every figure of the evaluation; one without trials is not tried, and says why."""
    refused = {v.clip.name for v in found.views if v.refusal}
    own = [
        *_twins(found.twins, refused),
        *_takes(found.takes),
        *_availability(found.daily, refused),
        *_verified(found, refused),
        *_day(found.lived),
    ]
    if own_only:
        why = "--own plays each place's own recording alone"
        return [
            not_tried(Question.FORGED, "frames of other places that passed", "0", "frames", why),
            *_no_splices(why),
            *own,
        ]
    sound = [t for t in found.foreign if t.view not in refused]
    return [
        *_forged("uncontrolled recordings", "every place", found.foreign),
        *_forged("uncontrolled recordings", _SITE, sound),
        *_forged("other rooms", "every place", found.strangers),
        _vision_alone(found.foreign),
        _honest(found.honest),
        *(splice_figures(found.splices) if splices else _no_splices("--splices 0")),
        *own,
        *_scene(found.outside),
        *_cost(found),
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def environment() -> dict[str, str]:
    """Where the figures were measured."""
    return {
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "system": f"{platform.system()} {platform.release()}",
    }


def _forged(what: str, against: str, trials: Sequence[Trial]) -> list[Figure]:
    """Everything but the picture is forged; the picture alone has to block."""
    of = Question.FORGED
    first = f"frames of {what} that passed, against {against}"
    if not trials:
        return [not_tried(of, first, "0", "frames", "no such recording, or no place to try it on")]
    frames, passed = sum(t.frames for t in trials), sum(t.passed for t in trials)
    scenes = {t.clip for t in trials}
    hit = {t.clip for t in trials if t.passed}
    bound = upper(len(hit), len(scenes))
    nearest = max(trials, key=lambda t: t.margin)
    highest = max(trials, key=lambda t: max(t.scores, default=0.0))
    score = max(highest.scores, default=0.0)
    some = f"{what} of which a frame passed, against {against}"
    return [
        none_at_all(of, first, passed, "frames", note=f"of {frames} frames"),
        none_at_all(of, some, len(hit), "recordings", note=f"of {len(scenes)}"),
        reported(
            of,
            f"{what} of which a frame may pass, at 95 % confidence, against {against}",
            round(100 * bound, 2),
            "%",
            f"at most; {len(hit)} of {len(scenes)} were seen to",
        ),
        asked(
            of,
            f"margin of the reading of {what} that came nearest to passing, against {against}",
            round(-nearest.margin, 4),
            "> 0",
            "share",
            holds=nearest.margin < 0,
            note=f"{nearest.clip} against {nearest.view}",
        ),
        asked(
            of,
            f"highest score of a frame of {what}, against {against}",
            round(score, 4),
            "< 0.80",
            "share",
            holds=score < 0.8,
            note=f"{highest.clip} against {highest.view}",
        ),
    ]


def _vision_alone(trials: Sequence[Trial]) -> Figure:
    """Whether anything but the picture blocked a forged frame."""
    name = "causes of blocking other than the picture"
    if not trials:
        return not_tried(Question.FORGED, name, "none", "", "no forged frame was tried")
    reasons = {reason for trial in trials for reason in trial.reasons}
    others = sorted(r.value for r in reasons if r.family not in (Family.VISION, Family.WAITING))
    value = ", ".join(others) or "none"
    return asked(Question.FORGED, name, value, "none", "", holds=not others)


def _honest(trials: Sequence[Trial]) -> Figure:
    name = "frames of uncontrolled recordings that passed with honest records"
    passed, frames = sum(t.passed for t in trials), sum(t.frames for t in trials)
    why = "" if trials else "no uncontrolled recording"
    return none_at_all(Question.FORGED, name, passed, "frames", note=f"of {frames} frames", why=why)


def _twins(trials: Sequence[Trial], refused: set[str]) -> list[Figure]:
    found = []
    for trial in trials:
        name = f"frames of {trial.clip} that passed after the dwell"
        note = "although enrolment refuses this place" if trial.view in refused else ""
        found.append(_passed(name, trial.due_passed, trial.due, note, _SHORT))
    sound = [trial for trial in trials if trial.view not in refused]
    for of, some in (("every place", trials), (_SITE, sound)):
        found += _together(of, some)
    return found


def _passed(name: str, passed: int, due: int, note: str, why: str) -> Figure:
    return share(Question.OWN, name, passed, due, least=0.95, note=note, why=why)


def _together(of: str, some: Sequence[Trial]) -> list[Figure]:
    due, passed = sum(t.due for t in some), sum(t.due_passed for t in some)
    name, why = f"own frames that passed after the dwell, {of}", _SHORT if some else _NO_VIEW
    first = _passed(name, passed, due, f"of {due} frames", why)
    if not due:
        return [first]
    tried = [t for t in some if t.due]
    whole = sum(t.due_passed >= 0.95 * t.due for t in tried)
    bound = round(100 * lower(whole, len(tried)), 1)
    return [
        first,
        asked(
            Question.OWN,
            f"places of which 95 % of the frames pass, {of}",
            whole,
            f"{len(tried)}",
            "places",
            holds=whole == len(tried),
            note=f"of {len(tried)}; at 95 % confidence at least {bound} % of such places",
        ),
        _blocked(f"own frames that were blocked after the dwell, {of}", some),
    ]


def _blocked(name: str, trials: Sequence[Trial]) -> Figure:
    """The share of due frames that were blocked, and every cause that was given."""
    due = sum(t.due for t in trials)
    blocked = due - sum(t.due_passed for t in trials)
    causes = Counter(
        reason.value
        for t in trials
        for reason, count in t.due_reasons.items()
        for _ in range(count)
        if reason.family is not Family.WAITING
    )
    codes = ", ".join(f"{code} {count}" for code, count in causes.most_common()) or "no cause"
    return share(Question.OWN, name, blocked, due, most=0.01, note=codes if blocked else "")


def _availability(trials: Sequence[Trial], refused: set[str]) -> list[Figure]:
    """What an honest user gets at the default dwell, recording by recording and together."""
    rows = []
    for trial in trials:
        served = trial.availability
        name = f"time served, {trial.clip} on {trial.view}"
        note = summary(trial.clip, served, DEFAULT_DWELL_S).partition("; ")[2]
        passed = served.passed_ns
        rows.append(share(Question.AVAILABLE, name, passed, served.due_ns, note=note, why=_SHORT))
    sound = [trial for trial in trials if trial.view not in refused]
    for some, of in ((trials, "every recording of a fixed place"), (sound, _SITE)):
        rows += _served(of, [trial.availability for trial in some])
    return rows


def _served(of: str, some: Sequence[Availability]) -> list[Figure]:
    """The time served, and what was blocked for a cause that is true, and the rest."""
    name = f"time served after the default dwell of {DEFAULT_DWELL_S:g} s, {of}"
    due_ns = sum(one.due_ns for one in some)
    passed_ns = sum(a.passed_ns for a in some)
    rightly_ns, falsely_ns = sum(a.rightly_ns for a in some), sum(a.falsely_ns for a in some)
    part = partial(share, Question.AVAILABLE, whole=due_ns)
    why = "every recording is over before the dwell" if some else _NO_VIEW
    note = f"of {due_ns / S:.0f} s"
    first = part(name, passed_ns, least=MIN_AVAILABLE, note=note, why=why)
    if not due_ns:
        return [first]
    return [
        first,
        part(f"time blocked for a true cause, {of}", rightly_ns),
        part(f"time falsely blocked, {of}", falsely_ns, most=round(1 - MIN_AVAILABLE, 4)),
    ]


def _day(found: Sequence[Lived]) -> list[Figure]:
    if found:
        return day_figures(found)
    why = "no long enough recording of a place that a site may enrol"
    return [not_tried(Question.DAY, "time served through the changes of a day", ">= 99", "%", why)]


def day_figures(found: Sequence[Lived]) -> list[Figure]:
    """What each change of a day costs the views a site may enrol, and for which causes.

    It holds if nearly all passed, or if all that was blocked has a cause that names the change.
    """
    rows = []
    for change in dict.fromkeys(one.change for one in found):
        some = [one for one in found if one.change == change]
        clear = sorted(some[0].causes, key=lambda reason: reason.rank)
        due_ns = sum(one.availability.due_ns for one in some)
        passed_ns = sum(one.availability.passed_ns for one in some)
        served_ns = passed_ns + sum(one.availability.rightly_ns for one in some)
        false = {lost.cause for one in some for lost in one.availability.lost if not lost.true}
        causes = by_cause(one.availability for one in some)
        lost = ", ".join(_lost(row) for row in causes)
        name = f"time served: {change}"
        target = " or ".join([f">= {100 * MIN_KNOWN:g}", *(cause.value for cause in clear)])
        if not due_ns:
            rows.append(not_tried(Question.DAY, name, target, "%", _SHORT))
            continue
        whole = served_ns >= MIN_KNOWN * due_ns
        rows.append(
            asked(
                Question.DAY,
                name,
                round(100 * passed_ns / due_ns, 2),
                target,
                "%",
                holds=whole or (bool(clear) and false <= set(clear)),
                note=_count(len(some), "place") + (f"; lost to {lost}" if lost else ""),
            )
        )
    return rows


def _lost(row: CauseRow) -> str:
    own = f" ({row.true_ns / S:.1f} s of it the recording's own)" if row.true_ns else ""
    return f"{row.cause.value} {row.blocked_ns / S:.1f} s{own}"


def _takes(trials: Sequence[Trial]) -> list[Figure]:
    due, passed = sum(t.due for t in trials), sum(t.due_passed for t in trials)
    if not due:
        return []
    name = "frames of later recordings of a place that passed after the dwell"
    rows = [share(Question.OWN, name, passed, due, note=_count(len(trials), "recording"))]
    for trial in trials:
        name = f"frames of {trial.clip}, a later recording of {trial.view}, that passed"
        cause = max(trial.due_reasons, key=lambda r: trial.due_reasons[r], default=None)
        note = f"most often {cause.value}" if cause and trial.due_passed < trial.due else ""
        rows.append(share(Question.OWN, name, trial.due_passed, trial.due, note=note, why=_SHORT))
    return rows


def _verified(found: Findings, refused: set[str]) -> list[Figure]:
    question = Question.DISTURBED
    sums: dict[tuple[str, str], tuple[int, int]] = {}
    for (name, view), (held, frames) in found.verified.items():
        for of in ("every place", *((_SITE,) * (view not in refused))):
            before = sums.get((of, name), (0, 0))
            sums[of, name] = (before[0] + held, before[1] + frames)
    rows = []
    for (of, disturbance), (held, frames) in sorted(sums.items(), key=lambda item: item[0][0]):
        name = f"own frames that are recognised, {disturbance}, {of}"
        bound = round(100 * lower(held, frames), 2) if frames else 0
        note = f"of {frames} frames; at 95 % confidence at least {bound} %"
        rows.append(share(question, name, held, frames, least=0.99, note=note, why="no frame"))
    name = "own frames that are recognised"
    return rows or [not_tried(question, name, ">= 99", "%", _NO_VIEW)]


def _no_splices(why: str) -> list[Figure]:
    name = "forbidden frames that a matcher received"
    return [none_at_all(Question.SPLICES, name, 0, "frames", why=why)]


def splice_figures(splices: Sequence[Splice]) -> list[Figure]:
    """What was received of every splice; forbidden frames in each mode of release."""
    if not splices:
        return _no_splices("no recording could be spliced into a place while frames flowed")
    rows = []
    for release in Release:
        some = [s for s in splices if s.release is release]
        name = f"forbidden frames that a matcher received, {release.value} release"
        if not some:
            target = "0" if release is Release.BRACKETED else "reported"
            rows.append(not_tried(Question.SPLICES, name, target, "frames", "no splice"))
            continue
        hit = sum(s.forbidden > 0 for s in some)
        lively = sum(s.lively for s in some)
        bound = round(100 * upper(hit, len(some)), 2)
        note = (
            f"{_count(len(some), 'splice')}, {lively} while frames flowed; "
            f"at 95 % confidence at most {bound} % of splices"
        )
        rows.append(_received(name, some, note))
        for kind in Kind:
            each = [s for s in some if s.kind is kind]
            if each:
                of = f"{release.value} release, {kind.value}"
                first = f"forbidden frames that a matcher received, {of}"
                rows += [_received(first, each, _count(len(each), "splice")), _share(of, each)]
    return rows


def _received(name: str, some: Sequence[Splice], note: str) -> Figure:
    """Forbidden frames of splices in one mode of release; only the bracketed one has a goal."""
    count = sum(s.forbidden for s in some)
    if some[0].release is not Release.BRACKETED:
        return reported(Question.SPLICES, name, count, "frames", note)
    return none_at_all(Question.SPLICES, name, count, "frames", note=note)


def _share(of: str, some: Sequence[Splice]) -> Figure:
    shares = sorted(s.share for s in some)
    name = f"largest foreign share of a frame that a matcher received, {of}"
    value, note = round(shares[-1], 3), f"median {shares[len(shares) // 2]:.2f}"
    if some[0].release is Release.BRACKETED and some[0].kind is Kind.CROSS_FADE:
        holds = shares[-1] <= FORBIDDEN
        return asked(Question.SPLICES, name, value, "<= 0.5", "share", holds=holds, note=note)
    return reported(Question.SPLICES, name, value, "share", note)


def reliability(outside: Sequence[tuple[float, bool]]) -> list[tuple[float, float, int]]:
    """For each tenth of the scene model's score: mean score, share true, number."""
    rows = []
    for tenth in range(10):
        some = [(p, true) for p, true in outside if min(9, int(p * 10)) == tenth]
        if some:
            predicted = sum(p for p, _ in some) / len(some)
            rows.append((predicted, sum(true for _, true in some) / len(some), len(some)))
    return rows


def _scene(outside: Sequence[tuple[float, bool]]) -> list[Figure]:
    """How far what the scene model says of whole recordings is from how often it is true."""
    name = "calibration error of the scene model: outdoors or in a vehicle"
    if not outside:
        why = "the manifest names no recording's scene"
        return [not_tried(Question.SCENE, name, "reported", "share", why)]
    gaps = (n * abs(predicted - true) for predicted, true, n in reliability(outside))
    error = round(sum(gaps) / len(outside), 3)
    return [reported(Question.SCENE, name, error, "share", f"over {len(outside)} frames")]


def _cost(found: Findings) -> list[Figure]:
    unit, total = "ms per second of video", sum(found.cost_ms.values())
    name, goal = "the slow loop, all parts together", f"<= {SETTING_OF_SLOW_LOOP:g}"
    if not total:
        return [not_tried(Question.COST, name, goal, unit, _NO_VIEW)]
    rows = [
        reported(Question.COST, f"the slow loop, {part}", round(ms, 2), unit)
        for part, ms in found.cost_ms.items()
    ]
    holds = total <= SETTING_OF_SLOW_LOOP
    return [*rows, asked(Question.COST, name, round(total, 2), goal, unit, holds=holds)]
