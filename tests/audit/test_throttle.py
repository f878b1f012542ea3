"""The log is thinned out, and still says every cause and the last state."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.audit.clerk import Clerk
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.schema import Context, Deny, End, Entry, Gap, Kind, Permit
from edge.audit.throttle import MIN_GAP_NS, URGENT_BURST, Throttle, urgent
from edge.errors import AuditError
from edge.reasons import Reason
from tests.support.audit_disk import Disk, fail_once
from tests.support.audit_helpers import deny, end, permit, read_all, stamp, start, stop

KEY = Signer.generate("framegate-test/log")


def denied(t_s: float, *reasons: Reason) -> Deny:
    return Deny(stamp(t_s), Context.UNCONTROLLED, reasons, ())


def reasons_in(entries: list[Entry]) -> set[Reason]:
    return {r for e in entries if isinstance(e, (Deny, End, Gap)) for r in e.reasons}


def changed_to(state: object, t_s: float) -> Entry:
    if isinstance(state, list):
        return denied(t_s, *state)
    return permit(t_s) if state == "permit" else end(t_s)


STATES = st.one_of(
    st.lists(st.sampled_from(Reason), min_size=1, max_size=3, unique=True),
    st.sampled_from(["permit", "end"]),
)


@pytest.mark.slow
@given(steps=st.lists(st.tuples(st.integers(1, 3000), STATES), min_size=1, max_size=120))
def test_the_last_word_is_the_last_state_and_no_reason_is_lost(steps) -> None:
    throttle = Throttle()
    written: list[tuple[int, Entry]] = []
    now_ms, states = 0, []
    for pause_ms, state in steps:
        for _ in range(0, pause_ms, 100):  # the guard's turns between two changes
            written += [(now_ms, e) for e in throttle.due(stamp(now_ms / 1000).mono_ns)]
            now_ms += min(100, pause_ms)
        t_s = now_ms / 1000
        entry = changed_to(state, t_s)
        states.append(entry)
        written += [(now_ms, e) for e in throttle.admit(entry)]
    ends_ns = states[-1].stamp.mono_ns + MIN_GAP_NS
    written += [(now_ms + 1000, e) for e in throttle.due(ends_ns)]

    log = [entry for _, entry in written]
    assert log[-1] == states[-1]
    assert reasons_in(states) <= reasons_in(log)
    times = [entry.stamp.mono_ns for entry in log]
    assert times == sorted(times)
    whole = [e for e in states if not isinstance(e, Deny)]
    assert [e for e in log if isinstance(e, (Permit, End))] == whole
    gaps = sum(e.suppressed for e in log if isinstance(e, Gap))
    assert gaps + len([e for e in log if not isinstance(e, Gap)]) == len(states)


@pytest.mark.slow
@given(
    pauses_ms=st.lists(st.integers(1, 900), min_size=2, max_size=URGENT_BURST),
    reason=st.sampled_from([r for r in Reason if urgent(r)]),
)
def test_an_urgent_reason_is_written_at_once_whatever_the_rate(pauses_ms, reason) -> None:
    throttle = Throttle()
    now_s = 0.0
    for place, pause_ms in enumerate(pauses_ms):
        now_s += pause_ms / 1000
        entry = denied(now_s, reason if place % 2 else Reason.MOTION)
        if place % 2:
            assert throttle.admit(entry)[-1] == entry
        else:
            throttle.admit(entry)


@pytest.mark.parametrize(
    "reason",
    [Reason.MATCHER_ESCAPE_ATTEMPT, Reason.TAMPER, Reason.LOG_ROLLBACK, Reason.MODEL_DIGEST],
)
def test_integrity_escape_and_tamper_are_urgent(reason: Reason) -> None:
    assert urgent(reason)
    assert not urgent(Reason.MOTION)
    assert not urgent(Reason.DWELL)


@pytest.mark.parametrize("reason", [Reason.MOTION, Reason.TAMPER])
def test_a_state_that_flaps_without_end_stays_bounded(reason: Reason) -> None:
    throttle = Throttle()
    count = 6000  # a minute at 100 a second

    written = [
        e
        for i in range(count)
        for e in throttle.admit(denied(i / 100, reason if i % 2 else Reason.SPEED))
    ]

    burst = 2 * URGENT_BURST if urgent(reason) else 0
    assert len(written) <= burst + 2 * 2 * (count // 100 + 2)
    gaps = sum(e.suppressed for e in written if e.kind is Kind.GAP)
    assert gaps + len([e for e in written if e.kind is Kind.DENY]) + throttle.suppressed == count


def test_a_permit_and_its_end_are_never_left_out() -> None:
    throttle = Throttle()
    entries = (deny(0), permit(0.1), end(0.2), permit(0.3, 2))

    assert [e for entry in entries for e in throttle.admit(entry)] == list(entries)


# the clerk


def clerk_on(disk: Disk) -> Clerk:
    return Clerk(AuditLog.create_or_open(Path("/log"), KEY, files=disk))


def test_what_waited_is_written_when_its_second_is_over(tmp_path: Path) -> None:
    clerk = Clerk(AuditLog.create_or_open(tmp_path, KEY))
    clerk.write(start(0), durable=True)
    clerk.write(denied(0.2, Reason.MOTION), durable=False)
    before = clerk.log.size
    clerk.tend(stamp(0.5).mono_ns)
    early = clerk.log.size
    clerk.tend(stamp(1.1).mono_ns)
    clerk.tend(stamp(2.2).mono_ns)  # a second later it is durable

    assert (before, early, clerk.log.size) == (1, 1, 2)
    assert read_all(tmp_path, KEY.verifier)[-1]["reasons"] == ["MOTION"]


def test_a_run_that_ends_at_once_says_what_was_pending(tmp_path: Path) -> None:
    clerk = Clerk(AuditLog.create_or_open(tmp_path, KEY))
    clerk.write(start(0), durable=True)
    clerk.write(denied(0.1, Reason.NO_LEASE), durable=False)
    clerk.write(denied(0.2, Reason.NOT_DOCKED), durable=False)
    clerk.close(stop(0.3, released=0))

    kinds = [f["kind"] for f in read_all(tmp_path, KEY.verifier)]
    reasons = [f.get("reasons") for f in read_all(tmp_path, KEY.verifier)]
    assert kinds == ["start", "gap", "deny", "stop"]
    assert reasons[1:3] == [["NO_LEASE"], ["NOT_DOCKED"]]


def test_a_cause_that_could_not_be_written_is_written_when_the_log_is_well() -> None:
    disk = Disk()
    clerk = clerk_on(disk)
    clerk.write(start(0), durable=True)
    disk.fault = fail_once(disk.calls + 1)
    with pytest.raises(AuditError):
        clerk.write(denied(1.5, Reason.TAMPER), durable=False)
    well_before = clerk.tend(stamp(1.6).mono_ns)
    for tenth in range(10):
        clerk.write(denied(1.7 + tenth / 100, Reason.MOTION), durable=False)
        clerk.tend(stamp(1.7 + tenth / 100).mono_ns)
    well = clerk.tend(stamp(3).mono_ns)
    clerk.close(stop(4, released=0))

    assert (well_before, well) == (False, True)
    held = [f for f in stored(disk) if f["kind"] == "deny"]
    assert [f["reasons"] for f in held] == [["TAMPER"], ["MOTION"]]


def test_a_permit_that_could_not_be_written_is_not_written_later() -> None:
    disk = Disk()
    clerk = clerk_on(disk)
    clerk.write(start(0), durable=True)
    disk.fault = fail_once(disk.calls + 1)
    with pytest.raises(AuditError):
        clerk.write(permit(1.5), durable=True)
    clerk.tend(stamp(3).mono_ns)
    clerk.write(permit(5, 2), durable=True)
    clerk.close(stop(6, released=0))

    assert [f["epoch"] for f in stored(disk) if f["kind"] == "permit"] == [2]


def stored(disk: Disk) -> list[dict]:
    import json

    from edge.audit.journal import read_journal

    found: list[dict] = []
    read_journal(
        disk,
        Path("/log"),
        KEY.verifier,
        every_signature=True,
        on_entry=lambda index, entry, tree: found.append(json.loads(entry)),
    )
    return found
