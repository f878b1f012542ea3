"""What the log takes: a closed set of kinds and fields, and nothing else."""

import dataclasses

import pytest

from edge.attempts import Attempt
from edge.audit.forms import SchemaError, wall_ns, wall_text
from edge.audit.schema import (
    ClockJump,
    ClockReset,
    EscapeAttempt,
    Floor,
    Gap,
    Handing,
    Incident,
    Kind,
    Recovered,
    Token,
    UncleanStop,
    canonical,
    validate,
)
from edge.reasons import Reason
from tests.support.audit_helpers import NOON_NS, deny, end, permit, stamp, start, stop

ALL = [
    start(),
    permit(1),
    end(2),
    deny(3),
    stop(4),
    UncleanStop(stamp(5)),
    Floor(stamp(6), policy_version=7, time_floor_ns=NOON_NS),
    Token(stamp(7), Handing.RECEIPT, bytes(32)),
    ClockJump(stamp(7), by_s=-86_400),
    ClockReset(stamp(7), not_yet_ns=NOON_NS, at_least_ns=NOON_NS),
    EscapeAttempt(stamp(7), Attempt.CONNECT),
    Gap(stamp(7), suppressed=12, reasons=(Reason.MOTION,)),
    Recovered(stamp(8), Incident.TORN_TAIL, 17),
]


MAY_BE_NONE = {
    (Kind.END, "released"),
    (Kind.END, "last_captured_ns"),
    (Kind.STOP, "released"),
}


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.kind.value)
def test_every_kind_of_entry_is_taken(entry):
    assert validate(entry.fields()) is entry.kind
    assert canonical(entry.fields()).startswith(b"{")


def test_the_entries_tried_here_are_all_there_are():
    assert {entry.kind for entry in ALL} == set(Kind)


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.kind.value)
def test_an_entry_without_one_of_its_fields_is_refused(entry):
    for name in entry.fields():
        if (entry.kind, name) == (Kind.GAP, "reasons") or name.startswith("results"):
            continue  # entries of older logs have none
        fields = entry.fields()
        del fields[name]
        with pytest.raises(SchemaError):
            validate(fields)


@pytest.mark.parametrize("entry", ALL, ids=lambda e: e.kind.value)
@pytest.mark.parametrize("odd", [None, 1.5, float("nan"), -1, b"x", [1], {"a": 1}, "Jane", 2**53])
def test_no_field_takes_free_text_or_a_value_of_another_type(entry, odd):
    for name, value in entry.fields().items():
        if odd is None and (entry.kind, name) in MAY_BE_NONE:
            continue
        if odd == -1 and name == "by_s":  # a clock can be set back
            continue
        with pytest.raises(SchemaError) as refusal:
            canonical({**entry.fields(), name: odd})
        assert "Jane" not in str(refusal.value), f"{name}={value}"


@pytest.mark.parametrize("name", ["pixels", "box", "embedding", "name", "lat_deg", "note", "score"])
def test_a_field_that_is_not_in_the_schema_is_refused(name):
    with pytest.raises(SchemaError, match="unknown field"):
        validate({**permit(1).fields(), name: "0"})


def test_reasons_are_stored_worst_first_and_only_once():
    fields = end(1).fields()
    with pytest.raises(SchemaError):
        validate({**fields, "reasons": fields["reasons"] * 2})
    with pytest.raises(SchemaError):
        validate({**fields, "reasons": ["NOT_A_REASON"]})


def test_a_boot_time_of_a_year_is_kept_exactly():
    year_ns = 365 * 86_400 * 10**9 + 1
    late = dataclasses.replace(permit(1), from_ns=year_ns)

    assert f'"from_ns":"{year_ns}"'.encode() in canonical(late.fields())


@pytest.mark.parametrize("when", [0, NOON_NS, NOON_NS + 999 * 10**6, 253_402_300_799 * 10**9])
def test_wall_times_survive_the_way_through_text(when):
    assert wall_ns(wall_text(when)) == when


@pytest.mark.parametrize("odd", ["", "2026-01-31", "2026-13-01T00:00:00.000Z", "noon"])
def test_a_text_that_is_no_time_is_refused(odd):
    with pytest.raises(SchemaError):
        wall_ns(odd)


def test_a_gap_of_an_older_log_is_still_an_entry():
    fields = Gap(stamp(7), suppressed=12, reasons=()).fields()
    del fields["reasons"]

    assert validate(fields) is Kind.GAP
