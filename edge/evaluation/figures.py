"""From findings to figures: counts, shares with their bounds, and whether a target holds."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2

from edge.audit.schema import Release
from edge.clock import S
from edge.commissioning.records import DEFAULT_DWELL_S
from edge.evaluation.availability import Availability, by_cause, summary
from edge.evaluation.bounds import lower, upper
from edge.evaluation.day.play import Lived
from edge.evaluation.run import Findings
from edge.evaluation.splices import Splice
from edge.evaluation.transitions import FORBIDDEN, Kind
from edge.evaluation.trials import Trial
from edge.reasons import Family

SETTING_OF_SLOW_LOOP = 150.0  # ms a second of video: 15 % of one core
MIN_AVAILABLE = 0.97  # of the time after the default dwell
MIN_KNOWN = 0.99  # of the time after it, while something changes before the camera


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number and its target."""

    name: str
    value: float | str
    target: str
    unit: str
    holds: bool

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": self.value,
            "target": self.target,
            "unit": self.unit,
            "holds": self.holds,
        }


def figures(found: Findings, splices: int, *, own_only: bool = False) -> list[Figure]:
    """Every figure of the evaluation; one without trials does not hold, unless none were asked."""
    refused = {v.clip.name for v in found.views if v.refusal}
    if own_only:
        return [
            *_twins(found.twins, refused),
            *_availability(found.daily, refused),
            *day_figures(found.lived),
        ]
    sound = [t for t in found.foreign if t.view not in refused]
    return [
        *_forged("forged, every view", found.foreign),
        *_forged("forged, only views a site may enrol", sound),
        *_forged("another room, forged", found.strangers),
        _vision_alone(found.foreign),
        _count("honest records: frames passed", found.honest),
        *_twins(found.twins, refused),
        *_takes(found.takes),
        *_availability(found.daily, refused),
        *_verified(found, refused),
        *day_figures(found.lived),
        *(splice_figures(found.splices) if splices else ()),
        *_scene(found.outside),
        *_cost(found),
    ]


def environment() -> dict[str, str]:
    """Where the figures were measured."""
    return {
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "system": f"{platform.system()} {platform.release()}",
    }


def _forged(name: str, trials: Sequence[Trial]) -> list[Figure]:
    if not trials:
        return [Figure(f"{name}: frames passed", "no trial", "0", "frames", False)]
    frames, passed = sum(t.frames for t in trials), sum(t.passed for t in trials)
    scenes = {t.clip for t in trials}
    hit = {t.clip for t in trials if t.passed}
    bound = upper(len(hit), len(scenes))
    nearest = max(trials, key=lambda t: t.margin)
    highest = max(trials, key=lambda t: max(t.scores, default=0.0))
    return [
        Figure(f"{name}: frames passed, of {frames}", passed, "0", "frames", passed == 0),
        Figure(
            f"{name}: scenes of which one passed, of {len(scenes)}",
            len(hit),
            "0",
            "scenes",
            not hit,
        ),
        Figure(
            f"{name}: scenes that may pass, 95 % bound",
            round(100 * bound, 2),
            "reported",
            "%",
            True,
        ),
        Figure(
            f"{name}: smallest margin of a reading ({nearest.clip} against {nearest.view})",
            round(-nearest.margin, 4),
            "> 0",
            "share",
            nearest.margin < 0,
        ),
        Figure(
            f"{name}: highest frame score ({highest.clip} against {highest.view})",
            round(max(highest.scores, default=0.0), 4),
            "< 0.80",
            "share",
            max(highest.scores, default=0.0) < 0.8,
        ),
    ]


def _vision_alone(trials: Iterable[Trial]) -> Figure:
    """Whether anything but the picture blocked a forged frame."""
    reasons = {reason for trial in trials for reason in trial.reasons}
    others = sorted(r.value for r in reasons if r.family not in (Family.VISION, Family.WAITING))
    value = ", ".join(others) or "none"
    return Figure("forged: causes other than vision", value, "none", "codes", not others)


def _count(name: str, trials: Sequence[Trial]) -> Figure:
    passed = sum(t.passed for t in trials)
    holds = bool(trials) and passed == 0
    return Figure(f"{name}, of {sum(t.frames for t in trials)}", passed, "0", "frames", holds)


def _twins(trials: Sequence[Trial], refused: set[str]) -> list[Figure]:
    found = []
    for trial in trials:
        share = trial.due_passed / trial.due if trial.due else 0.0
        note = ", enrolment's checks set aside" if trial.view in refused else ""
        found.append(
            Figure(
                f"twin {trial.clip}: passed after the dwell{note}",
                round(100 * share, 2),
                ">= 95",
                "%",
                share >= 0.95,
            )
        )
    sound = [trial for trial in trials if trial.view not in refused]
    for name, some in (("every view", trials), ("only views a site may enrol", sound)):
        due, passed = sum(t.due for t in some), sum(t.due_passed for t in some)
        value = round(100 * passed / due, 2) if due else "no trial"
        holds = bool(due) and passed >= 0.95 * due
        whole = sum(t.due_passed >= 0.95 * t.due for t in some if t.due)
        bound = round(100 * lower(whole, len(some)), 1)
        found += [
            Figure(f"twins together, {name}: passed after the dwell", value, ">= 95", "%", holds),
            Figure(
                f"twins together, {name}: scenes of {len(some)} that reach 95 % "
                f"(at least {bound} % of scenes)",
                whole,
                f"{len(some)}",
                "scenes",
                whole == len(some) > 0,
            ),
            _blocked(f"controlled recordings, {name}: blocked after the dwell", some),
        ]
    return found


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
    share = round(100 * blocked / due, 2) if due else "no trial"
    name = f"{name} ({codes})" if blocked else name
    return Figure(name, share, "<= 1", "%", bool(due) and blocked <= 0.01 * due)


def _availability(trials: Sequence[Trial], refused: set[str]) -> list[Figure]:
    """What an honest user gets at the default dwell, recording by recording and together."""
    rows = []
    for trial in trials:
        share = trial.availability.share
        value = "too short" if share is None else round(100 * share, 2)
        name = summary(trial.clip, trial.availability, DEFAULT_DWELL_S).partition("; ")[2]
        rows.append(
            Figure(
                f"available {trial.clip} on {trial.view}" + (f" ({name})" if name else ""),
                value,
                "reported",
                "%",
                True,
            )
        )
    sound = [trial for trial in trials if trial.view not in refused]
    for some, of in ((trials, "every controlled recording"), (sound, "views a site may enrol")):
        due_ns = sum(t.availability.due_ns for t in some)
        passed_ns = sum(t.availability.passed_ns for t in some)
        value = round(100 * passed_ns / due_ns, 2) if due_ns else "no trial"
        rows.append(
            Figure(
                f"available at the default dwell of {DEFAULT_DWELL_S:g} s, {of}, "
                f"of {due_ns / S:.0f} s",
                value,
                f">= {100 * MIN_AVAILABLE:g}",
                "%",
                bool(due_ns) and passed_ns >= MIN_AVAILABLE * due_ns,
            )
        )
        rows += _blamed(of, [trial.availability for trial in some])
    return rows


def _blamed(of: str, some: Sequence[Availability]) -> list[Figure]:
    """What was blocked for a cause that is true, and the rest, of all that was due."""
    due_ns = sum(one.due_ns for one in some)
    rightly_ns, falsely_ns = sum(a.rightly_ns for a in some), sum(a.falsely_ns for a in some)
    most = round(1 - MIN_AVAILABLE, 4)
    return [
        Figure(
            f"of it blocked for a true cause, {of}",
            round(100 * rightly_ns / due_ns, 2) if due_ns else "no trial",
            "reported",
            "%",
            True,
        ),
        Figure(
            f"of it falsely blocked, {of}",
            round(100 * falsely_ns / due_ns, 2) if due_ns else "no trial",
            f"<= {100 * most:g}",
            "%",
            bool(due_ns) and falsely_ns <= most * due_ns,
        ),
    ]


def day_figures(found: Sequence[Lived]) -> list[Figure]:
    """What each change of a day costs the views a site may enrol, and for which causes.

    It holds if nearly all passed, or if all that was blocked has a cause that names the change.
    """
    rows = []
    for name in dict.fromkeys(one.change.name for one in found):
        some = [one for one in found if one.change.name == name]
        clear = sorted(some[0].change.causes, key=lambda reason: reason.rank)
        due_ns = sum(one.availability.due_ns for one in some)
        passed_ns = sum(one.availability.passed_ns for one in some)
        causes = by_cause(one.availability for one in some)
        named = ", ".join(f"{row.cause.value} {row.blocked_ns / S:.1f} s" for row in causes)
        whole = bool(due_ns) and passed_ns >= MIN_KNOWN * due_ns
        rows.append(
            Figure(
                f"a day, {name}, {len(some)} views" + (f" (lost to {named})" if named else ""),
                round(100 * passed_ns / due_ns, 2) if due_ns else "no trial",
                " or ".join([f">= {100 * MIN_KNOWN:g}", *(cause.value for cause in clear)]),
                "%",
                whole or (bool(clear) and {row.cause for row in causes} <= set(clear)),
            )
        )
    return rows


def _takes(trials: Sequence[Trial]) -> list[Figure]:
    due, passed = sum(t.due for t in trials), sum(t.due_passed for t in trials)
    if not due:
        return []
    value = round(100 * passed / due, 2)
    rows = [
        Figure(
            f"other takes of one place, {len(trials)} takes: passed after the dwell",
            value,
            "reported",
            "%",
            True,
        )
    ]
    for trial in trials:
        own = round(100 * trial.due_passed / trial.due, 2) if trial.due else "too short"
        cause = max(trial.due_reasons, key=lambda r: trial.due_reasons[r], default=None)
        why = f" (most often {cause.value})" if cause and own != 100.0 else ""
        rows.append(Figure(f"take {trial.clip} on {trial.view}{why}", own, "reported", "%", True))
    return rows


def _verified(found: Findings, refused: set[str]) -> list[Figure]:
    rows = []
    sums: dict[str, tuple[int, int]] = {}
    for (name, view), (held, frames) in found.verified.items():
        for row in (name, *((f"{name}, only views a site may enrol",) * (view not in refused))):
            before = sums.get(row, (0, 0))
            sums[row] = (before[0] + held, before[1] + frames)
    for name, (held, frames) in sorted(sums.items(), key=lambda item: "only" in item[0]):
        share = held / frames if frames else 0.0
        bound = round(100 * lower(held, frames), 2)
        rows.append(
            Figure(
                f"own view verified, {name} (at least {bound} %)",
                round(100 * share, 2),
                ">= 99",
                "%",
                share >= 0.99,
            )
        )
    return rows


def splice_figures(splices: Sequence[Splice]) -> list[Figure]:
    """What was received of every splice; forbidden frames in each mode of release."""
    if not splices:
        return [Figure("splices: forbidden frames received", "no splice", "0", "frames", False)]
    rows = []
    for release in Release:
        some = [s for s in splices if s.release is release]
        lively = sum(s.lively for s in some)
        hit = sum(s.forbidden > 0 for s in some)
        bracketed = release is Release.BRACKETED
        bound = round(100 * upper(hit, len(some)), 2)
        rows.append(
            Figure(
                f"splices, {release.value}: forbidden frames received, of {len(some)} splices "
                f"({lively} while frames flowed; at most {bound} % of splices)",
                sum(s.forbidden for s in some),
                "0" if bracketed else "reported",
                "frames",
                hit == 0 if bracketed else True,
            )
        )
        for kind in Kind:
            each = [s for s in some if s.kind is kind]
            if not each:
                continue
            shares = sorted(s.share for s in each)
            fade = kind is Kind.CROSS_FADE
            target = "<= 0.5" if bracketed and fade else "reported"
            rows += [
                Figure(
                    f"splices, {release.value}, {kind.value}: forbidden frames received, "
                    f"of {len(each)} splices",
                    sum(s.forbidden for s in each),
                    "0" if bracketed else "reported",
                    "frames",
                    not bracketed or not any(s.forbidden for s in each),
                ),
                Figure(
                    f"splices, {release.value}, {kind.value}: largest foreign share received "
                    f"(median {shares[len(shares) // 2]:.2f})",
                    round(shares[-1], 3),
                    target,
                    "share",
                    target == "reported" or shares[-1] <= FORBIDDEN,
                ),
            ]
    return rows


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
    if not outside:
        return []
    gaps = (n * abs(predicted - true) for predicted, true, n in reliability(outside))
    error = sum(gaps) / len(outside)
    name = f"scene model, outdoors or in a vehicle: calibration error over {len(outside)} frames"
    return [Figure(name, round(error, 3), "reported", "share", True)]


def _cost(found: Findings) -> list[Figure]:
    rows = [
        Figure(f"slow loop, {part}", round(ms, 2), "reported", "ms per second of video", True)
        for part, ms in found.cost_ms.items()
    ]
    total = sum(found.cost_ms.values())
    holds = 0 < total <= SETTING_OF_SLOW_LOOP
    rows.append(
        Figure("slow loop together", round(total, 2), "<= 150", "ms per second of video", holds)
    )
    return rows
