"""What is good for a trial only, beside a real camera: a made-up board, a view not enforced."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from edge.audit.proofs.verify import verify_log
from edge.cameras.identity import CameraIdentity
from edge.clock import BootClock, S
from edge.commissioning.keys import RecordKind
from edge.errors import UsageError
from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from edge.reasons import Reason
from edge.report.record import FrameDecision, Outcome
from edge.view.view_file import Enrolment, SceneCheck, ViewFile
from framegate_client.connection import Connection
from tests.support import render
from tests.support.guards import Line, Site, site

pytestmark = pytest.mark.guard

ALLOWED = "[board]\nvirtual = true\n[clock]\nunproven = true\n[capture]\nmax_lag_ms = 100\n"


class Stream(BaseHTTPRequestHandler):
    """A network camera: motion JPEG, thirty frames a second; it goes on where it was left."""

    shots: ClassVar[Iterator[np.ndarray]]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=next")
        self.end_headers()
        due = time.monotonic()
        for shot in self.shots:
            frame = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(frame)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + frame + b"\r\n")
            except OSError:
                return
            due += 1 / 30
            time.sleep(max(0.0, due - time.monotonic()))

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def kiosk(tmp_path: Path, lived_in: Callable[[int], Path], face_model: Path) -> Site:
    clip = lived_in(90)
    return site(tmp_path / "site", clip, clip, face_model)


@pytest.fixture
def camera(kiosk: Site) -> Iterator[str]:
    """The address of a network camera that sees the room; the view is enrolled with it."""
    handler = type("Room", (Stream,), {"shots": render.lived_in(render.room(), 10_000)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/room.mjpg"
    enrol(kiosk, address, Enrolment.ENFORCED, SceneCheck.PRIVATE)
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


def enrol(kiosk: Site, address: str, enrolment: Enrolment, scene: SceneCheck) -> None:
    """Make the view one that was enrolled with the network camera, as strictly as said."""
    view = kiosk.folder / "site.view"
    found = ViewFile.from_bytes(view.read_bytes())
    digest = CameraIdentity("stream", bus=address).digest
    found = replace(found, camera=digest, enrolment=enrolment, scene=scene)
    view.write_bytes(found.to_bytes())
    kiosk.store.sign_file(view, RecordKind.VIEW)


def sign(kiosk: Site, address: str, more: str = "") -> None:
    """A record that names the network camera."""
    kiosk.sign()
    text = kiosk.device.read_text().replace("[identity]\n", f'[identity]\nbus = "{address}"\n')
    kiosk.device.write_text(text + more)
    kiosk.store.sign_file(kiosk.device, RecordKind.DEVICE)


def plan(kiosk: Site, source: str, **more: str) -> Plan:
    return Plan(
        source=source,
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        audit=kiosk.folder / "audit",
        **more,
    )


def play(chosen: Plan, say: list[str], *, enough: int = 60) -> tuple[list[FrameDecision], int]:
    """What the guard decided in seven seconds, and how many frames a matcher got.

    It is ended earlier once the matcher got `enough`, or nothing of three seconds.
    """
    got = 0
    clock = BootClock()
    with (
        Guard(chosen, say.append) as guard,
        closing(Connection(*guard.environment.values())) as matcher,
    ):
        end_ns = clock.now_ns() + 7 * S
        while not guard.over and clock.now_ns() < end_ns and got < enough:
            if not got and len(guard.recorder.decisions) > 90:
                break
            guard.turn()
            while matcher.read(timeout_s=0) is not None:
                got += 1
        return guard.recorder.decisions, got


def board_in_log(kiosk: Site) -> list[str]:
    """What every start in the log says of the board."""
    entries: list[dict[str, Any]] = []
    verify_log(
        kiosk.folder / "audit",
        kiosk.store.log_verifier(),
        on_entry=lambda index, data, fields: entries.append(fields),
    )
    return [entry["board"] for entry in entries if entry["kind"] == "start"]


def test_a_camera_without_a_board_is_refused_before_anything_starts(
    kiosk: Site, camera: str
) -> None:
    sign(kiosk, camera)

    with pytest.raises(UsageError, match=r"a camera needs a real board.*--board.*D\.toml"):
        Guard(plan(kiosk, camera), [].append)


@pytest.mark.parametrize(
    ("enrolment", "scene", "good"),
    [
        (Enrolment.UNENFORCED, SceneCheck.UNCHECKED, False),
        (Enrolment.UNENFORCED, SceneCheck.PRIVATE, False),
        (Enrolment.ENFORCED, SceneCheck.UNCHECKED, False),
        (Enrolment.ENFORCED, SceneCheck.PRIVATE, True),
    ],
)
def test_a_view_enrolled_for_a_trial_is_not_one_for_a_camera(
    kiosk: Site, camera: str, enrolment: Enrolment, scene: SceneCheck, good: bool
) -> None:
    sign(kiosk, camera, ALLOWED)
    enrol(kiosk, camera, enrolment, scene)

    if good:
        Guard(plan(kiosk, camera), [].append).close()  # the tests below see its frames flow
    else:
        with pytest.raises(UsageError, match=r"site\.view is a trial.*recordings only"):
            Guard(plan(kiosk, camera), [].append)


def test_run_with_a_camera_and_no_board_is_one_line_and_exit_code_2(kiosk: Site) -> None:
    kiosk.sign()
    command = [sys.executable, "-m", "edge.cli", "run", "--source", "0"]
    command += ["--device", str(kiosk.device), "--session", str(kiosk.session)]
    command += ["--keys", str(kiosk.store.directory), "--out", str(kiosk.folder / "out")]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "--board" in done.stderr


def test_a_made_up_board_on_a_port_is_not_believed_beside_a_camera(
    kiosk: Site, camera: str
) -> None:
    sign(kiosk, camera)
    line = Line(kiosk.store.board_key())
    try:
        decisions, got = play(plan(kiosk, camera, board=line.port), [])
    finally:
        line.close()

    assert len(decisions) > 60
    assert got == 0
    assert all(d.verdict is Outcome.BLOCK for d in decisions)
    causes = set(decisions[-1].reasons)
    assert Reason.BOARD_VIRTUAL in causes
    assert board_in_log(kiosk) == ["real"]


@pytest.mark.parametrize(
    "port", [pytest.param(False, marks=pytest.mark.long), True], ids=["by the guard", "on a port"]
)
def test_the_signed_record_lets_a_made_up_board_stand_in_and_the_log_says_so(
    kiosk: Site, camera: str, port: bool
) -> None:
    sign(kiosk, camera, ALLOWED)
    lines: list[str] = []
    line = Line(kiosk.store.board_key()) if port else None
    try:
        chosen = plan(kiosk, camera) if line is None else plan(kiosk, camera, board=line.port)
        decisions, got = play(chosen, lines)
    finally:
        if line is not None:
            line.close()

    assert sum(d.verdict is Outcome.PASS for d in decisions) > 30, (lines, decisions[-40:])
    assert got > 30
    assert any("virtual board" in line for line in lines)
    assert board_in_log(kiosk) == ["virtual"]


def test_a_recording_the_record_names_has_a_virtual_board_and_the_log_says_so(kiosk: Site) -> None:
    lines: list[str] = []

    _, got = play(plan(kiosk, str(kiosk.clip)), lines)

    assert got > 30
    assert any("virtual board" in line for line in lines)
    assert board_in_log(kiosk) == ["virtual"]
