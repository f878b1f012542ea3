"""The short part on every class of emulated device: only where `make arm64` has built one.

`.ci/run` runs it on one class after the tests, by `python -m bench.device.short`. And what a start
leaves on this host if it is ended.
"""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.device import boot, host, machines, short, suite
from bench.device.image.build import Builder
from bench.device.image.cache import Cache
from edge.cli import main
from edge.models.pull import assets_dir


@pytest.fixture
def usual_end() -> Iterator[None]:
    """What ends this process is as before again."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("usual_end")
def test_a_command_that_is_ended_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "lacking", lambda *words, built: None)
    monkeypatch.setattr(Builder, "built", lambda self, pages: True)
    monkeypatch.setattr(Builder, "build", lambda self, pages: "built")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[str] = []

    def ended(*words: object) -> None:
        with tempfile.TemporaryDirectory(prefix="framegate-device-"):
            seen.extend(path.name for path in tmp_path.glob("framegate-device-*"))
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(boot, "run", ended)
    with pytest.raises(SystemExit) as end:
        main(["device", "run", "--cache", str(tmp_path / "cache"), "--", "doctor"])

    assert end.value.code == 128 + signal.SIGTERM
    assert len(seen) == 1 and not list(tmp_path.glob("framegate-device-*"))


class _Board:
    """A board that notes what had been said when it went off."""

    def __init__(self, lines: list[str]) -> None:
        self.pid, self.off, self._lines = os.getpid(), [], lines

    def close(self) -> None:
        self.off.append(self._lines[-1])


def test_the_board_is_off_after_the_last_row_that_needs_it(tmp_path: Path) -> None:
    lines: list[str] = []
    board = _Board(lines)
    rows = [suite.Row(suite.Kind.BOARD, name, ("true",)) for name in ("first", "second")]
    printed = "\n".join(
        f"device: {name}{end}"
        for name in ("doctor", "first", "second", "replay")
        for end in ("", ": exit code 0, 1 s")
    )

    boot._watch(["printf", f"{printed}\n"], tmp_path / "log", lines.append, rows, board)

    assert lines[-1] == "device: replay: exit code 0, 1 s"
    assert board.off[0] == "device: second: exit code 0, 1 s"


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", machines.MACHINES, ids=lambda m: m.name)
def test_the_guard_decides_on_every_emulated_device_as_it_does_here(
    machine: machines.Machine, tmp_path: Path
) -> None:
    folder = assets_dir() / "arm64"
    builder = Builder(Cache(folder, print), None)
    if reason := short.why_not(machine, builder, folder):
        pytest.skip(reason)

    lines = short.run(machine, builder.build(machine.pages), tmp_path, print)

    table = suite.table(machine.name, lines)
    assert all(line.holds for line in lines), table
    assert "frames pass" in table and " 0 of " not in table
