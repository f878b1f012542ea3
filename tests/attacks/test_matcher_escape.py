"""A matcher that tries to get out is seen, ended and not started again (attacks D16 to D18).

The twins are matchers that work: they are never reported.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from edge.audit.proofs.verify import verify_log
from edge.guard.plan import Plan
from edge.guard.processes import spawn_sandboxed
from edge.guard.supervisor import Guard
from edge.reasons import Reason
from edge.sandbox import seccomp
from edge.sandbox import spec as sandbox
from edge.sandbox.notifier import QUIET_SOCKETS, SeccompNotifier
from edge.sandbox.spec import LAYERS, Confinement, Layer
from edge.wire import to_json
from tests.attacks.test_matcher_sandbox import MISSING, USEFUL
from tests.support.guards import Site, site
from tests.support.sandboxes import PRELUDE

pytestmark = [
    pytest.mark.skipif(not seccomp.can_report(), reason="this kernel reports no refused calls"),
    pytest.mark.skipif(Layer.SECCOMP in MISSING, reason="no filter can be put on here"),
]
ROOT = Path(__file__).resolve().parents[2]
HERE = [layer for layer in LAYERS if layer not in MISSING]


@contextmanager
def watched(code: str, *arguments: str, reads: tuple[Path, ...] = ()) -> Iterator[SeccompNotifier]:
    """Run Python `code` in the whole sandbox with a notifier; it has ended when this yields."""
    ours, theirs = socket.socketpair()
    channel, other = socket.socketpair()
    notifier = SeccompNotifier(ours)
    notifier.start()
    confinement = Confinement(without=frozenset(MISSING), reads=reads)
    command = (sys.executable, "-I", "-c", PRELUDE + code, *arguments)
    with theirs, channel, other:
        child = spawn_sandboxed(command, confinement, {}, channel.fileno(), theirs.fileno())
    try:
        assert child.process.wait(60) == 0
        yield notifier
    finally:
        child.end()
        notifier.close()


ATTEMPTS = {
    "connecting": ("held.connect('/run/systemd/notify')", "connect"),
    "binding": ("held.bind(b'\\0framegate')", "bind"),
    "listening": ("held.listen()", "listen"),
    "sending": ("held.sendto(b'x', '/dev/log')", "sendto an address"),
    "ptrace": ("libc.ptrace(16, os.getppid(), None, None)", "ptrace"),
    "another's memory": (
        "libc.process_vm_readv(os.getppid(), None, 0, None, 0, 0)",
        "process_vm_readv",
    ),
    "another's descriptor": ("call(438, 3, 1, 0)", "pidfd_getfd"),
    "a namespace": ("libc.unshare(0x10000000)", "unshare"),
    "a mount": ("libc.mount(b'none', b'/mnt', b'tmpfs', 0, None)", "mount"),
}


@pytest.mark.parametrize(("attempt", "expected"), ATTEMPTS.values(), ids=list(ATTEMPTS))
def test_an_attempt_fails_and_is_reported(attempt: str, expected: str) -> None:
    held = "held, peer = socket.socketpair()"  # the one kind of socket there can be
    code = f"{held}\nassert tried(lambda: {attempt}) == 'EPERM'"

    with watched(code) as notifier:
        assert notifier.attempt == expected


FAMILIES = {"AF_INET": "IPv4", "AF_INET6": "IPv6", "AF_NETLINK": "netlink"}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_look_for_a_network_is_refused_quietly_and_going_on_is_reported(family: str) -> None:
    code = (
        f"for _ in range(int(sys.argv[1])):\n"
        f"    made = tried(lambda: socket.socket(socket.{family}, socket.SOCK_DGRAM))\n"
        f"    assert made == 'EAFNOSUPPORT', made"
    )

    with watched(code, str(QUIET_SOCKETS)) as notifier:
        assert notifier.attempt == ""
    with watched(code, str(QUIET_SOCKETS + 1)) as notifier:
        assert notifier.attempt == f"socket of {FAMILIES[family]}, 17 sockets asked for"


LIBRARIES = [
    "requests", "urllib3", "numpy", "cv2", "onnxruntime", "PIL.Image", "matplotlib.figure",
    "supervision", "multiprocessing.pool", "asyncio", "gi.repository.Gst",
]  # fmt: skip
GST = """
import gi
gi.require_version('Gst', '1.0')
from gi.repository import Gst
Gst.init(None)
assert Gst.parse_launch('videotestsrc num-buffers=2 ! fakesink') is not None
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_much_used_library_is_no_attempt(library: str) -> None:
    try:
        found = importlib.util.find_spec(library)
    except ImportError:
        found = None
    if found is None:
        pytest.skip(f"{library} is not installed")

    with watched(GST if library.startswith("gi.") else f"import {library}") as notifier:
        assert notifier.attempt == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="names are read from the matcher's memory by root")
@pytest.mark.parametrize(
    "name", ["/dev/video0", "/dev/../dev/video17", "/proc/self/root/dev/video0", "/dev/media3"]
)
def test_opening_a_camera_fails_and_is_reported(name: str) -> None:
    code = f"assert tried(lambda: os.open({name!r}, os.O_RDWR | os.O_NONBLOCK)) == 'EPERM'"

    with watched(code) as notifier:
        assert notifier.attempt.startswith("open /dev/")


QUIET = """
import pwd
tried(lambda: pwd.getpwall() and None)
try:
    pwd.getpwuid(4242)
except KeyError:
    pass
tried(lambda: os.open("/dev/null", os.O_RDWR))
tried(lambda: os.open("/nowhere/video0", os.O_RDWR))
tried(lambda: os.kill(os.getppid(), 0))
for _ in range(99):
    assert tried(lambda: socket.socket(socket.AF_UNIX)) == "EAFNOSUPPORT"
tried(lambda: open("/etc/shadow", "r+b"))
tried(lambda: os.memfd_create("x"))
"""


def test_what_an_honest_program_runs_into_is_no_attempt() -> None:
    with watched(QUIET) as notifier:
        assert notifier.attempt == ""


WORKERS = """
import multiprocessing, signal, tempfile
from multiprocessing import shared_memory
def double(x):
    return 2 * x
with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory() as folder:
    file.write(b"x")
shared = shared_memory.SharedMemory(create=True, size=4096)
shared.close()
shared.unlink()
context = multiprocessing.get_context("fork")
queue = context.Queue()
queue.put(1)
assert queue.get(timeout=20) == 1
with context.Pool(2) as pool:
    assert pool.map(double, [1, 2]) == [2, 4]
"""
SIGNALS = """
child = os.fork()
if child == 0:
    import time
    time.sleep(60)
for other in (os.getppid(), 1, -1, -os.getppid()):
    assert tried(lambda: os.kill(other, 0)) == "EPERM", other
os.kill(child, 15)
assert os.waitpid(child, 0)[1] == 15
"""


@pytest.mark.parametrize("code", [WORKERS, SIGNALS], ids=["workers", "signals"])
def test_a_matcher_has_children_shares_memory_with_them_and_ends_them(code: str) -> None:
    with watched(code) as notifier:
        assert notifier.attempt == ""


@pytest.mark.slow
def test_numpy_opencv_and_onnxruntime_are_never_reported(face_model: Path) -> None:
    with watched(USEFUL, str(face_model), reads=(face_model,)) as notifier:
        assert notifier.attempt == ""


def test_where_there_is_no_listener_the_calls_are_refused_all_the_same() -> None:
    code = f"{PRELUDE}\nassert tried(lambda: socket.socket()) in ('EAFNOSUPPORT', 'ENOSYS')"
    ours, theirs = socket.socketpair()
    ours.close()  # nobody takes the listener
    order = sandbox.order(
        (sys.executable, "-I", "-c", code),
        Confinement(without=frozenset(MISSING)),
        -1,
        theirs.fileno(),
    )

    with theirs:
        run = subprocess.run(
            [sys.executable, "-m", "edge.sandbox.launcher", to_json(order)],
            env=sandbox.environment({}),
            capture_output=True,
            pass_fds=(theirs.fileno(),),
            timeout=60,
        )

    assert run.returncode in (0, sandbox.REFUSED), run.stderr


@pytest.fixture
def kiosk(tmp_path: Path, lived_in: Callable[[int], Path], face_model: Path) -> Site:
    clip = lived_in(300)
    return site(tmp_path / "site", clip, clip, face_model)


ESCAPE = """
import os, socket, time
from framegate_client.connection import connect
frames = connect()
frames.read()
if os.fork():
    time.sleep(60)
try:
    socket.socketpair()[0].connect("/run/systemd/notify")
except OSError:
    time.sleep(60)
"""


def rights(pid: int) -> dict[str, str]:
    """What the kernel lets a process do, by the names in its `status`."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def alive_in(group: int) -> list[int]:
    """Processes of a group that have not ended; one that nobody waited for has."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, _, number = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(number) == group and state not in "ZX":
                    found.append(int(entry.name))
    return found


@pytest.mark.guard
def test_an_attempt_ends_the_matcher_and_blocks_the_guard(kiosk: Site) -> None:
    output: list[str] = []
    plan = Plan(
        source=str(kiosk.clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        matcher=(sys.executable, "-c", ESCAPE),
        confinement=Confinement(),
        audit=kiosk.folder / "audit",
    )
    with Guard(plan, output.append) as guard:
        assert guard.matcher.child is not None
        group = guard.matcher.child.pid
        while not guard.matcher.escaped:
            assert not guard.over
            guard.turn()
        seen = guard.recorder
        deadline = time.monotonic() + 10
        while (
            seen.outlook is None or Reason.MATCHER_ESCAPE_ATTEMPT not in seen.outlook.reasons
        ) and time.monotonic() < deadline:
            guard.turn()
        for _ in range(50):
            guard.turn()
        assert seen.outlook is not None
        assert not seen.outlook.permitted
        assert guard.matcher.child is None  # and it is not started again
        assert alive_in(group) == []  # nor is anything left that came from it

    assert any("MATCHER_ESCAPE_ATTEMPT: the matcher tried: connect" in line for line in output)
    logged: list[str] = []
    tried: list[str] = []

    def hear(index: int, entry: object, fields: dict[str, Any]) -> None:
        logged.extend(fields.get("reasons", []))
        tried.extend(fields[name] for name in ("tried",) if name in fields)

    verify_log(kiosk.folder / "audit", kiosk.store.log_verifier(), on_entry=hear)
    assert "MATCHER_ESCAPE_ATTEMPT" in logged
    assert tried == ["connect"]


@pytest.mark.long
@pytest.mark.guard
def test_a_guard_that_knows_of_an_attempt_starts_no_matcher(kiosk: Site) -> None:
    plan = Plan(
        source=str(kiosk.clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        matcher=(sys.executable, "-c", ESCAPE),
        confinement=Confinement(),
        escaped="connect",
        audit=kiosk.folder / "audit",
    )
    with Guard(plan, lambda line: None) as guard:
        decoder, other = (rights(guard.children[name].pid) for name in ("capture", "decider"))
        guard.run()
        decisions = guard.recorder.decisions

    # what decodes video is confined, whoever started the guard; the decider is the twin
    assert (decoder["NoNewPrivs"], decoder["Seccomp"]) == ("1", "2")
    assert int(decoder["CapEff"], 16) & ~(1 << 2) == 0
    assert other["Seccomp"] == rights(os.getpid())["Seccomp"]

    assert guard.matcher.child is None
    assert all(decision.verdict.value == "block" for decision in decisions)


@pytest.mark.guard
def test_framegate_run_says_what_was_tried_and_exits_1(kiosk: Site, tmp_path: Path) -> None:
    script = tmp_path / "escape.py"
    script.write_text(ESCAPE)
    command = [
        *(sys.executable, "-m", "edge.cli", "run", "--source", kiosk.clip),
        *("--device", kiosk.device, "--session", kiosk.session, "--keys", kiosk.store.directory),
        *("--matcher", f"{sys.executable} {script}", "--out", tmp_path / "out"),
    ]

    done = subprocess.run(map(str, command), capture_output=True, text=True, timeout=100, cwd=ROOT)

    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("framegate: MATCHER_ESCAPE_ATTEMPT: the matcher tried: connect; ")
