"""The writer is killed at random moments: nothing that was acknowledged is lost."""

import pytest

from bench.audit import kills as audit_kills

pytestmark = pytest.mark.slow


def test_a_killed_writer_loses_no_acknowledged_entry(tmp_path):
    tally = audit_kills.run(25, seed=20260101, where=tmp_path)

    assert tally.kills == 25
    assert tally.lost == 0
    assert tally.acknowledged > 25
    assert tally.killed_before_any_entry < 25
