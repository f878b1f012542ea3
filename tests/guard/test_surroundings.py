"""Whatever the guard is started from: it works, or says in one line what is missing."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge.sandbox.spec import missing
from tests.support.guards import Site, running, site

pytestmark = pytest.mark.guard
ENTRY = "import sys; from edge.entry import framegate; sys.exit(framegate())"
TELLS = ENTRY.replace("sys.exit(framegate())", "sys.exit((print(flush=True), framegate())[1])")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def kiosk(
    tmp_path_factory: pytest.TempPathFactory, lived_in: Callable[[int], Path], face_model: Path
) -> Site:
    if missing():
        pytest.skip("this machine lacks a layer of the sandbox; the records would have to say so")
    clip = lived_in(90)
    return site(tmp_path_factory.mktemp("kiosk") / "site", clip, clip, face_model)


def started(kiosk: Site, out: Path, before: str = ":") -> subprocess.CompletedProcess[str]:
    """`framegate run` from a shell that was set up by `before`."""
    room = out / "matcher"
    room.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(room, 65534, 65534)
    command: Sequence[str | Path] = [
        *(sys.executable, "-m", "edge.cli", "run", "--source", kiosk.clip),
        *("--device", kiosk.device, "--session", kiosk.session, "--keys", kiosk.store.directory),
        *("--matcher", f"{sys.executable} -m framegate_client.counter {room}/received.json"),
        *("--matcher-write", room, "--out", out),
    ]
    shell = ["sh", "-c", f'{before}; exec "$@"', "sh", *map(str, command)]
    return subprocess.run(shell, capture_output=True, text=True, timeout=100, check=False, cwd=ROOT)


@pytest.mark.parametrize("mask", [pytest.param("022", marks=pytest.mark.long), "077"])
def test_frames_flow_whatever_the_umask_of_whoever_starts_it(
    kiosk: Site, tmp_path: Path, mask: str
) -> None:
    done = started(kiosk, tmp_path / "out", f"umask {mask}")

    assert done.returncode == 0, done.stderr
    assert ": 0 released" not in done.stdout, done.stderr
    assert (tmp_path / "out" / "matcher" / "received.json").exists()


def test_a_damaged_recording_is_told_by_summary_and_exit_code(
    kiosk: Site, tmp_path: Path, face_model: Path
) -> None:
    whole, cut = kiosk.clip.read_bytes(), tmp_path / "cut.avi"
    cut.write_bytes(whole[: len(whole) * 3 // 4])
    damaged = site(tmp_path / "site", cut, kiosk.clip, face_model)

    done = started(damaged, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())

    assert done.returncode == 1
    assert "not all of the recording was judged: damaged: " in done.stderr
    assert summary["recording"].startswith("damaged: ")
    assert 0 < summary["passed"] < 90


def test_a_log_without_room_for_the_end_of_a_permit_is_told_by_its_place_and_the_exit_code(
    kiosk: Site, tmp_path: Path
) -> None:
    """The twin, whose log can be written, ends with 0 above."""
    out = tmp_path / "out"
    in_the_way = out / "audit" / "private" / "reserve.new"  # as a full disk: no reserve is held

    done = started(kiosk, out, f"mkdir -p {in_the_way}")

    assert done.returncode == 1
    assert ": 0 released" in done.stdout
    (cause, end) = [line for line in done.stderr.splitlines() if "the audit log in" in line]
    assert cause.startswith(f"AUDIT_UNAVAILABLE: cannot use the audit log in {out / 'audit'}: ")
    assert end.startswith(f"framegate: AUDIT_UNAVAILABLE: the audit log in {out / 'audit'} could")


@pytest.mark.parametrize(
    "room",
    [
        pytest.param(0, id="full"),
        pytest.param(resource.RLIM_INFINITY, id="room", marks=pytest.mark.long),
    ],
)
def test_a_log_that_did_not_take_the_last_entry_is_told_by_the_exit_code(
    kiosk: Site, room: int
) -> None:
    with running(kiosk) as guard:
        guard.line.wait_for(True, 0)
        resource.prlimit(
            guard.pid("decider"), resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY)
        )
        printed = guard.stop()

    assert ("did not take its last entry" in printed) is (room == 0), printed
    assert guard.process.returncode == (1 if room == 0 else 0)


def test_too_few_open_files_are_one_line(kiosk: Site, tmp_path: Path) -> None:
    done = started(kiosk, tmp_path / "out", "ulimit -n 24")

    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("framegate: ")
    assert "too many open files" in last


def test_an_early_interrupt_leaves_no_traceback(tmp_path: Path) -> None:
    outputs, codes = [], set()
    for step in range(12):
        run = subprocess.Popen(
            [sys.executable, "-c", TELLS, "explain", "VIEW_FOREIGN"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(0.02 * step)
        run.send_signal(signal.SIGINT)
        outputs.append(run.communicate(timeout=30)[1].decode())
        codes.add(run.returncode)

    assert 130 in codes and codes <= {
        0,
        130,
        -signal.SIGINT,
    }  # the last: the interpreter was ending
    assert [text for text in outputs if "Traceback" in text] == []
