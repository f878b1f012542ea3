"""What a device publishes comes out of public files alone, and an old status says nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.proofs.consistency import check_consistency
from edge.errors import AuditError
from edge.fleet.state.device import FRESH_S, Places, doing, gathered
from edge.fleet.state.message import State, read_state, written
from edge.reasons import Reason
from tests.support.audit_helpers import start
from tests.support.status_pages import WALL_S, sample

KEY = Signer.generate("framegate-0001/log")


def grow(log: Path, count: int) -> None:
    journal = AuditLog.create_or_open(log, KEY)
    for _ in range(count):
        journal.append(start(float(journal.size)), durable=False)
    journal.close()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    grow(tmp_path / "audit", 300)
    (tmp_path / "D.toml").write_text("a record")
    (tmp_path / "status.json").write_text(json.dumps(sample(permitted=True)))
    return Places(
        tmp_path / "audit", tmp_path / "audit", tmp_path / "status.json", tmp_path / "D.toml"
    )


def test_it_says_what_status_and_log_say_and_proves_that_the_log_goes_on(places: Places) -> None:
    (places.log / "checkpoint.cosigned").write_bytes((places.log / "checkpoint").read_bytes())
    grow(places.log, 45)

    state = gathered(places, KEY.verifier, 30, WALL_S)

    assert (state.state, state.pack, state.policy) == (State.PASSING, "strict", "ab" * 32)
    assert state.record == hashlib.sha256(b"a record").hexdigest()
    assert (state.old, state.size >= 345, state.forked) == (300, True, False)
    check_consistency(state.old, state.old_root, state.size, state.root, state.path)
    assert read_state(written(state), "framegate-0001", KEY.verifier) == state


def test_the_couriers_alarm_goes_along(places: Places) -> None:
    (places.log / "checkpoint.forked").write_text("{}")

    assert gathered(places, KEY.verifier, 30, WALL_S).forked is True


@pytest.mark.parametrize("later_s", [FRESH_S + 0.1, -FRESH_S - 0.1])
def test_a_status_of_another_time_never_says_that_frames_pass(
    places: Places, later_s: float
) -> None:
    assert gathered(places, KEY.verifier, 30, WALL_S + later_s).state is State.ABSENT
    assert gathered(places, KEY.verifier, 30, WALL_S + later_s / 2).state is State.PASSING


def test_a_blocked_guard_says_why() -> None:
    found = doing(sample(), WALL_S)

    assert (found.state, found.reasons) == (
        State.BLOCKED,
        (Reason.VIEW_FOREIGN, Reason.POLICY_DENY),
    )


@pytest.mark.parametrize(
    "changed",
    [{"permitted": "yes"}, {"permitted": 1}, {"phase": "over"}, {"phase": "dancing"}],
)
def test_only_a_running_guard_that_says_true_passes(changed: dict[str, Any]) -> None:
    assert doing({**sample(permitted=True), **changed}, WALL_S).state is not State.PASSING


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"at_s": []}', '{"at_s": 1, "reasons": 3}'])
def test_a_file_that_is_no_status_is_no_guard(places: Places, text: str) -> None:
    assert places.status is not None
    places.status.write_text(text)

    assert gathered(places, KEY.verifier, 30, WALL_S).state is State.ABSENT


def test_a_log_by_another_key_is_not_published(places: Places) -> None:
    with pytest.raises(AuditError):
        gathered(places, Signer.generate(KEY.name).verifier, 30, WALL_S)
