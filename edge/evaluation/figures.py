"""From findings to figures: counts, shares with their bounds, and whether a goal was reached."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

import cv2

from edge.audit.schema import Release
from edge.evaluation.bounds import upper
from edge.evaluation.own_figures import NO_VIEW, SITE, own_figures
from edge.evaluation.report.figure import (
    Figure,
    Question,
    asked,
    at_most,
    counted,
    none_at_all,
    not_tried,
    reported,
)
from edge.evaluation.run import Findings
from edge.evaluation.splices import Splice
from edge.evaluation.transitions import FORBIDDEN, Kind
from edge.evaluation.trials import Trial
from edge.reasons import Family

SETTING_OF_SLOW_LOOP = 150.0  # ms a second of video: 15 % of one core


def figures(found: Findings, splices: int, *, own_only: bool = False) -> list[Figure]:
    """Every figure of the evaluation; one without trials is not tried, and says why."""
    refused = {v.clip.name for v in found.views if v.refusal}
    own = own_figures(found, refused)
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
        *_forged("uncontrolled recordings", SITE, sound),
        *_forged("other rooms", "every place", found.strangers),
        _vision_alone(found.foreign),
        _honest(found.honest),
        *(splice_figures(found.splices) if splices else _no_splices("--splices 0")),
        *own,
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
            f"{counted(len(some), 'splice')}, {lively} while frames flowed; "
            f"at 95 % confidence at most {bound} % of splices"
        )
        rows.append(_received(name, some, note))
        for kind in Kind:
            each = [s for s in some if s.kind is kind]
            if each:
                of = f"{release.value} release, {kind.value}"
                first = f"forbidden frames that a matcher received, {of}"
                rows += [_received(first, each, counted(len(each), "splice")), _share(of, each)]
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
    of_all, note = Question.SPLICES, f"median {shares[len(shares) // 2]:.2f}"
    if some[0].release is Release.BRACKETED and some[0].kind is Kind.CROSS_FADE:
        return at_most(of_all, name, shares[-1], FORBIDDEN, "share", digits=3, note=note)
    return reported(of_all, name, round(shares[-1], 3), "share", note)


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
    name, most = "the slow loop, all parts together", SETTING_OF_SLOW_LOOP
    if not total:
        return [not_tried(Question.COST, name, f"<= {most:g}", unit, NO_VIEW)]
    rows = [
        reported(Question.COST, f"the slow loop, {part}", round(ms, 2), unit)
        for part, ms in found.cost_ms.items()
    ]
    return [*rows, at_most(Question.COST, name, total, most, unit)]
