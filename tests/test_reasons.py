"""The table of reasons: nothing in it that the guard never says, nothing without help."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import edge
import firmware_bridge
from edge.reasons import Family, Reason, with_gates, worst_first

PRODUCT = "".join(
    path.read_text()
    for package in (edge, firmware_bridge)
    for path in sorted(Path(str(package.__file__)).parent.rglob("*.py"))
    if path.name != "reasons.py"
)
USED = set(re.findall(r"\b(?:Reason|Kind)\.(\w+)\b", PRODUCT))


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_every_reason_is_said_somewhere(reason: Reason) -> None:
    """`Kind` is what the log's entries are called, `unclean_stop` among them."""
    assert reason.name in USED


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.value)
def test_every_reason_says_what_happened_what_stays_off_and_what_to_do(reason: Reason) -> None:
    assert all((reason.happened, reason.stays_off, reason.next_step))


def test_no_help_text_is_of_a_reason_that_there_is_not() -> None:
    texts = json.loads(Path(edge.reasons.__file__).with_suffix(".json").read_bytes())

    assert list(texts) == [reason.value for reason in Reason]
    assert all(set(rows) <= {"happened", "next_step", "stays_off"} for rows in texts.values())


def test_every_family_has_a_reason_and_no_cause_is_named_after_one_that_waits() -> None:
    families = [reason.family for reason in Reason]

    assert list(dict.fromkeys(families)) == list(Family)  # each in one piece, worst first
    assert worst_first([Reason.DWELL, Reason.MOTION, Reason.STATE_ROLLBACK, Reason.MOTION]) == (
        Reason.STATE_ROLLBACK,
        Reason.MOTION,
    )


@pytest.mark.parametrize(
    "decider,named",
    [
        ([Reason.VIEW_PARTIAL], [Reason.VIEW_PARTIAL]),  # somebody near, who hides the view
        ([Reason.VIEW_COVERED, Reason.DWELL], [Reason.VIEW_COVERED]),
        ([Reason.VIEW_FOREIGN, Reason.VIEW_PARTIAL], [Reason.VIEW_FOREIGN, Reason.VIEW_PARTIAL]),
        ([Reason.MOTION], [Reason.MOTION, Reason.VIEW_FOREIGN]),
        ([Reason.VIEW_UNSEEN], [Reason.VIEW_FOREIGN, Reason.VIEW_UNSEEN]),
        ([Reason.DWELL, Reason.NO_LEASE], [Reason.VIEW_FOREIGN]),
        ([], [Reason.VIEW_FOREIGN]),
    ],
)
def test_the_gates_foreign_gives_way_to_a_known_cause_of_the_view_alone(decider, named) -> None:
    assert list(with_gates(decider, Reason.VIEW_FOREIGN)) == sorted(named, key=lambda r: r.rank)
    assert Reason.FRAME_STALE not in with_gates([Reason.MOTION], Reason.FRAME_STALE)
    assert Reason.CAM_FROZEN in with_gates([Reason.VIEW_PARTIAL], Reason.CAM_FROZEN)
