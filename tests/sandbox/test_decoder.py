"""What parses hostile video can do little else; and it can still parse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge import isolation
from edge.sandbox import decoder
from edge.sandbox.decoder import Needs
from edge.sandbox.seccomp import MACHINES
from tests.support import render

ROOT = Path(__file__).resolve().parents[2]
TRIES = """
import ctypes, json, os, socket, subprocess, sys
from pathlib import Path
from edge.cameras.opencv import FileCamera
from edge.sandbox.decoder import Needs, confine
clip, secret, needs = sys.argv[1], sys.argv[2], sys.argv[3]
lacking = confine(Needs.of(clip if needs == "file" else needs))
def tried(work):
    try:
        work()
    except OSError as err:
        return err.errno
    return 0
libc = ctypes.CDLL(None, use_errno=True)
def traced():
    if libc.ptrace(0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
NAMES = ("CapEff", "NoNewPrivs", "Seccomp:")
found = {
    "lacking": lacking,
    "frames": sum(1 for _ in FileCamera(Path(clip)).shots()) if needs == "file" else 0,
    "secret": tried(lambda: open(secret).read()),
    "write": tried(lambda: open(secret, "a").write("x")),
    "socket": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()),
    "program": tried(lambda: subprocess.run(["/bin/true"], check=False)),
    "trace": tried(traced),
    "namespace": tried(lambda: os.unshare(0x10000000)) if hasattr(os, "unshare") else 1,
    "rights": [line.split()[1] for line in open("/proc/self/status") if line.startswith(NAMES)],
}
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    ("machine", "lacks"), [("x86_64", set()), ("aarch64", {"mknod", "iopl", "ioperm"})]
)
def test_each_call_that_is_refused_has_a_number_on_each_machine(
    machine: str, lacks: set[str]
) -> None:
    """A name without a number would be allowed."""
    tables = MACHINES[machine]
    refused = {*decoder._NEVER, *decoder._NETWORK, *decoder._PROGRAMS}

    assert refused - lacks == {*tables.reported, *tables.decoder}


def tries(tmp_path: Path, needs: str) -> dict[str, object]:
    clip = render.write_clip(tmp_path / "room.avi", render.still(render.room(), 5))
    secret = tmp_path / "secret"
    secret.write_text("a key\n")
    script = tmp_path / "tries.py"
    script.write_text(TRIES)
    run = [sys.executable, script, clip, secret, needs]
    named = isolation.environment({"PYTHONPATH": str(ROOT)})
    done = subprocess.run(run, capture_output=True, text=True, env=named, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    if found["lacking"]:
        pytest.skip(f"this kernel lacks a layer: {found['lacking']}")
    return found


@pytest.mark.slow
def test_a_recording_is_decoded_and_nothing_else_can_be_done(tmp_path: Path) -> None:
    found = tries(tmp_path, "file")

    assert found["frames"] == 5  # the twin: it still does its work
    for deed in ("secret", "write", "socket", "program", "trace", "namespace"):
        assert found[deed] != 0, deed
    keeps, privileges, filtered = found["rights"]
    assert int(keeps, 16) & ~(1 << 2) == 0
    assert (privileges, filtered) == ("1", "2")


@pytest.mark.slow
def test_a_stream_keeps_its_network_and_a_pipeline_its_program(tmp_path: Path) -> None:
    stream = tries(tmp_path, "rtsp://127.0.0.1/live")
    assert (stream["socket"], stream["trace"] != 0, stream["program"] != 0) == (0, True, True)

    pipeline = tries(tmp_path, "gst:videotestsrc")
    assert (pipeline["socket"], pipeline["program"], pipeline["trace"] != 0) == (0, 0, True)


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        ("gst:v4l2src", Needs(network=True, programs=True)),
        ("RTSP://cam/1", Needs(network=True)),
        ("0", Needs()),
        ("/dev/video0", Needs()),
        ("picamera2:0", Needs()),
        ("clip.mp4", Needs(file=Path("clip.mp4"))),
    ],
)
def test_a_source_is_left_what_it_needs(source: str, needs: Needs) -> None:
    assert Needs.of(source) == needs
