"""The folder of a running guard: held while it runs, swept when its holder was killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.guard.run_folder import RunFolder, sweep

HOLD = """
import socket, sys, time
from pathlib import Path
from edge.guard.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
listener = socket.socket(socket.AF_UNIX)
listener.bind(str(folder.socket))
print(folder.path, flush=True)
time.sleep(600)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a path short enough for a socket's, wherever the tests' own are."""
    with tempfile.TemporaryDirectory(prefix="fg.") as name:
        yield Path(name)


def test_a_killed_guards_folder_goes_at_the_next_start_and_a_running_ones_stays(
    place: Path,
) -> None:
    command = [sys.executable, "-c", HOLD, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            left = Path(holder.stdout.readline().strip())
            assert (sweep(place), left.exists()) == (0, True)
        finally:
            holder.send_signal(signal.SIGKILL)
    assert (left / "matcher.sock").exists()

    assert (sweep(place), left.exists()) == (1, False)


def test_a_folder_is_removed_with_its_socket_at_a_good_end(place: Path) -> None:
    folder = RunFolder(place)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder.socket))
    assert folder.path.stat().st_mode & 0o777 == 0o700

    folder.close()

    assert list(place.iterdir()) == []


def test_what_is_not_a_leftover_is_left(tmp_path: Path) -> None:
    kept = tmp_path / "framegate-run-kept"
    kept.mkdir()
    (kept / "letter").write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "framegate-run-link").symlink_to(elsewhere)
    (tmp_path / "framegate-run-file").write_text("")

    assert sweep(tmp_path) == 0
    assert (kept / "letter").read_text() == "mine"
    assert elsewhere.exists()


def test_a_place_too_deep_for_a_socket_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()

    with pytest.raises(UsageError, match="set TMPDIR to a shorter one"):
        RunFolder(deep)

    assert list(deep.iterdir()) == []
