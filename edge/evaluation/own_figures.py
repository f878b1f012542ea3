"""Figures of what the enrolled place itself gets: how much of it passes, and why not the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial

from edge.clock import S
from edge.commissioning.records import DEFAULT_DWELL_S
from edge.evaluation.availability import Availability, CauseRow, by_cause, summary
from edge.evaluation.bounds import lower
from edge.evaluation.day.play import Lived
from edge.evaluation.report.figure import Figure, Question, asked, counted, not_tried, share
from edge.evaluation.run import Findings
from edge.evaluation.trials import Trial
from edge.reasons import Family

MIN_AVAILABLE = 0.97  # of the time after the default dwell
MIN_KNOWN = 0.99  # of the time after it, while something changes before the camera
SITE = "places that a site may enrol"
_SHORT = "the recording is over before the dwell"
NO_VIEW = "no recording of a fixed place could be enrolled"


def own_figures(found: Findings, refused: set[str]) -> list[Figure]:
    """Every figure of the places' own recordings; enrolment refuses the places in `refused`."""
    return [
        *_twins(found.twins, refused),
        *_takes(found.takes),
        *_availability(found.daily, refused),
        *_verified(found, refused),
        *_day(found.lived),
    ]


def _twins(trials: Sequence[Trial], refused: set[str]) -> list[Figure]:
    found = []
    for trial in trials:
        name = f"frames of {trial.clip} that passed after the dwell"
        note = "although enrolment refuses this place" if trial.view in refused else ""
        found.append(_passed(name, trial.due_passed, trial.due, note, _SHORT))
    sound = [trial for trial in trials if trial.view not in refused]
    for of, some in (("every place", trials), (SITE, sound)):
        found += _together(of, some)
    return found


def _passed(name: str, passed: int, due: int, note: str, why: str) -> Figure:
    return share(Question.OWN, name, passed, due, least=0.95, note=note, why=why)


def _together(of: str, some: Sequence[Trial]) -> list[Figure]:
    due, passed = sum(t.due for t in some), sum(t.due_passed for t in some)
    name, why = f"own frames that passed after the dwell, {of}", _SHORT if some else NO_VIEW
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
    every = [trial.availability for trial in trials]
    rows += _served("every recording of a fixed place", every, None)
    return rows + _served(SITE, [trial.availability for trial in sound], MIN_AVAILABLE)


def _served(of: str, some: Sequence[Availability], least: float | None) -> list[Figure]:
    """The time served (`least`, its goal), what was blocked for a cause that is true, and the rest.

    Time that is rightly blocked, as at a place that enrolment refuses, is no fault: over every
    recording only the time falsely blocked has a goal.
    """
    name = f"time served after the default dwell of {DEFAULT_DWELL_S:g} s, {of}"
    due_ns = sum(one.due_ns for one in some)
    passed_ns = sum(a.passed_ns for a in some)
    rightly_ns, falsely_ns = sum(a.rightly_ns for a in some), sum(a.falsely_ns for a in some)
    part = partial(share, Question.AVAILABLE, whole=due_ns)
    why = "every recording is over before the dwell" if some else NO_VIEW
    note = f"of {due_ns / S:.0f} s"
    first = part(name, passed_ns, least=least, note=note, why=why)
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

    It holds if nearly all passed, or was blocked for a cause that names the change.
    """
    rows = []
    for change in dict.fromkeys(one.change for one in found):
        some = [one for one in found if one.change == change]
        clear = sorted(some[0].causes, key=lambda reason: reason.rank)
        due_ns = sum(one.availability.due_ns for one in some)
        passed_ns = sum(one.availability.passed_ns for one in some)
        unclear_ns = sum(_unclear_ns(one) for one in some)
        causes = by_cause(one.availability for one in some)
        lost = ", ".join(_lost(row) for row in causes)
        name = f"time served: {change}"
        target = " or ".join([f">= {100 * MIN_KNOWN:g}", *(cause.value for cause in clear)])
        if not due_ns:
            rows.append(not_tried(Question.DAY, name, target, "%", _SHORT))
            continue
        rows.append(
            asked(
                Question.DAY,
                name,
                round(100 * passed_ns / due_ns, 2),
                target,
                "%",
                holds=unclear_ns <= (1 - MIN_KNOWN) * due_ns,
                note=counted(len(some), "place") + (f"; lost to {lost}" if lost else ""),
            )
        )
    return rows


def _unclear_ns(one: Lived) -> int:
    """What was blocked and neither the change nor the recording itself explains."""
    return sum(
        lost.blocked_ns
        for lost in one.availability.lost
        if not lost.true and one.causes.isdisjoint((lost.cause, *lost.also))
    )


def _lost(row: CauseRow) -> str:
    own = f" ({row.true_ns / S:.1f} s of it the recording's own)" if row.true_ns else ""
    return f"{row.cause.value} {row.blocked_ns / S:.1f} s{own}"


def _takes(trials: Sequence[Trial]) -> list[Figure]:
    due, passed = sum(t.due for t in trials), sum(t.due_passed for t in trials)
    if not due:
        return []
    name = "frames of later recordings of a place that passed after the dwell"
    rows = [share(Question.OWN, name, passed, due, note=counted(len(trials), "recording"))]
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
        for of in ("every place", *((SITE,) * (view not in refused))):
            before = sums.get((of, name), (0, 0))
            sums[of, name] = (before[0] + held, before[1] + frames)
    rows = []
    for (of, disturbance), (held, frames) in sorted(sums.items(), key=lambda item: item[0][0]):
        name = f"own frames that are recognised, {disturbance}, {of}"
        bound = round(100 * lower(held, frames), 2) if frames else 0
        note = f"of {frames} frames; at 95 % confidence at least {bound} %"
        rows.append(share(question, name, held, frames, least=0.99, note=note, why="no frame"))
    name = "own frames that are recognised"
    return rows or [not_tried(question, name, ">= 99", "%", NO_VIEW)]
