"""The courier's alarm blocks while it is there, and nothing opens because it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.clock import S
from edge.commissioning.records import parse_device
from edge.decision.fork_alarm import ForkAlarm
from edge.errors import RecordError
from edge.reasons import Reason

FORKED = (Reason.LOG_FORKED,)


def test_it_blocks_from_the_first_look_after_it_came_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.forked"
    alarm = ForkAlarm(path)

    assert alarm.reasons(0) == ()
    path.write_text("{}")
    assert alarm.reasons(S - 1) == ()
    assert alarm.reasons(S) == FORKED
    path.unlink()
    assert alarm.reasons(2 * S) == ()


def test_one_that_is_there_at_the_start_blocks_at_once(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.forked"
    path.symlink_to("nowhere")

    assert ForkAlarm(path).reasons(5 * S) == FORKED
    assert ForkAlarm(None).reasons(5 * S) == ()


def test_a_place_that_cannot_be_looked_at_blocks(tmp_path: Path) -> None:
    folder = tmp_path / "courier"
    folder.mkdir()
    alarm = ForkAlarm(folder / "checkpoint.forked")

    assert alarm.reasons(0) == ()
    folder.rmdir()
    assert alarm.reasons(S) == FORKED
    folder.write_text("no folder")
    assert alarm.reasons(2 * S) == FORKED


def test_the_signed_record_names_it_from_its_own_folder() -> None:
    path = Path("/etc/framegate/D.toml")

    found = parse_device(b'camera = "fixed"\n[witness]\nalarm = "courier/forked"\n', path)

    assert found.fork_alarm == Path("/etc/framegate/courier/forked")
    assert parse_device(b'camera = "fixed"\n', path).fork_alarm is None
    with pytest.raises(RecordError):
        parse_device(b'camera = "fixed"\n[witness]\nalarms = "x"\n', path)
