"""Real-time is a state: no delay, clock or restart makes live material a recording."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import S
from edge.lease import Lane
from edge.policy.engine import Outcome, Policy, Verdict
from edge.policy.realtime import SEALED_FOR_S, Offer, Path, Seal, judge, wrong_lane
from edge.reasons import Reason

DAY_NS = 86_400 * S
STRICT = Policy.load("strict")
POLICE = Policy.load("police")
PATROL = {
    "user": "non_us_police",
    "by_or_for": "by",
    "jurisdiction": "EU",
    "camera": "body_worn",
    "mount": "worn_moving",
    "setting": "uncontrolled",
    "publicly_accessible": True,
    "operation": "identify_1_n",
    "gallery": "suspects_or_inmates",
    "active_involvement": False,
    "consent": "none",
    "authorisation": "none",
    "inference_backend": "on_device",
    "result_sink": "local",
}
TILL = {
    **PATROL,
    "user": "private_business",
    "by_or_for": "neither",
    "camera": "fixed",
    "mount": "fixed_surveyed",
    "setting": "controlled",
    "operation": "verify_1_1",
    "gallery": "self_only",
    "active_involvement": True,
    "consent": "valid",
}
SEAL = Seal(True, True, True, True, "case 12", SEALED_FOR_S)

offers = st.builds(
    Offer,
    path=st.sampled_from(Path),
    session_open=st.just(True),
    captured_ns=st.integers(0, 10 * DAY_NS),
    now_ns=st.integers(0, 11 * DAY_NS),
    boot_changed=st.booleans(),
    wall_went_back=st.booleans(),
    seal=st.none()
    | st.builds(
        Seal,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.text(max_size=3),
        st.integers(0, 10 * SEALED_FOR_S),
    ),
)


@settings(max_examples=200, deadline=None)
@given(offer=offers)
def test_an_open_session_is_live_whatever_is_said_of_it(offer):
    liveness = judge(offer)

    assert liveness.session_open
    for policy in (STRICT, POLICE):
        decision = policy.decide({**PATROL, **liveness.facts()})
        assert decision.verdict is Verdict.BLOCK
        assert "MS-02" in decision.rules


@settings(max_examples=200, deadline=None)
@given(
    delay_ns=st.integers(0, DAY_NS - 1),
    jitter_ns=st.integers(-3 * S, 3 * S),
    captured_ns=st.integers(3 * S, 30 * DAY_NS),
    boot_changed=st.booleans(),
    path=st.sampled_from(Path),
    back=st.booleans(),
    facts=st.sampled_from([PATROL, TILL]),
)
def test_no_delay_jitter_or_restart_changes_the_answer(
    delay_ns, jitter_ns, captured_ns, boot_changed, path, back, facts
):
    at_once = Offer(path, True, captured_ns, captured_ns, False, back)
    later = dataclasses.replace(
        at_once, now_ns=captured_ns + delay_ns + jitter_ns, boot_changed=boot_changed
    )

    first, second = (STRICT.decide({**facts, **judge(o).facts()}) for o in (at_once, later))

    assert first == second


@pytest.mark.parametrize("path", [Path.DELAYED, Path.BUFFER, Path.FILE])
@pytest.mark.parametrize("back", [False, True])
def test_a_detour_never_turns_a_block_into_a_permit(path, back):
    straight = STRICT.decide({**TILL, **judge(Offer(Path.CAMERA, True)).facts()})
    detour = STRICT.decide({**TILL, **judge(Offer(path, True, wall_went_back=back)).facts()})

    assert straight.outcome is Outcome.PERMITTED
    assert detour.verdict is Verdict.BLOCK


def test_a_clock_set_back_is_named():
    decision = STRICT.decide(
        {**TILL, **judge(Offer(Path.CAMERA, True, wall_went_back=True)).facts()}
    )

    assert decision.rules == ("GD-04",)


def test_a_sealed_recording_is_the_way_out_of_real_time():
    liveness = judge(Offer(Path.FILE, False, seal=SEAL))
    named = {
        **PATROL,
        "camera": "file",
        "mount": "docked_attested",
        "setting": "controlled",
        "authorisation": "post_rbi_valid",
        **liveness.facts(),
    }

    assert liveness.facts() == {
        "source": "sealed_recording",
        "session_open": False,
        "injected_fault": "none",
    }
    assert STRICT.decide(named).rules == ("EU-05", "GD-05")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"session_over": False}, "session is not over"),
        ({"chain_signed": False}, "chain is not signed"),
        ({"docked": False}, "not docked"),
        ({"clock_attested": False}, "clock is not attested"),
        ({"case_number": " "}, "no case number"),
        ({"sealed_for_s": SEALED_FOR_S - 1}, "sealed less than"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_each_part_of_the_seal_is_needed(change, says):
    seal = dataclasses.replace(SEAL, **change)

    assert len(seal.missing()) == 1
    assert says in seal.missing()[0]
    liveness = judge(Offer(Path.FILE, False, seal=seal))
    assert (liveness.source, liveness.session_open) == ("replay_into_live", True)
    assert "GD-05" in POLICE.decide({**TILL, **liveness.facts()}).rules


def test_a_whole_seal_misses_nothing():
    assert SEAL.missing() == ()


@pytest.mark.parametrize("path", Path)
def test_frames_without_a_seal_are_live_even_if_the_session_is_said_to_be_over(path):
    assert judge(Offer(path, False)).session_open


@pytest.mark.parametrize("lane", Lane, ids=lambda lane: lane.value)
def test_recordings_leave_by_export_and_live_frames_by_any_other_lane(lane):
    sealed, live = judge(Offer(Path.FILE, False, seal=SEAL)), judge(Offer(Path.CAMERA, True))

    assert (wrong_lane(sealed, lane) is None) is (lane is Lane.EXPORT)
    assert (wrong_lane(live, lane) is None) is (lane is not Lane.EXPORT)
    assert {wrong_lane(sealed, lane), wrong_lane(live, lane)} == {None, Reason.DELAY_SIDESTEP}
