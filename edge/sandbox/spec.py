"""The matcher's sandbox: what it is made of, what of it this machine has, and its order form.

The guard starts the matcher through `edge.sandbox.launcher`, which puts the layers
on itself and then becomes the matcher. Every layer is asked for by name; one
that is missing means that the matcher is not started, unless the signed
device record goes without it by name (`[matcher] without`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from edge import isolation
from edge.errors import SandboxError

NOBODY = 65534
REFUSED = 77  # exit code of the sandbox when it did not start the matcher
_PROBE_S = 30.0
_UNTRIED = "the matcher's sandbox could not be tried"
_SILENCE = "ORT_DISABLE_TELEMETRY"  # a matcher's ONNX Runtime reports to nobody, and does not try


class Layer(Enum):
    """One wall of the sandbox; the value is its name in records and messages."""

    DESCRIPTORS = "descriptors"  # standard streams and the one socket, nothing else
    NETWORK = "network_namespace"  # a network of its own, with nothing in it
    OWN_UID = "own_uid"  # a user of its own, who owns nothing
    NO_NEW_PRIVS = "no_new_privs"  # none gained at exec, none of the old kept
    NO_CORE = "no_core"  # no core file, ended with the guard, memory closed to its like
    LANDLOCK = "landlock"  # files by name; TCP, where the kernel can
    SECCOMP = "seccomp"  # system calls by name


LAYERS = tuple(Layer)
LAYER_NAMES = tuple(layer.value for layer in Layer)

_SYSTEM_READS = (
    "/usr",
    "/bin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
)
_KEPT = ("PATH", "LANG", "TZ", "VIRTUAL_ENV", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_KEPT_PREFIXES = ("LC_", "PYTHON", "FRAMEGATE_")


@dataclass(frozen=True, slots=True)
class Confinement:
    """What a matcher is given inside its sandbox."""

    uid: int = NOBODY
    without: frozenset[Layer] = frozenset()  # only what a signed record says
    reads: tuple[Path, ...] = ()  # besides the system's and its interpreter's files
    writes: tuple[Path, ...] = ()

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(layer for layer in LAYERS if layer not in self.without)


@dataclass(frozen=True, slots=True)
class Order:
    """What the sandbox is told, as one JSON argument."""

    command: tuple[str, ...]
    layers: tuple[Layer, ...] = LAYERS
    uid: int = NOBODY
    fd: int = -1  # the control socket; -1 for none
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    report: int = -1  # where the sandbox sends its listener; closed before the matcher begins
    drop: tuple[str, ...] = field(default=())  # environment names that end with the sandbox

    def encode(self) -> str:
        return json.dumps(
            {
                "command": self.command,
                "layers": [layer.value for layer in self.layers],
                "uid": self.uid,
                "fd": self.fd,
                "reads": self.reads,
                "writes": self.writes,
                "report": self.report,
                "drop": self.drop,
            }
        )

    @classmethod
    def decode(cls, text: str) -> Order:
        fields = json.loads(text)
        return cls(
            tuple(fields["command"]),
            tuple(Layer(name) for name in fields["layers"]),
            fields["uid"],
            fields["fd"],
            tuple(fields["reads"]),
            tuple(fields["writes"]),
            fields["report"],
            tuple(fields["drop"]),
        )


def order(command: tuple[str, ...], confinement: Confinement, fd: int, report: int = -1) -> Order:
    """The order for `command`, with every file it may read named.

    Raises:
        SandboxError: there is no such program.
    """
    program = program_of(command)
    reads = [*interpreter_reads(program)]
    reads += [os.path.abspath(part) for part in command[1:] if os.path.isfile(part)]
    reads += [os.path.abspath(path) for path in confinement.reads]
    return Order(
        (program, *command[1:]),
        confinement.layers,
        confinement.uid,
        fd,
        tuple(dict.fromkeys(reads)),
        tuple(os.path.abspath(path) for path in confinement.writes),
        report,
        () if "OPENBLAS_NUM_THREADS" in os.environ else ("OPENBLAS_NUM_THREADS",),
    )


def program_of(command: tuple[str, ...]) -> str:
    """The absolute path of a matcher's program.

    Raises:
        SandboxError: there is none that this user may run.
    """
    program = shutil.which(command[0], path=isolation.search_path(os.environ))
    if program is None:
        raise SandboxError(
            f"matcher {command[0]!r}: expected a program that may be run, found none of that name"
        )
    return os.path.abspath(program)


def interpreter_reads(program: str = sys.executable) -> tuple[str, ...]:
    """What a program needs to read to run here at all: the system's files and its own."""
    own = [*_home_of(program), *_home_of(os.path.realpath(program))]
    return (*_SYSTEM_READS, *own, *_packages())


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a sandboxed matcher: what it needs to run, and `given`."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key in _KEPT or key.startswith(_KEPT_PREFIXES)
    }
    kept.setdefault("OPENBLAS_NUM_THREADS", "1")  # a sandbox with threads could not be closed
    return isolation.with_client({"HOME": "/", _SILENCE: "1", **kept, **given})


def missing() -> dict[Layer, str]:
    """The layers this machine cannot put on, each with why; tried in a process of its own.

    Raises:
        SandboxError: they could not be tried, which says nothing of any layer.
    """
    try:
        tried = subprocess.run(
            isolation.python("edge.sandbox.launcher", "--probe"),
            env=environment({}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_S,
        )
    except subprocess.TimeoutExpired as err:
        raise SandboxError(f"{_UNTRIED}: no answer within {_PROBE_S:.0f} s") from err
    except OSError as err:
        raise SandboxError(f"{_UNTRIED}: {sys.executable}: {err.strerror}") from err
    if tried.returncode != 0:
        output = tried.stderr.decode(errors="replace").strip().splitlines()
        code = tried.returncode
        how = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise SandboxError(f"{_UNTRIED}: the trial {how}: {output[-1] if output else 'no word'}")
    return lacking(tried.stdout)


def lacking(answer: bytes) -> dict[Layer, str]:
    """The missing layers by the trial's answer; one it does not speak of counts as missing.

    Raises:
        SandboxError: that is no answer.
    """
    try:
        fields = json.loads(answer)
    except ValueError as err:
        raise SandboxError(f"{_UNTRIED}: expected an answer in JSON, got {answer[:80]!r}") from err
    if not isinstance(fields, dict):
        raise SandboxError(f"{_UNTRIED}: expected an object, got {answer[:80]!r}")
    found = {layer: fields.get(layer.value, f"{layer.value}: not tried") for layer in LAYERS}
    return {layer: str(why) for layer, why in found.items() if why != ""}


def require(confinement: Confinement) -> None:
    """See that every layer asked for is there.

    Raises:
        SandboxError: one is missing and the signed record does not go without it, or
            none could be tried.
    """
    short = {k: why for k, why in missing().items() if k not in confinement.without}
    if short:
        named = ", ".join(f'"{layer.value}"' for layer in short)
        raise SandboxError(
            f"{'; '.join(short.values())}. The matcher is not started; to go without, the "
            f"signed device record must say so by name: [matcher] without = [{named}]"
        )


def _home_of(program: str) -> list[str]:
    """The program, and the folder it is installed in where that is its own: `X` of `X/bin/it`."""
    folder = os.path.dirname(program)
    home = os.path.dirname(folder)
    own = os.path.basename(folder) == "bin" and home not in ("/", "/usr", "/usr/local", "")
    return [program, home] if own else [program]


def _packages() -> list[str]:
    """This package, which an editable installation keeps elsewhere, the client, PYTHONPATH."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    ours = Path(isolation.__file__).resolve().parent
    client = (ours.parent / "framegate_client").resolve()
    return [str(ours), str(client), *(os.path.abspath(p) for p in named if p)]
