"""The evaluation's page: what was asked and found, pictures, one table a question, details."""

from __future__ import annotations

from collections.abc import Sequence

from edge.evaluation.figures import environment
from edge.evaluation.report.details import details, scores, timeline
from edge.evaluation.report.figure import Figure, counted
from edge.evaluation.report.html import name_of, shell, tables
from edge.evaluation.report.words import Head, verdict
from edge.evaluation.run import Findings
from edge.evaluation.trials import Trial, View
from edge.report.html import escape, facts, image, section


def head_of(found: Findings, rows: Sequence[Figure], *, own_only: bool = False) -> Head:
    """What was asked, on which recordings, and what was found."""
    fixed = {v.clip.name for v in found.views} | {t.clip for t in found.takes}
    others = {t.clip for t in found.honest}
    places = sum(v.fingerprint is not None for v in found.views)
    sound = sum(not v.refusal for v in found.views)
    asked = (
        "Asked: how much of the time is an honest user served in each enrolled place?"
        if own_only
        else "Asked: does the picture of the enrolled place pass, and is every other picture "
        "blocked, even if dock, sensors and session are forged?"
    )
    tried = (
        f"Tried on {counted(len(fixed | others), 'recording')}: {len(fixed)} of fixed places, "
        f"{len(others)} uncontrolled. {counted(places, 'place')} enrolled, "
        f"{sound} of which a site may enrol, too."
    )
    return Head(asked, tried, f"Found: {verdict(rows, found.skipped)}")


def render(found: Findings, rows: Sequence[Figure], head: Head) -> str:
    """The whole page."""
    drawn = scores(found)
    pictures = (
        f'<p>Green is where frames passed. {_CAPTION}</p><div class="stills">{_stills(found)}</div>'
    )
    drawn = section("Scores of single frames", f"<p>{_SCORES}</p>{drawn}") if drawn else ""
    machine = section("Measured on", facts(environment().items()))
    body = section("The recordings", pictures) + drawn + tables(rows) + details(found) + machine
    return shell(head, body)


_CAPTION = "The stills are small, and the faces that were found in them are masked."
_SCORES = (
    "How much of an enrolled place a frame agrees with: from nothing on the left to all on the "
    "right. Above the line the frames of the place itself, below it those of other places. The "
    "dashed line is the limit. Here the whole place counts; the guard scores what it sees of it, "
    "so a frame of the place itself may lie left of the line and still pass."
)


def _stills(found: Findings) -> str:
    views = {view.clip.name: view for view in found.views}
    twins = {trial.clip: trial for trial in found.twins}
    takes = {trial.clip: trial for trial in found.takes}
    shown = ""
    for name, jpeg in found.stills.items():
        trials = [t for t in (*found.foreign, *found.strangers) if t.clip == name]
        own = twins.get(name) or takes.get(name)
        lines = [_role(name, views, takes), *_own(own), *_forged(trials)]
        shown += (
            f"<figure>{image(jpeg, 'jpeg', f'Still of {name}')}<figcaption><b>{name_of(name)}</b>"
            + "".join(f"<div>{line}</div>" for line in lines)
            + "</figcaption></figure>"
        )
    return shown


def _role(name: str, views: dict[str, View], takes: dict[str, Trial]) -> str:
    if name in takes:
        return f"later recording of {escape(takes[name].view)}"
    if name not in views:
        return "uncontrolled"
    view = views[name]
    if view.fingerprint is None:
        return f"fixed place, cannot be enrolled: {escape(view.refusal)}"
    if view.refusal:
        return f"fixed place, enrolled here although enrolment refuses it: {escape(view.refusal)}"
    return "enrolled place"


def _own(trial: Trial | None) -> list[str]:
    if trial is None:
        return []
    share = f"{trial.due_passed / trial.due:.0%}" if trial.due else "too short to say what"
    return [f"{share} passed after the dwell", timeline(trial.decisions)]


def _forged(trials: Sequence[Trial]) -> list[str]:
    """Of the trials against other places, the one of which most passed."""
    if not trials:
        return []
    passed, worst = sum(t.passed for t in trials), max(trials, key=lambda t: t.passed)
    tried = f"on {counted(len(trials), 'other place')}, all forged"
    line = f"{tried}: {f'{passed} frames passed' if passed else 'no frame passed'}"
    return [line, timeline(worst.decisions)]
