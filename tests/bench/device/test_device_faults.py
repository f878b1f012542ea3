"""What the chapters of a device's faults look for, judged here without starting one."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from bench.device import chapters, machines, suite
from bench.device.within import clock, disk, watchdog
from bench.device.within.power import entries
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.decision.known_time import KnownTime
from edge.errors import AuditError, GuardError
from edge.version import BUILT_S

KEY = Signer.generate("framegate-test/log")
TODAY_S = float(BUILT_S + 86_400)


def set_clock(monkeypatch: pytest.MonkeyPatch, now_s: float, kept: bool) -> None:
    monkeypatch.setattr(time, "time", lambda: now_s)
    monkeypatch.setattr(clock, "synchronised", lambda: kept)


def test_a_clock_in_1970_is_not_trusted_and_a_right_one_that_is_kept_mends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = KnownTime(BUILT_S)
    set_clock(monkeypatch, 600.0, False)
    assert "TIME_UNTRUSTED" in clock.unproven(known)
    with pytest.raises(GuardError, match="synchronised"):
        monkeypatch.setattr(clock, "set_right", lambda now_s: None)
        clock.mended(known, TODAY_S)

    monkeypatch.setattr(clock, "set_right", lambda s: set_clock(monkeypatch, s, True))
    assert "proven" in clock.mended(known, TODAY_S)
    with pytest.raises(GuardError, match="not proven"):
        clock.unproven(known)


def test_a_folder_that_can_be_written_is_not_called_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(GuardError, match="a file was made there"):
        disk.cannot_write(tmp_path)
    assert list(tmp_path.iterdir()) == []

    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refuse)
    assert disk.cannot_write(tmp_path) == str(tmp_path)


def test_a_log_that_takes_permits_on_a_full_disk_fails_the_chapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "fill", lambda folder: (folder / "filler").touch())
    monkeypatch.setattr(disk, "_ROOM_LEFT", 3)
    full = disk.Full(tmp_path)
    full.with_room()
    with pytest.raises(GuardError, match="expected no permit on a full disk"):
        full.full()

    def refuse() -> None:
        raise AuditError("the disk is full")

    monkeypatch.setattr(full, "permit", refuse)
    full.log.append(entries(full.log.size)[0], durable=True)
    assert full.full().endswith("the next one: the disk is full")
    assert full.verifies() == f"{full.log.size} entries"


def hung(state: Path) -> None:
    """What a device leaves that was reset with a permit open."""
    log = AuditLog.create_or_open(state / "log", KEY)
    log.append(entries(0)[0], durable=True)
    (state / "hung").write_text(f"{log.size} {log.root.hex()}")
    (state / "living").write_text("another boot")
    log._store.release()


def test_a_log_that_lost_nothing_in_a_reset_holds_and_one_that_lost_an_entry_does_not(
    tmp_path: Path,
) -> None:
    hung(tmp_path)
    size = (tmp_path / "hung").read_text().split()[0]

    assert "noted as unclean" in watchdog.blocked(KEY, tmp_path)
    (tmp_path / "hung").write_text(f"{size} {'ab' * 32}")
    with pytest.raises(GuardError, match="expected 1 entries with root abab"):
        watchdog.blocked(KEY, tmp_path)
    assert "then a reset" in watchdog.lived(tmp_path)
    (tmp_path / "hung").unlink()
    with pytest.raises(GuardError, match="no reset in the"):
        watchdog.lived(tmp_path)


def test_the_chapters_start_with_a_watchdog_a_clock_and_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: dict[str, machines.Start] = {}

    def start(rig: object, name: str, rows: object, start: machines.Start, extra: object) -> list:
        starts[name] = start
        return [suite.Line(name, True, "", 0.0)]

    monkeypatch.setattr(chapters, "_start", start)
    monkeypatch.setattr(chapters.power, "blank", lambda image, mib: image)
    for name in ("read-only", "full-disk", "clock-1970", "watchdog"):
        assert chapters.CHAPTERS[name](None)[0].name == name  # type: ignore[arg-type]

    drives = machines.Drives("k", "i", "r.img", "p.tar", "res.tar")
    pi = machines.machine("pi-4-class")
    words = {
        name: machines.command(pi, drives, host_cores=2, now_s=5, start=start)
        for name, start in starts.items()
    }
    assert [name for name, line in words.items() if "-no-reboot" not in line] == ["watchdog"]
    assert "i6300esb" in words["watchdog"]
    assert [name for name, line in words.items() if "base=1970-01-01T00:00:00" in line] == [
        "clock-1970"
    ]
    assert [name for name, start in starts.items() if start.data is None] == ["clock-1970"]
    assert "fgreadonly" in starts["read-only"].words
