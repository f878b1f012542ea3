"""A past decision is explained from the log that recorded it, if the log verifies."""

from __future__ import annotations

import json

import pytest

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.cli import main
from tests.support.audit_helpers import deny, end, permit, start, stop


@pytest.fixture
def log(tmp_path):
    key = Signer.generate("framegate-test/log")
    where = tmp_path / "audit"
    journal = AuditLog.create_or_open(where, key)
    for entry in (start(0), deny(1), permit(4), end(5), stop(6)):
        journal.append(entry, durable=True)
    journal.close()
    (where / "log.pub").write_text(key.verifier.text + "\n")
    return where


def test_a_past_denial_names_clause_reason_and_evidence(log, capsys):
    assert main(["explain", str(log), "--entry", "1"]) == 0

    out = capsys.readouterr().out
    assert "Entry 1: deny at 2026-01-01T12:00:01.000Z" in out
    assert "MOTION: The board's gyro or accelerometer reports that the camera moves." in out
    assert "MS-02 forbids: any law enforcement" in out
    assert "context: uncontrolled" in out


def test_a_past_permit_names_its_rule_and_its_evidence(log, capsys):
    assert main(["explain", str(log), "--entry", "2"]) == 0

    out = capsys.readouterr().out
    assert "FA-03 permits" in out
    assert "evidence: " in out and "view good" in out


def test_a_past_decision_as_data_is_what_the_log_holds(log, capsys):
    assert main(["explain", str(log), "--entry", "3", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["reasons"] == ["VIEW_FOREIGN"]


def test_the_entry_is_named_and_exists(log, capsys):
    assert main(["explain", str(log)]) == 2
    assert "--entry" in capsys.readouterr().err
    assert main(["explain", str(log), "--entry", "5"]) == 2
    assert "expected an entry of 0 to 4, got 5" in capsys.readouterr().err


def test_nothing_is_explained_from_a_log_that_was_changed(log, capsys):
    (journal,) = (p for p in (log / "segments").iterdir() if b'"MOTION"' in p.read_bytes())
    journal.write_bytes(journal.read_bytes().replace(b'"MOTION"', b'"SPEED"'))

    assert main(["explain", str(log), "--entry", "1"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "does not verify" in err
