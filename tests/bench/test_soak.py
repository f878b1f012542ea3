"""The soak itself: it finds what grows, leaves alone what does not, and runs the whole daemon."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.soak.watch import Life, Sample, sample_of, sparkline
from tests.support import render
from tests.support.daemons import configure, free_port, until
from tests.support.guards import site

pytestmark = pytest.mark.guard


def life(*private_mib: float, fds: int = 0) -> Life:
    """A process looked at every ten seconds; it opens `fds` descriptors on the way."""
    found = Life("gate", 1)
    for i, held in enumerate(private_mib):
        opened = 10 + fds * i // len(private_mib)
        found.samples.append(Sample(10.0 * i, held, 0.0, opened, 2, 1, 0.5 * i))
    return found


def test_a_slow_leak_is_growth() -> None:
    leaking = life(*(50 + 0.5 * i for i in range(60)), fds=12)

    assert leaking.growth_mib() > 8
    assert leaking.more("fds") > 0


def test_a_cache_that_fills_and_a_peak_that_comes_again_are_none() -> None:
    steady = life(*([20, 40, 55, 60, 60, 60] + [60, 62, 61, 66] * 14))

    assert steady.growth_mib() == 0
    assert steady.more("fds") == 0
    assert steady.cpu_share == pytest.approx(0.05)


def test_a_process_that_is_gone_is_no_sample() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    with pytest.raises(OSError):
        while True:  # running, then a zombie until it is waited for
            sample_of(ended.pid, 0.0)
    ended.wait()


def test_bars_show_the_most_of_each_share_of_time() -> None:
    assert sparkline([1.0, 8.0, 4.0, 2.0], width=2) == "█▅"
    assert sparkline([]) == ""


STARTER = """
import sys, time
from pathlib import Path
from bench.soak.site import start_daemon
print(start_daemon(Path(sys.argv[1])).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.long
def test_a_soak_that_is_killed_leaves_no_daemon(tmp_path: Path, face_model: Path) -> None:
    clip = render.write_clip(tmp_path / "room.avi", render.still(render.room(), 60))
    configure(site(tmp_path / "site", clip, clip, face_model), free_port())
    command = [sys.executable, "-c", STARTER, str(tmp_path / "site")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        try:
            assert starter.stdout is not None
            daemon = Path("/proc", starter.stdout.readline().strip())
            until((tmp_path / "site" / "status.json").exists, "the daemon's first word")
            assert daemon.exists()
        finally:
            starter.send_signal(signal.SIGKILL)

    until(lambda: not daemon.exists(), "the daemon's end")


@pytest.mark.timeout(300)
def test_six_seconds_of_the_real_one(
    tmp_path_factory: pytest.TempPathFactory, face_model: Path
) -> None:
    folder = tmp_path_factory.mktemp("s") / "soak"  # a short name: sockets lie below it
    command = [sys.executable, "-m", "bench.soak.run", "--minutes", "0.1", "--json"]
    run = subprocess.run(
        [*command, "--out", str(folder)], capture_output=True, text=True, timeout=240
    )

    assert run.stdout, run.stderr
    found = {row["name"]: row for row in json.loads(run.stdout)["figures"]}
    assert found["frames released"]["value"] > 0
    assert found["events"]["value"] > 0
    assert found["files and folders left behind"]["note"] == ""
    assert found["the daemon ended in good order, exit code"]["value"] == 0
