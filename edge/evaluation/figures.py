"""From findings to figures: counts, shares with their bounds, and whether a target holds."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2

from edge.evaluation.bounds import lower, upper
from edge.evaluation.run import Findings
from edge.evaluation.trials import Trial
from edge.reasons import Family

SETTING_OF_SLOW_LOOP = 150.0  # ms a second of video: 15 % of one core


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


def figures(found: Findings) -> list[Figure]:
    """Every figure of the evaluation; a figure without trials does not hold."""
    refused = {v.clip.name for v in found.views if v.refusal}
    sound = [t for t in found.foreign if t.view not in refused]
    return [
        *_forged("forged, every view", found.foreign),
        *_forged("forged, only views a site may enrol", sound),
        *_forged("another room, forged", found.strangers),
        _vision_alone(found.foreign),
        _count("honest records: frames passed", found.honest),
        *_twins(found.twins, refused),
        *_takes(found.takes),
        *_verified(found),
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
    due, passed = sum(t.due for t in trials), sum(t.due_passed for t in trials)
    value = round(100 * passed / due, 2) if due else "no trial"
    holds = bool(due) and passed >= 0.95 * due
    found.append(Figure("twins together: passed after the dwell", value, ">= 95", "%", holds))
    return found


def _takes(trials: Sequence[Trial]) -> list[Figure]:
    due, passed = sum(t.due for t in trials), sum(t.due_passed for t in trials)
    if not due:
        return []
    value = round(100 * passed / due, 2)
    return [
        Figure("other takes of one place: passed after the dwell", value, "reported", "%", True)
    ]


def _verified(found: Findings) -> list[Figure]:
    rows = []
    for name, (held, frames) in found.verified.items():
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
