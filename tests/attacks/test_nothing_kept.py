"""Pictures and positions are sought in all that a whole real run leaves behind (attack D50).

Its log, results, words, temporary files, shared memory by name, and the core files of
processes that crash in the middle of it although core files were switched on.
"""

from __future__ import annotations

import base64
import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.guard.plan import Plan
from edge.guard.results import finish_run
from edge.guard.supervisor import Guard
from framegate_client.connection import Connection
from tests.support import render
from tests.support.guards import Site, site

pytestmark = pytest.mark.guard

LAT, LON = "47.376913", "8.541694"
PIECE = 24  # bytes: eight pixels in a row
ENDLESS = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture(scope="module")
def kiosk(tmp_path_factory: pytest.TempPathFactory, face_model: Path) -> Site:
    """A room for four seconds, with a band of noise in it that no other data looks like."""
    folder = tmp_path_factory.mktemp("kiosk")
    frames = list(render.lived_in(render.room(), 120))
    noise = np.random.default_rng(50).integers(0, 256, (16, 160, 3), np.uint8)
    for frame in frames:
        frame[40:56, 80:240] = noise
    clip = render.write_clip(folder / "room.avi", frames)
    return site(folder / "site", clip, clip, face_model)


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where temporary files go; a short name, for a socket lies there."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def pieces(clip: Path) -> set[bytes]:
    """Bytes of every tenth frame as it is captured, each as it is and in the usual disguises."""
    found: set[bytes] = set()
    for number, shot in enumerate(FileCamera(clip).shots()):
        if number % 10:
            continue
        for y in (42, 48, 54):
            row = shot.frame[y, 80:240].tobytes()
            for start in range(0, len(row) - PIECE, 3 * 40):
                piece = row[start : start + PIECE]
                found.add(piece)
                found.add(piece.hex().encode())
                found.update(base64.b64encode(piece[skip:])[:24] for skip in range(3))
    return found


def left_in(folders: list[Path]) -> Iterator[tuple[Path, bytes]]:
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path, path.read_bytes()


def new_in_shared_memory(before: set[str]) -> Iterator[tuple[Path, bytes]]:
    """What came into shared memory by name; other programs of the machine use it too."""
    for name in set(os.listdir("/dev/shm")) - before:
        with contextlib.suppress(OSError):
            yield Path("/dev/shm", name), Path("/dev/shm", name).read_bytes()


def core_files_are_written(folder: Path) -> bool:
    """Whether a plain process that crashes here, as the guard's do below, leaves its memory."""
    crash = "import os, resource; resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)); os.abort()"
    subprocess.run([sys.executable, "-c", crash], cwd=folder, stderr=subprocess.DEVNULL)
    cores = list(folder.iterdir())
    for core in cores:
        core.unlink()
    return bool(cores)


@pytest.mark.parametrize(
    "crashes",
    [
        None,
        "gate",
        pytest.param("decider", marks=pytest.mark.long),
        pytest.param("capture", marks=pytest.mark.long),
    ],
)
def test_a_whole_run_leaves_no_picture_and_no_position_behind(
    kiosk: Site,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    crashes: str | None,
) -> None:
    out, here = tmp_path / "out", tmp_path / "here"
    for folder in (out, here):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    telemetry = tmp_path / "board.csv"
    rows = [f"{i / 50:.2f},1,D-0017,0,{i % 7 / 1e4},0,0,0,0,9.81,{LAT},{LON}" for i in range(1500)]
    heads = "t_s,dock,dock_id,tamper,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,accel_x_m_s2,"
    telemetry.write_text("\n".join([f"{heads}accel_y_m_s2,accel_z_m_s2,lat_deg,lon_deg", *rows]))
    if crashes and not core_files_are_written(here):
        pytest.skip("this machine writes no core files where a process runs")
    shared = set(os.listdir("/dev/shm"))
    plan = Plan(
        source=str(kiosk.clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        board_arguments=("--telemetry", str(telemetry)),
        audit=out / "audit",
    )
    got = 0
    with Guard(plan, print) as guard:
        matcher = Connection(*guard.environment.values())
        for child in guard.children.values():
            resource.prlimit(child.pid, resource.RLIMIT_CORE, ENDLESS)
        while not guard.over and guard.failure is None:
            guard.turn()
            while matcher.read(timeout_s=0) is not None:
                got += 1
            if crashes and got > 10:
                guard.children[crashes].process.send_signal(signal.SIGABRT)
                crashes = None
        matcher.close()
    finish_run(guard, out)
    words = capfd.readouterr()
    (out / "words").write_text(words.out + words.err)

    sought = pieces(kiosk.clip) | {LAT[:7].encode(), LON[:7].encode()}
    left = dict(left_in([out, here, temporary]))
    left.update(new_in_shared_memory(shared))
    assert got > 10
    assert {"summary.json", "decisions.jsonl", "report.html", "words"} <= {p.name for p in left}
    assert [path for path, data in left.items() if any(piece in data for piece in sought)] == []
    assert list(here.iterdir()) == []  # no core file


def test_the_search_finds_what_it_looks_for(kiosk: Site, tmp_path: Path) -> None:
    shot = next(iter(FileCamera(kiosk.clip).shots()))
    (tmp_path / "crop").write_bytes(shot.frame[40:56, 80:240].tobytes())
    (tmp_path / "text").write_text(base64.b64encode(shot.frame[48, 80:240].tobytes()).decode())

    found = [data for _, data in left_in([tmp_path]) if any(p in data for p in pieces(kiosk.clip))]

    assert len(found) == 2
