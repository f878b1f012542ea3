"""The capture context closes at once, opens slowly, and is never better than its worst reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS, S
from edge.evidence.context import GLITCHES, INTEGRITY_ONLY, REQUIRED, VETO_NS, Context
from edge.evidence.readings import Reading, Source
from edge.reasons import Reason

DWELL_NS = 3 * S
STEP_NS = 100 * MS
STATIC = (Source.COMMISSIONING, Source.CAMERA, Source.SESSION)
BAD = {Source.VIEW: Reason.VIEW_FOREIGN, Source.SIGN_MAP: Reason.VIEW_FOREIGN}


def feed(context: Context, from_ns: int, to_ns: int, leave_out: Source | None = None) -> None:
    """Good readings of every source, every 100 ms, both ends included."""
    for t in range(from_ns, to_ns + 1, STEP_NS):
        for source in REQUIRED:
            if source is not leave_out and (t == 0 or source not in STATIC):
                context.observe(Reading(source, t))


def ready(context: Context, now_ns: int) -> bool:
    state = context.state(now_ns)
    return state.controlled and now_ns >= state.ready_ns


def test_a_new_context_is_uncontrolled_for_every_missing_source() -> None:
    state = Context(DWELL_NS).state(0)

    assert not state.controlled
    assert set(state.reasons) == {duty.silent for duty in REQUIRED.values()}


def test_good_readings_of_every_source_open_after_the_dwell_and_not_before() -> None:
    context = Context(DWELL_NS)

    feed(context, 0, DWELL_NS - STEP_NS)
    early = ready(context, DWELL_NS - STEP_NS)
    feed(context, DWELL_NS, DWELL_NS)

    assert not early
    assert ready(context, DWELL_NS)


@pytest.mark.parametrize("missing", list(REQUIRED))
def test_without_any_one_source_it_never_opens(missing: Source) -> None:
    context = Context(DWELL_NS)

    feed(context, 0, 2 * DWELL_NS, leave_out=missing)

    assert context.state(2 * DWELL_NS).reasons == (REQUIRED[missing].silent,)


@pytest.mark.parametrize("source", list(REQUIRED))
def test_one_bad_reading_closes_at_once_and_costs_the_dwell(source: Source) -> None:
    context = Context(DWELL_NS)
    feed(context, 0, DWELL_NS)
    bad_ns = DWELL_NS + 50 * MS

    context.observe(Reading(source, bad_ns, (Reason.TAMPER,)))
    after = context.state(bad_ns)
    good_ns = DWELL_NS + 500 * MS  # longer than a glitch
    for t in range(bad_ns + STEP_NS, good_ns, STEP_NS):
        context.observe(Reading(source, t, (Reason.TAMPER,)))
    feed(context, good_ns, good_ns + DWELL_NS)
    context.observe(Reading(source, good_ns + DWELL_NS))

    assert after.reasons == (Reason.TAMPER,)
    assert context.state(good_ns + DWELL_NS).ready_ns >= good_ns + DWELL_NS


@pytest.mark.parametrize("source", [s for s in REQUIRED if s not in STATIC])
def test_evidence_that_stops_goes_stale(source: Source) -> None:
    context = Context(DWELL_NS)
    feed(context, 0, DWELL_NS)
    end_ns = DWELL_NS + REQUIRED[source].valid_ns

    feed(context, DWELL_NS + STEP_NS, end_ns, leave_out=source)
    fresh = context.state(end_ns)
    feed(context, end_ns + STEP_NS, end_ns + STEP_NS, leave_out=source)
    stale = context.state(end_ns + STEP_NS)

    assert fresh.controlled
    assert not stale.controlled


@pytest.mark.parametrize("source", list(REQUIRED))
def test_evidence_from_the_future_is_none(source: Source) -> None:
    context = Context(DWELL_NS)
    feed(context, 0, DWELL_NS)
    context.observe(Reading(source, DWELL_NS + 1))

    assert context.state(DWELL_NS).reasons == (REQUIRED[source].silent,)
    assert context.state(DWELL_NS + 1).controlled


@pytest.mark.parametrize("source", [s for s in REQUIRED if s not in STATIC])
def test_a_gap_in_the_readings_restarts_the_dwell(source: Source) -> None:
    context = Context(DWELL_NS)
    feed(context, 0, DWELL_NS)
    later_ns = DWELL_NS + REQUIRED[source].valid_ns + STEP_NS

    context.observe(Reading(source, later_ns))

    assert context.state(later_ns).ready_ns >= later_ns + DWELL_NS or not (
        context.state(later_ns).controlled
    )


@pytest.mark.parametrize("veto", list(VETO_NS))
def test_a_veto_blocks_for_its_time_and_restarts_the_dwell(veto: Source) -> None:
    context = Context(DWELL_NS)
    feed(context, 0, DWELL_NS)
    before = ready(context, DWELL_NS)

    context.observe(Reading(veto, DWELL_NS, (Reason.SPEED,)))
    during = context.state(DWELL_NS)
    later_ns = DWELL_NS + VETO_NS[veto] + STEP_NS
    feed(context, DWELL_NS + STEP_NS, later_ns)

    assert before
    assert during.reasons == (Reason.SPEED,)
    assert context.state(later_ns).controlled
    assert context.state(later_ns).ready_ns > later_ns


def glitch(context: Context, at_ns: int, long_ns: int) -> None:
    """The view fails at `at_ns` for `long_ns`; everything else stays good."""
    for t in range(at_ns, at_ns + long_ns, 50 * MS):
        context.observe(Reading(Source.SIGN_MAP, t, (Reason.VIEW_FOREIGN,)))
    context.observe(Reading(Source.SIGN_MAP, at_ns + long_ns))


def test_a_short_failure_of_the_view_costs_half_a_second() -> None:
    context = Context(DWELL_NS)
    feed(context, 0, DWELL_NS)

    glitch(context, DWELL_NS + 50 * MS, 150 * MS)
    feed(context, DWELL_NS + 200 * MS, DWELL_NS + 600 * MS)
    early = ready(context, DWELL_NS + 600 * MS)
    feed(context, DWELL_NS + 700 * MS, DWELL_NS + 700 * MS)

    assert not early
    assert ready(context, DWELL_NS + 700 * MS)


def test_a_face_that_comes_and_goes_costs_half_a_second_and_one_that_stays_the_dwell() -> None:
    small, crowd = Reason.PEOPLE_SMALL, Reason.PEOPLE_CROWD
    for bad_ns, reason, least_ns, most_ns in (
        (400 * MS, small, 0, 500 * MS),
        (600 * MS, small, DWELL_NS, DWELL_NS),
        (400 * MS, crowd, DWELL_NS, DWELL_NS),
    ):
        context = Context(DWELL_NS)
        feed(context, 0, 2 * DWELL_NS)
        began_ns = 2 * DWELL_NS + STEP_NS
        for t in range(began_ns, began_ns + bad_ns, STEP_NS):
            feed(context, t, t, leave_out=Source.PEOPLE)
            context.observe(Reading(Source.PEOPLE, t, (reason,)))
            assert not context.state(t).controlled
        good_ns = began_ns + bad_ns
        feed(context, good_ns, good_ns)
        assert least_ns <= context.state(good_ns).ready_ns - good_ns <= most_ns


def test_a_longer_failure_of_the_view_costs_the_dwell() -> None:
    context = Context(DWELL_NS)
    feed(context, 0, DWELL_NS)

    glitch(context, DWELL_NS + 50 * MS, 250 * MS)

    assert context.state(DWELL_NS + 300 * MS).ready_ns >= DWELL_NS + 300 * MS + DWELL_NS


def test_a_short_failure_while_the_board_is_not_steady_costs_the_dwell() -> None:
    context = Context(DWELL_NS)
    feed(context, 0, DWELL_NS)

    context.observe(Reading(Source.SIGN_MAP, DWELL_NS + 10 * MS, (Reason.VIEW_FOREIGN,)))
    context.observe(Reading(Source.STILLNESS, DWELL_NS + 20 * MS, (Reason.MOTION,)))
    context.observe(Reading(Source.STILLNESS, DWELL_NS + 40 * MS))
    context.observe(Reading(Source.SIGN_MAP, DWELL_NS + 60 * MS))

    assert context.state(DWELL_NS + 60 * MS).ready_ns >= 2 * DWELL_NS


def test_only_three_short_failures_a_minute_are_forgiven() -> None:
    context = Context(DWELL_NS)
    feed(context, 0, DWELL_NS)
    now_ns = DWELL_NS
    waits = []
    for _ in range(GLITCHES + 1):
        glitch(context, now_ns + 50 * MS, 100 * MS)
        clear_ns = now_ns + 150 * MS
        waits.append(context.state(clear_ns).ready_ns - clear_ns)
        now_ns += S
        feed(context, clear_ns + 50 * MS, now_ns)

    assert all(wait <= 500 * MS for wait in waits[:GLITCHES])
    assert waits[GLITCHES] >= DWELL_NS


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from([s for s in REQUIRED if s not in STATIC]),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_no_sequence_is_more_permissive_than_its_worst_reading_inside_the_dwell(
    events: list[tuple[int, Source, bool]],
) -> None:
    """A source whose newest reading is bad or stale blocks, whatever the others say."""
    context = Context(DWELL_NS)
    for source in REQUIRED:
        context.observe(Reading(source, 0))
    now_ns = 0
    newest: dict[Source, tuple[int, bool]] = dict.fromkeys(REQUIRED, (0, True))
    bad_at: dict[Source, int] = {}
    for step, source, good in events:
        now_ns += step * 20 * MS
        context.observe(Reading(source, now_ns, () if good else (Reason.TAMPER,)))
        newest[source] = (now_ns, good)
        if not good:
            bad_at[source] = now_ns
        state = context.state(now_ns)
        fit = all(ok and now_ns - at <= REQUIRED[s].valid_ns for s, (at, ok) in newest.items())
        assert state.controlled == fit
        if state.controlled:
            assert state.seen_ns <= now_ns
            settled = [at for s, at in bad_at.items() if s not in BAD]
            assert all(state.ready_ns >= at + DWELL_NS for at in settled)


def test_a_lane_without_faces_is_bracketed_by_liveness() -> None:
    context = Context(DWELL_NS, INTEGRITY_ONLY)
    for source in INTEGRITY_ONLY:
        context.observe(Reading(source, 0))

    context.observe(Reading(Source.INTEGRITY, 100 * MS))

    assert context.state(100 * MS).controlled
    assert context.state(100 * MS).seen_ns == 0
    context.observe(Reading(Source.LIVENESS, 90 * MS))
    assert context.state(100 * MS).seen_ns == 90 * MS


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from([*(s for s in REQUIRED if s not in STATIC), *VETO_NS]),
            st.booleans(),
        ),
        max_size=80,
    )
)
def test_no_sequence_of_evidence_is_more_permissive_than_the_worst_valid_reading(
    events: list[tuple[int, Source, bool]],
) -> None:
    """Vetoes and forgiven failures included: one bad reading bars all that was seen before it.

    Whatever comes later, a frame captured up to half a second after a bad reading
    is never ready, and one within the dwell only if that reading was forgivable.
    """
    context = Context(DWELL_NS)
    for source in REQUIRED:
        context.observe(Reading(source, 0))
    now_ns = 0
    bad: list[tuple[int, Source]] = []
    for step, source, good in events:
        now_ns += step * 20 * MS
        context.observe(Reading(source, now_ns, () if good else (Reason.TAMPER,)))
        if not good:
            bad.append((now_ns, source))
        state = context.state(now_ns)
        valid = {s: at for at, s in bad if s in VETO_NS and now_ns - at <= VETO_NS[s]}
        replaced = {s for s in valid if context._vetoes[s].good}
        if set(valid) - replaced:
            assert not state.controlled
        if state.controlled:
            for at_ns, cause in bad:
                forgivable = cause in BAD
                assert state.ready_ns >= at_ns + (500 * MS if forgivable else DWELL_NS)
