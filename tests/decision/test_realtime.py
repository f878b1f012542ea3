"""An open session is real-time: what the judge tells the policy knows no delay and no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import MS, S
from edge.evidence.readings import Source
from edge.lease import Lane
from edge.policy.engine import Decision, Policy, Verdict
from edge.reasons import Reason
from tests.support.judging import BINDING, DEVICE, SESSION, SETUP, World, leases

STRICT = Policy.load("strict")
POLICE = Policy.load("police")
PATROL = replace(
    SETUP,
    device=replace(
        DEVICE, user="non_us_police", by_or_for="by", camera="body_worn", lanes=(Lane.IDENTIFY,)
    ),
    session=replace(SESSION, operation=Lane.IDENTIFY, gallery="suspects_or_inmates"),
    binding=replace(BINDING, lane=Lane.IDENTIFY),
)


class Listener:
    """A policy that keeps what it was asked; everything else of it is the shipped one."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.asked: list[Mapping[str, object]] = []

    def decide(self, facts: Mapping[str, object]) -> Decision:
        self.asked.append(facts)
        return self._policy.decide(facts)


@settings(max_examples=25, deadline=None)
@given(
    late_ms=st.lists(st.integers(0, 5_000), min_size=1, max_size=4),
    faults=st.sets(st.sampled_from([Reason.TIME_GAP, Reason.LINK_LOST, Reason.TIME_UNTRUSTED])),
    claimed=st.dictionaries(
        st.sampled_from(["source", "session_open", "consent"]),
        st.sampled_from(["sealed_recording", "still", "valid", False]),
    ),
    known=st.booleans(),
    pack=st.sampled_from([STRICT, POLICE]),
)
def test_no_delay_gap_or_claim_turns_a_patrol_into_a_recording(
    late_ms, faults, claimed, known, pack
):
    heard = Listener(pack)
    world = World(replace(PATROL, camera_known=known), heard)
    for late in late_ms:
        world.judge.ruling.people(claimed)
        world.silent = tuple(faults)
        world.now_ns += late * MS
        world.run(100 * MS)

    asked = {(facts["source"], facts["session_open"]) for facts in heard.asked}
    assert asked == {("live" if known else "replay_into_live", True)}
    assert leases(world.done) == []
    assert "MS-02" in world.judge.outlook.rules


@pytest.mark.parametrize("late_ms", [0, 1, 100, 2_000, 3_600_000, 30 * 86_400_000])
def test_the_answer_is_the_same_whenever_it_is_asked(late_ms):
    """Twin: at the kiosk frames flow at any hour, as soon as evidence is fresh again."""
    heard = Listener(STRICT)
    world = World(SETUP, heard)
    assert leases(world.run(3 * S))

    world.now_ns += late_ms * MS
    world.judge.ruling.rule_by(heard)  # decide afresh

    assert leases(world.run(4 * S))
    good = [facts for facts in heard.asked if facts["injected_fault"] == "none"]
    controlled = [facts for facts in good if facts["setting"] == "controlled"]
    assert controlled
    assert all(facts == controlled[0] for facts in controlled)


def test_frames_that_arrive_late_lose_their_evidence_and_their_lease():
    world = World()
    assert leases(world.run(3 * S))

    world.lost |= {Source.VIEW, Source.PEOPLE, Source.LIVENESS, Source.SIGN_MAP}
    world.run(2 * S)

    assert not world.judge.outlook.permitted
    assert leases(world.run(1 * S)) == []


@pytest.mark.parametrize("policy", [STRICT, POLICE], ids=["strict", "police"])
@settings(max_examples=60, deadline=None)
@given(
    source=st.sampled_from(["live", "live_delayed", "ring_buffer", "replay_into_live", "still"]),
    seconds=st.floats(allow_nan=False) | st.integers(),
)
def test_the_policy_never_looks_at_seconds(policy, source, seconds):
    street = {
        "user": "non_us_police",
        "by_or_for": "by",
        "jurisdiction": "EU",
        "camera": "body_worn",
        "mount": "worn_moving",
        "setting": "uncontrolled",
        "publicly_accessible": True,
        "operation": "identify_1_n",
        "gallery": "suspects_or_inmates",
        "source": source,
        "session_open": True,
        "active_involvement": False,
        "consent": "none",
        "authorisation": "none",
        "inference_backend": "on_device",
        "result_sink": "local",
        "injected_fault": "none",
    }

    decision = policy.decide({**street, "capture_to_match_s": seconds})

    assert decision == policy.decide(street)
    assert decision.verdict is Verdict.BLOCK
    assert "MS-02" in decision.rules
