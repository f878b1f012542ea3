"""A matcher that tries to get out (attacks D16 to D18, D21): each layer is tried by itself.

The twin of each attack runs it behind no layer, or does what a matcher may do:
there it succeeds, so a refusal is the layer's doing.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import SandboxError
from edge.sandbox import landlock
from edge.sandbox import spec as sandbox
from edge.sandbox.spec import LAYERS, REFUSED, Confinement, Layer
from tests.support.sandboxes import in_sandbox, let_others_in, report_of, root

MISSING = sandbox.missing()
HERE = [layer for layer in LAYERS if layer not in MISSING]
ALONE = {
    Layer.LANDLOCK: (Layer.NO_NEW_PRIVS, Layer.LANDLOCK),  # the kernel asks for both
    Layer.SECCOMP: (Layer.NO_NEW_PRIVS, Layer.SECCOMP),
}

needs_root = pytest.mark.skipif(not root(), reason="another user and device nodes take root")


def behind(layer: Layer) -> tuple[Layer, ...]:
    """The layer by itself; skips where this machine does not have it."""
    if layer in MISSING:
        pytest.skip(MISSING[layer])
    return ALONE.get(layer, (layer,))


READ = "tell({'read': tried(lambda: open(sys.argv[1], 'rb').read(1))})"


@pytest.mark.slow
def test_a_matcher_reads_what_it_was_given_and_nothing_else(tmp_path: Path) -> None:
    own, other = tmp_path / "gallery", tmp_path / "secret"
    for path in (own, other):
        path.write_text("x")

    sandboxed = behind(Layer.LANDLOCK)

    assert report_of(in_sandbox(READ, sandboxed, str(own), reads=(own,))) == {"read": "done"}
    # the argument itself is a file that the command names, so it goes in by a variable
    hidden = READ.replace("sys.argv[1]", repr(str(other)))
    assert report_of(in_sandbox(hidden, sandboxed)) == {"read": "EACCES"}
    assert report_of(in_sandbox(hidden, ())) == {"read": "done"}


WRITE = """
tell({'write': tried(lambda: open(sys.argv[1] + '/note', 'w').write('x')),
      'node': tried(lambda: os.mknod(sys.argv[1] + '/pipe', 0o010600))})
"""


def test_a_matcher_writes_only_in_a_folder_it_was_given(tmp_path: Path) -> None:
    sandboxed = behind(Layer.LANDLOCK)

    assert report_of(in_sandbox(WRITE, sandboxed, str(tmp_path))) == {
        "write": "EACCES",
        "node": "EACCES",
    }
    given = report_of(in_sandbox(WRITE, sandboxed, str(tmp_path), writes=(tmp_path,)))
    assert given == {"write": "done", "node": "EACCES"}


@needs_root
@pytest.mark.parametrize("layer", [Layer.LANDLOCK, Layer.OWN_UID])
def test_a_matcher_cannot_take_the_camera(layer: Layer, tmp_path: Path) -> None:
    let_others_in(tmp_path)
    camera = tmp_path / "video0"
    try:
        os.mknod(camera, stat.S_IFCHR | 0o660, os.makedev(1, 3))
    except OSError as err:
        pytest.skip(f"no device node can be made here: {err.strerror}")
    code = READ.replace("sys.argv[1]", repr(str(camera)))

    assert report_of(in_sandbox(code, behind(layer))) == {"read": "EACCES"}
    assert report_of(in_sandbox(code, ())) == {"read": "done"}


SPY = """
pid, address = int(sys.argv[1]), int(sys.argv[2])
buffer = ctypes.create_string_buffer(8)
class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
def vm_read():
    mine, theirs = Vector(ctypes.addressof(buffer), 8), Vector(address, 8)
    return libc.process_vm_readv(pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
def attach():
    found = libc.ptrace(16, pid, None, None)
    if found == 0:
        os.waitpid(pid, 0x40000000)
        libc.ptrace(17, pid, None, None)
    return found
def take_descriptor():
    handle = call(434, pid, 0)
    return handle if handle < 0 else call(438, handle, 1, 0)
tell({'mem': tried(lambda: open(f'/proc/{pid}/mem', 'rb')), 'vm': tried(vm_read),
      'ptrace': tried(attach), 'pidfd': tried(take_descriptor)})
"""
VICTIM = """
import ctypes, sys
kept = ctypes.create_string_buffer(b"frames", 4096)
print(ctypes.addressof(kept), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def victim() -> Iterator[tuple[str, str]]:
    """A process of this user with something to keep: (pid, address)."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", VICTIM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield str(process.pid), process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("layer", "refused"),
    [
        (Layer.OWN_UID, {"mem", "vm", "ptrace", "pidfd"}),
        (Layer.SECCOMP, {"vm", "ptrace", "pidfd"}),
        (Layer.LANDLOCK, {"mem", "vm", "ptrace", "pidfd"}),
    ],
    ids=lambda value: value.value if isinstance(value, Layer) else "",
)
def test_a_matcher_cannot_look_into_the_guard(
    layer: Layer, refused: set[str], victim: tuple[str, str]
) -> None:
    report = report_of(in_sandbox(SPY, behind(layer), *victim))

    assert {name for name, word in report.items() if word in ("EPERM", "EACCES")} >= refused


@needs_root
def test_without_its_sandbox_a_matcher_looks_into_the_guard(victim: tuple[str, str]) -> None:
    assert set(report_of(in_sandbox(SPY, (), *victim)).values()) == {"done"}


SHIP = """
tcp, udp, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def stream():
    with socket.socket() as s:
        s.settimeout(5)
        s.connect(("127.0.0.1", tcp))
def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"frame", ("127.0.0.1", udp))
def raw():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).sendto(bytes(8), ("127.0.0.1", 0))
def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\\0" + name)
def netlink():
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()
tell({'tcp': tried(stream), 'udp': tried(datagram), 'raw': tried(raw),
      'abstract': tried(abstract), 'netlink': tried(netlink)})
"""


@pytest.fixture
def ears(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """Someone who listens for frames on TCP, UDP and an abstract socket."""
    name = f"framegate-test-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        udp.bind(("127.0.0.1", 0))
        abstract.bind(f"\0{name}")
        abstract.listen()
        yield str(tcp.getsockname()[1]), str(udp.getsockname()[1]), name


@pytest.mark.parametrize(
    ("layer", "stopped"),
    [
        (Layer.SECCOMP, {"tcp", "udp", "raw", "abstract", "netlink"}),
        (Layer.NETWORK, {"tcp", "udp", "raw", "abstract"}),
        (Layer.LANDLOCK, {"tcp", "abstract"}),
    ],
    ids=lambda value: value.value if isinstance(value, Layer) else "",
)
def test_a_matcher_cannot_ship_frames(
    layer: Layer, stopped: set[str], ears: tuple[str, str, str]
) -> None:
    sandboxed = behind(layer)
    if layer is Layer.LANDLOCK:
        if landlock.version() < 4:
            pytest.skip("Landlock refuses TCP from version 4 on")
        if landlock.version() < 6:
            stopped = stopped - {"abstract"}

    report = report_of(in_sandbox(SHIP, sandboxed, *ears))

    assert {name for name in stopped if report[name] == "done"} == set(), report


@needs_root
def test_without_its_sandbox_a_matcher_ships_frames(ears: tuple[str, str, str]) -> None:
    assert set(report_of(in_sandbox(SHIP, (), *ears)).values()) == {"done"}


CALLS = """
tell({
  'namespace': tried(lambda: libc.unshare(0x10000000)),
  'clone': tried(lambda: call(56, 0x10000000 | 17, 0, 0, 0, 0) or os._exit(0)),
  'memfd': tried(lambda: libc.memfd_create(b'x', 0)),
  'mount': tried(lambda: libc.mount(b'none', b'/mnt', b'tmpfs', 0, None)),
  'io_uring': tried(lambda: call(425, 8, None)),
  'bpf': tried(lambda: call(321, 0, None, 0)),
  'keys': tried(lambda: call(250, 0, -3, 0)),
  'signal': tried(lambda: os.kill(os.getppid(), 0)),
  'terminal': tried(lambda: libc.ioctl(0, 0x5412, b'x')),
  'readable': tried(lambda: libc.prctl(4, 1, 0, 0, 0)),
  'limit': tried(lambda: libc.prlimit(os.getppid(), 7, None, ctypes.create_string_buffer(16))),
  'hide': tried(lambda: libc.prctl(4, 0, 0, 0, 0)),
  'pair': tried(lambda: socket.socketpair()),
  'thread': tried(lambda: __import__('threading').Thread(target=len, args=('',)).start()),
  'child': tried(lambda: os.waitpid(os.fork() or os._exit(0), 0)),
})
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the attack names x86_64 call numbers")
def test_a_matcher_makes_no_system_call_it_does_not_need() -> None:
    report = report_of(in_sandbox(CALLS, behind(Layer.SECCOMP)))

    needed = {"hide", "pair", "thread", "child"}
    assert {name for name, word in report.items() if word == "done"} == needed
    assert {word for name, word in report.items() if name not in needed} == {"EPERM"}


@needs_root
def test_a_matcher_gains_no_rights_from_a_program_that_has_them(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    program = shutil.which("id")
    assert program is not None
    risen = tmp_path / "risen"
    shutil.copy(program, risen)
    risen.chmod(0o4755)
    if os.statvfs(tmp_path).f_flag & os.ST_NOSUID:
        pytest.skip("programs here are not given their owner's rights")
    code = f"os.execv({str(risen)!r}, ['id'])"

    plain = in_sandbox(code, (Layer.OWN_UID,))
    sandboxed = in_sandbox(code, (Layer.OWN_UID, *behind(Layer.NO_NEW_PRIVS)))

    assert "euid=0" in plain.stdout
    assert sandboxed.stdout.startswith(f"uid={sandbox.NOBODY}")
    assert "euid" not in sandboxed.stdout


STATUS = """
tell({line.split(':')[0]: line.split()[1] for line in open('/proc/self/status')
      if line.startswith(('Cap', 'NoNewPrivs', 'Uid'))})
"""


def test_a_matcher_keeps_none_of_the_rights_of_root() -> None:
    report = report_of(in_sandbox(STATUS, behind(Layer.NO_NEW_PRIVS)))

    assert report["NoNewPrivs"] == "1"
    assert int(report["CapEff"], 16) == int(report["CapPrm"], 16) == 0


def test_a_matcher_that_crashes_leaves_no_core() -> None:
    code = "import resource; tell(resource.getrlimit(resource.RLIMIT_CORE))"

    sandboxed = in_sandbox(code, behind(Layer.NO_CORE))

    assert sandboxed.stdout.strip() in ("[1, 1]", "[0, 0]")
    ours = resource.getrlimit(resource.RLIMIT_CORE)
    assert in_sandbox(code, ()).stdout.strip() == str(list(ours))


OPEN = "tell([n for n in range(1024) if tried(lambda: os.fstat(n) and None) == 'done'])"


def test_a_matcher_inherits_its_streams_and_one_socket() -> None:
    below = os.memfd_create("frames", 0)
    one, other = socket.socketpair()
    above = os.memfd_create("frames", 0)
    with one, other:
        sandboxed = in_sandbox(OPEN, behind(Layer.DESCRIPTORS), fd=one.fileno(), fds=(below, above))
        plain = in_sandbox(OPEN, (), fd=one.fileno(), fds=(below, above))
        wanted = [0, 1, 2, one.fileno()]
    os.close(below)
    os.close(above)

    assert sandboxed.stdout.strip() == str(wanted)
    assert plain.stdout.strip() == str(sorted([*wanted, below, above]))


USEFUL = """
import cv2, numpy, onnxruntime
ones = numpy.ones((64, 64), numpy.float32)
assert (ones @ ones)[0, 0] == 64
assert cv2.resize(numpy.zeros((480, 640, 3), numpy.uint8), (64, 48)).shape == (48, 64, 3)
onnxruntime.set_default_logger_severity(4)
session = onnxruntime.InferenceSession(sys.argv[1])
shape = session.get_inputs()[0].shape
session.run(None, {session.get_inputs()[0].name: numpy.zeros(shape, numpy.float32)})
tell({'uid': os.getuid()})
"""


@pytest.mark.slow
def test_a_matcher_with_numpy_opencv_and_onnxruntime_works_in_the_whole_sandbox(
    face_model: Path,
) -> None:
    run = in_sandbox(USEFUL, HERE, str(face_model))

    assert report_of(run)["uid"] == (sandbox.NOBODY if Layer.OWN_UID in HERE else os.getuid())


@needs_root
def test_a_folder_closed_to_the_matcher_shows_it_only_what_it_was_given(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name in ("given", "kept"):
        (home / name).write_text("x")
    let_others_in(tmp_path)
    home.chmod(0o700)
    code = f"tell(sorted(os.listdir({str(home)!r})))"

    sandboxed = in_sandbox(code, (Layer.OWN_UID,), reads=(home / "given",))

    assert sandboxed.stdout.strip() == '["given"]', sandboxed.stderr
    assert sorted(path.name for path in home.iterdir()) == ["given", "kept"]


@pytest.mark.parametrize("uid", [0, -1], ids=["root", "no user"])
def test_a_layer_that_cannot_be_put_on_keeps_the_matcher_from_starting(
    uid: int, tmp_path: Path
) -> None:
    run = in_sandbox("print('started')", (Layer.OWN_UID,), uid=uid)

    assert run.returncode == REFUSED
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1
    assert "own_uid" in run.stderr


def test_a_missing_layer_is_refused_unless_the_record_goes_without_it_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "missing", lambda: {Layer.LANDLOCK: "landlock: not here"})

    with pytest.raises(SandboxError, match=r'without = \["landlock"\]'):
        sandbox.require(Confinement())
    with pytest.raises(SandboxError, match="landlock: not here"):
        sandbox.require(Confinement(without=frozenset({Layer.SECCOMP})))
    sandbox.require(Confinement(without=frozenset({Layer.LANDLOCK})))


def test_a_matcher_that_is_no_program_is_refused_in_one_line() -> None:
    with pytest.raises(SandboxError, match="expected a program"):
        sandbox.order(("no-such-matcher",), Confinement(), -1)
