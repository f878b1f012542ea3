"""The new disk is compiled once, by a start that keeps what it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.device import machines
from bench.device.image import compiled
from edge.errors import UsageError

PI_4 = machines.machine("pi-4-class")
COMMAND = machines.command


def ends(printed: str, ran: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator is a process that prints this and ends."""

    def command(*words: Any, **options: Any) -> list[str]:
        ran.append(COMMAND(*words, **options))
        return ["printf", "%s", printed]

    monkeypatch.setattr(machines, "command", command)


@pytest.mark.parametrize(
    "printed",
    [
        "device: 500 of 612 files\r\ndevice: compiled\r\n",
        "device: 500 of 612 files\r\nKilled\r\n\r\n",
        "qemu: cannot set up guest memory\n",
        "",
    ],
)
def test_a_disk_counts_as_made_only_if_the_device_says_that_it_compiled(
    printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, ran, shown = tmp_path / "root", list[list[str]](), list[str]()
    ends(printed, ran, monkeypatch)

    if "compiled" in printed:
        compiled.compile_on(PI_4, tmp_path, root, shown.append)
    else:
        *_, last = ["nothing", *printed.strip().splitlines()]
        with pytest.raises(UsageError, match=f"Python; the device's last word: {last}$"):
            compiled.compile_on(PI_4, tmp_path, root, shown.append)

    ((command,),) = [ran]
    assert [word for word in command if f"file={root}" in word and "snapshot" not in word]
    assert "fgcompile" in command[command.index("-append") + 1].split()
    assert shown == ["root: compiled 500 of 612 files"] * ("500" in printed)


def test_an_emulator_that_does_not_end_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "command", lambda *words, **options: ["sleep", "60"])
    monkeypatch.setattr(compiled, "_LIMIT_S", 0.1)

    with pytest.raises(UsageError) as refused:
        compiled.compile_on(PI_4, tmp_path, tmp_path / "root", print)

    assert str(refused.value) == (
        "cannot compile the device's Python: no end after 0.1 s; start it again"
    )
