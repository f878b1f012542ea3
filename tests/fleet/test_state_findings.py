"""Every disagreement of device, broker and witness is found, and an honest device has none."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from bench.fleet.seeded import seeded
from edge.fleet.state.findings import Finding, Heard, Witnessed, findings
from edge.fleet.state.fleet import NEVER_WITNESSED, Fleet, devices_of
from edge.fleet.state.message import Link, State, link_topic, state_topic, written, written_link
from tests.fleet.devices import NOW_S, SILENT_S, heard, reported, signer, witnessed
from tests.fleet.histories import forked, honest

KEY = signer(1)
LOG = honest(KEY, 60)
OTHER = forked(KEY, 60, 10)


def codes(heard: Heard | None, witnessed: Witnessed | None) -> list[Finding]:
    return [one.finding for one in findings(heard, witnessed, NOW_S, SILENT_S)]


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        (reported(LOG, 40, 40), witnessed(LOG, 40)),
        (reported(LOG, 50, 40), witnessed(LOG, 40)),  # it grew since its last visit
        (reported(LOG, 40, 20), witnessed(LOG, 50, ago_s=0)),  # it says so every 30 s, not at once
        (reported(LOG, 40), witnessed(LOG, 40)),
        (reported(LOG, 40, 32), None),  # no witness is read
    ],
)
def test_an_honest_device_has_no_finding(state: Any, seen: Witnessed | None) -> None:
    assert codes(heard(state), seen) == []


@pytest.mark.parametrize(
    ("state", "seen", "expected"),
    [
        (reported(OTHER, 40), witnessed(LOG, 40), Finding.LOG_FORKED),
        (reported(OTHER, 50, 40), witnessed(LOG, 40), Finding.LOG_FORKED),
        (reported(OTHER, 40, 40, of=LOG), witnessed(LOG, 40), Finding.LOG_FORKED),
        (reported(LOG, 40, 40), witnessed(LOG, 40, evidence=True), Finding.LOG_FORKED),
        (replace(reported(LOG, 40), forked=True), witnessed(LOG, 40), Finding.LOG_FORKED),
        (reported(LOG, 20, 40), witnessed(LOG, 40), Finding.ROLLED_BACK),
        (reported(LOG, 20), witnessed(LOG, 40, ago_s=400), Finding.ROLLED_BACK),
        (reported(OTHER, 50, 40, of=LOG), witnessed(LOG, 40), Finding.LOG_FORKED),
        (reported(OTHER, 50, 32, of=LOG), witnessed(LOG, 32), Finding.UNPROVEN),
        (replace(reported(LOG, 50, 40), path=(bytes(32),) * 3), None, Finding.UNPROVEN),
        (replace(reported(LOG, 40, 40), path=(bytes(32),)), None, Finding.UNPROVEN),
        (reported(LOG, 40, 40), witnessed(LOG, 40, unproven=True), Finding.UNPROVEN),
        (replace(reported(LOG, 50, 40), path=()), witnessed(LOG, 40), Finding.UNPROVEN),
        (reported(LOG, 40), NEVER_WITNESSED, Finding.NOT_WITNESSED),
        (reported(LOG, 40), witnessed(LOG, 40, ago_s=SILENT_S + 1), Finding.NOT_WITNESSED),
        (replace(reported(LOG, 40), time_s=NOW_S - 91), None, Finding.SILENT),
        (replace(reported(LOG, 40), time_s=NOW_S + 301), None, Finding.CLOCK_AHEAD),
        (replace(reported(LOG, 40), state=State.ABSENT), None, Finding.GUARD_ABSENT),
        (None, None, Finding.NO_STATE),
    ],
)
def test_each_disagreement_has_its_finding(
    state: Any, seen: Witnessed | None, expected: Finding
) -> None:
    assert codes(heard(state), seen) == [expected]


def test_a_state_is_silent_after_three_periods_and_not_before() -> None:
    assert codes(heard(reported(LOG, 40), time_s=NOW_S - 90), None) == []
    assert codes(heard(reported(LOG, 40), time_s=NOW_S - 91), None) == [Finding.SILENT]
    assert codes(heard(reported(LOG, 40), time_s=NOW_S - 91, period_s=60), None) == []


def test_of_seeded_devices_every_forked_one_is_found_and_no_honest_one_is() -> None:
    random_ = random.Random(20)
    for number in range(100):
        bad = number % 2 == 1
        case = seeded(signer(number), random_, bad=bad, now_s=NOW_S)
        found = findings(Heard(state=case.state), case.witnessed, NOW_S, SILENT_S)

        assert bool(found) is bad, (case.kind, found)


def test_a_fleet_keeps_what_its_policy_lists_and_nothing_else() -> None:
    fleet = Fleet(devices_of([KEY.verifier]))
    for number in range(1000):  # a flood
        fleet.take(state_topic(f"stranger-{number}"), b"x" * 1000)
    fleet.take("framegate/framegate-0001/notice", b"{}")
    fleet.take("$SYS/broker", b"{}")
    fleet.take(state_topic("framegate-0001"), written(reported(LOG, 40, 20)))
    fleet.take(link_topic("framegate-0001"), written_link(Link.UP))

    (row,) = fleet.rows(None, NOW_S, SILENT_S)
    assert (row.shown, row.found) == ("blocked", ())
    assert fleet.strangers == 1002
    assert [*fleet._heard] == [*fleet._changes] == ["framegate-0001"]


def test_a_bad_message_is_a_finding_beside_the_last_good_state_and_a_good_one_ends_it() -> None:
    fleet = Fleet(devices_of([KEY.verifier]))
    topic = state_topic("framegate-0001")
    for wrong, code in (
        (b"{}", "MALFORMED"),
        (written(reported(honest(signer(1), 9), 9)), "UNPROVEN"),
    ):
        fleet.take(topic, written(reported(LOG, 40)))
        fleet.take(topic, wrong)
        (row,) = fleet.rows(None, NOW_S, SILENT_S)
        assert row.shown == code
        assert row.heard is not None and row.heard.state == reported(LOG, 40)

    fleet.take(topic, written(reported(LOG, 41)))
    (row,) = fleet.rows(None, NOW_S + 5, SILENT_S)
    assert (row.shown, row.data()["size"]) == ("blocked", 41)
    fleet.take(link_topic("framegate-0001"), written_link(Link.LOST))
    (row,) = fleet.rows(None, NOW_S + 6, SILENT_S)
    assert row.shown == "LOST"
    assert [word for _, word in fleet.changes("framegate-0001")][-3:] == [
        "UNPROVEN",
        "blocked",
        "LOST",
    ]
