"""The new disk is compiled once, by a start that keeps what it writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bench.device import machines
from bench.device.image import compiled
from edge.errors import UsageError

PI_4 = machines.machine("pi-4-class")


@pytest.mark.parametrize("printed", ["device: compiled\n", "Killed\n", ""])
def test_a_disk_counts_as_made_only_if_the_device_says_that_it_compiled(
    printed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, ran = tmp_path / "root", []

    def start(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0, printed, "")

    monkeypatch.setattr("bench.device.image.tools.subprocess.run", start)

    if "compiled" in printed:
        compiled.compile_on(PI_4, tmp_path, root)
    else:
        last = printed.strip() or "nothing"
        with pytest.raises(UsageError, match=f"Python; the device's last word: {last}$"):
            compiled.compile_on(PI_4, tmp_path, root)

    ((command,),) = [ran]
    assert [word for word in command if f"file={root}" in word and "snapshot" not in word]
    assert "fgcompile" in command[command.index("-append") + 1].split()


def test_an_emulator_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "qemu: cannot set up guest memory\n")

    monkeypatch.setattr("bench.device.image.tools.subprocess.run", fails)

    with pytest.raises(UsageError) as refused:
        compiled.compile_on(PI_4, tmp_path, tmp_path / "root")

    message = "cannot compile the device's Python: qemu: cannot set up guest memory"
    assert str(refused.value) == message
