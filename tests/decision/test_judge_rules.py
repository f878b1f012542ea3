"""What records and policy say, the judge obeys, also when a new day brings new rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timezone

import pytest

from edge.audit.schema import Deny, Permit, Release
from edge.clock import MS, S
from edge.decision.judge import Write
from edge.decision.session_facts import Setup
from edge.evidence.readings import Source
from edge.lease import Lane
from edge.policy.engine import Policy
from edge.policy.signed.term import of_the_day
from edge.reasons import Reason
from edge.version import BUILT
from tests.support.judging import (
    BINDING,
    DEVICE,
    SESSION,
    SETUP,
    STAMP,
    STEP_NS,
    World,
    kinds,
    leases,
)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"camera": "body_worn"}, Reason.MOBILE_CLASS),
        ({"mount": "unknown"}, Reason.MOUNT_UNSURVEYED),
        ({"site": ""}, Reason.NO_SITE),
        ({"lanes": (Lane.DETECT,)}, Reason.LANE_NOT_COMMISSIONED),
    ],
)
def test_a_record_that_does_not_commission_this_never_permits(
    change: dict[str, object], reason: Reason
) -> None:
    world = World(replace(SETUP, device=replace(DEVICE, **change)))  # type: ignore[arg-type]

    actions = world.run(3 * S)

    assert leases(actions) == []
    assert reason in world.judge.outlook.reasons


def test_an_unknown_camera_is_live_replay_and_blocked() -> None:
    world = World(replace(SETUP, camera_known=False))

    assert leases(world.run(3 * S)) == []
    assert Reason.CAM_IDENTITY in world.judge.outlook.reasons
    assert "GD-05" in world.judge.outlook.rules


def test_the_policy_denies_in_a_controlled_context() -> None:
    police = replace(DEVICE, user="us_state_local_police", by_or_for="by", lanes=(Lane.IDENTIFY,))
    binding = replace(BINDING, lane=Lane.IDENTIFY)
    session = replace(SESSION, operation=Lane.IDENTIFY, gallery="suspects_or_inmates")
    world = World(Setup(police, session, binding, Release.BRACKETED, True, True, lag_ns=0))

    actions = world.run(3 * S)

    assert leases(actions) == []
    assert world.judge.outlook.setting.value == "controlled"
    assert "MS-01" in world.judge.outlook.rules
    denied = [a.entry(STAMP) for a in actions if isinstance(a, Write)]
    assert any(isinstance(entry, Deny) and "MS-01" in entry.rules for entry in denied)


def test_a_lane_without_faces_needs_neither_view_nor_board() -> None:
    device = replace(DEVICE, lanes=(Lane.DETECT,), camera="body_worn", mount="worn_moving")
    session = replace(SESSION, operation=Lane.DETECT, gallery="none")
    binding = replace(BINDING, lane=Lane.DETECT)
    world = World(Setup(device, session, binding, Release.BRACKETED, False, True, lag_ns=0))
    world.lost = {Source.DOCK, Source.VIEW, Source.SIGN_MAP, Source.PEOPLE}

    actions = world.run(2 * S)

    assert leases(actions)
    assert "ask" not in kinds(actions)
    permits = [a.entry(STAMP) for a in actions if isinstance(a, Write)]
    assert any(isinstance(entry, Permit) for entry in permits)
    assert world.judge.outlook.setting.value == "uncontrolled"


@pytest.mark.parametrize(
    ("last_day", "changes", "rule"),
    [
        (date(2025, 3, 31), {"user": "non_us_police", "jurisdiction": "FR"}, "FR-01"),
        (date(2022, 12, 31), {"user": "private_business", "jurisdiction": "EU"}, None),
    ],
    ids=["a rule lapses", "no rule of this case changes"],
)
def test_a_rule_that_lapses_at_midnight_opens_without_a_restart(
    last_day: date, changes: dict[str, str], rule: str | None
) -> None:
    before = Policy.load("strict", last_day)
    world = World(replace(SETUP, device=replace(DEVICE, **changes)), before)
    assert bool(leases(world.run(3 * S))) is (rule is None)
    assert world.judge.outlook.rules == ((rule,) if rule else ("FA-03",))

    world.judge.ruling.rule_by(
        of_the_day(before, seconds(last_day) + DAY_S, proven=True, floor=BUILT)
    )

    assert leases(world.run(3 * S))
    assert world.judge.outlook.rules == ("FA-03",)


def test_a_rule_that_begins_at_midnight_revokes_at_the_next_step() -> None:
    before = Policy.load("strict", date(2026, 4, 30))
    session = replace(SESSION, result_sink="azure_openai")
    world = World(replace(SETUP, session=session), before)
    assert leases(world.run(3 * S))

    world.judge.ruling.rule_by(
        of_the_day(before, seconds(date(2026, 4, 30)) + DAY_S, proven=True, floor=BUILT)
    )
    actions = world.run(STEP_NS)

    assert kinds(actions)[0] == "Revocation"
    assert world.judge.outlook.rules == ("MS-09",)


def test_nothing_identifying_flows_until_the_time_is_proven() -> None:
    world = World()
    world.silent = (Reason.TIME_UNTRUSTED,)
    assert leases(world.run(3 * S)) == []
    assert world.judge.outlook.reasons == (Reason.TIME_UNTRUSTED,)

    world.silent = ()

    assert leases(world.run(3 * S))


def test_evidence_older_than_the_policy_allows_closes() -> None:
    world = World(replace(SETUP, max_age_ns=100 * MS))
    assert leases(world.run(3 * S))

    world.lost.add(Source.VIEW)
    actions = world.run(100 * MS + STEP_NS)

    assert "Revocation" in kinds(actions)


def test_a_lease_asks_for_the_score_that_the_policy_asks_for() -> None:
    world = World(replace(SETUP, min_view_score=0.9))

    assert {lease.min_view_score for lease in leases(world.run(3 * S))} == {0.9}


DAY_S = 86_400


def seconds(day: date) -> int:
    """Midnight at the beginning of `day`, UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=timezone.utc).timestamp())
