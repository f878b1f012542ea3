"""The matcher's sandbox: what a matcher may use, and which layers this machine has.

The guard starts the matcher through `edge.sandbox.launcher`, which puts the layers
on itself and then becomes the matcher. Every layer is asked for by name; one
that is missing means that the matcher is not started, unless the signed
device record goes without it by name (`[matcher] without`).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edge import isolation
from edge.errors import SandboxError
from edge.sandbox.accelerators import nodes, types
from edge.sandbox.mounts import PRIVATE
from edge.sandbox.order import LAYER_NAMES, LAYERS, NOBODY, REFUSED, Layer, Order
from edge.sandbox.siblings import script_of, siblings

__all__ = ["LAYERS", "LAYER_NAMES", "NOBODY", "REFUSED", "Confinement", "Layer", "Order"]

_PROBE_S = 30.0
_UNTRIED = "the matcher's sandbox could not be tried"
_SILENCE = "ORT_DISABLE_TELEMETRY"  # a matcher's ONNX Runtime must not try to send reports
MATCHER_ENVIRONMENT = "FRAMEGATE_MATCHER_ENV"  # what is set at the matcher's exec, not before it

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
    cwd: Path | None = None  # its current folder; None: the guard's
    env: tuple[tuple[str, str], ...] = ()  # set at its exec; guard and launcher never see it
    models: tuple[tuple[Path, str], ...] = ()  # with their SHA-256, as the signed record has them
    hidden: tuple[Path, ...] = ()  # the guard's own folders
    accelerators: tuple[str, ...] = ()  # as the signed record names them
    devices: tuple[Path, ...] = ()  # their nodes

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(layer for layer in LAYERS if layer not in self.without)

    def completed(
        self,
        without: Iterable[str],
        models: tuple[tuple[Path, str], ...],
        hidden: tuple[Path, ...],
        accelerators: tuple[str, ...] = (),
    ) -> Confinement:
        """What the operator gave, with what the signed record says."""
        return replace(
            self,
            without=frozenset(Layer(name) for name in without),
            models=models,
            hidden=hidden,
            accelerators=accelerators,
            devices=tuple(path for name in accelerators for path in nodes(name)),
        )


def order(command: tuple[str, ...], confinement: Confinement, fd: int, report: int = -1) -> Order:
    """The order for `command`, with every file it may read named.

    Raises:
        SandboxError: there is no such program.
    """
    program = program_of(command)
    cwd = os.path.abspath(confinement.cwd or os.getcwd())
    beside = siblings((program, *command[1:]), cwd, confinement.hidden)
    models = tuple((os.path.abspath(path), sha256) for path, sha256 in confinement.models)
    reads = [*interpreter_reads(program), *beside.modules]
    own = [path.resolve() for path in confinement.hidden]
    files = [Path(path) for path in named(command, cwd) if os.path.isfile(path)]
    reads += [str(p) for p in files if not any(map(p.resolve().is_relative_to, own))]
    reads += [os.path.abspath(path) for path in confinement.reads]
    reads += [path for path, _ in models]
    moved = Layer.MOUNTS in confinement.layers or confinement.cwd is not None
    return Order(
        (program, *command[1:]),
        confinement.layers,
        confinement.uid,
        fd,
        tuple(dict.fromkeys(reads)),
        (beside.folder,) if beside.folder else (),
        tuple(os.path.abspath(path) for path in confinement.writes),
        models,
        tuple(os.path.abspath(path) for path in confinement.devices),
        types(confinement.accelerators),
        tuple(os.path.abspath(path) for path in confinement.hidden),
        cwd if moved else "",
        report,
        () if "OPENBLAS_NUM_THREADS" in os.environ else ("OPENBLAS_NUM_THREADS",),
    )


def named(command: tuple[str, ...], cwd: str) -> list[str]:
    """The files and folders that a command names, as `PATH` or `--option=PATH`, seen from `cwd`."""
    words = [word.partition("=")[2] if word.startswith("-") else word for word in command[1:]]
    paths = [os.path.normpath(os.path.join(cwd, word)) for word in words if word]
    return [path for path in paths if "\0" not in path and os.path.exists(path)]


def program_of(command: tuple[str, ...]) -> str:
    """The absolute path of a matcher's program.

    Raises:
        SandboxError: there is none that this user may run.
    """
    import shutil

    program = shutil.which(command[0], path=isolation.search_path(os.environ))
    if program is None:
        raise SandboxError(
            f"matcher {command[0]!r}: expected a program that may be run, found none of that name"
        )
    return os.path.abspath(program)


def check_script(command: tuple[str, ...], confinement: Confinement | None) -> None:
    """See that the script of a matcher in Python is there.

    Raises:
        SandboxError: there is no such file.
    """
    path = script_of(command, os.path.abspath((confinement and confinement.cwd) or os.getcwd()))
    if path and not os.path.lexists(path):
        raise SandboxError(f"matcher script {path!r}: expected a file, found none")


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
    kept.setdefault("PYTHONUNBUFFERED", "1")  # it prints to a pipe; results should not wait there
    kept.setdefault("OPENBLAS_NUM_THREADS", "1")  # a sandbox with threads could not be closed
    return isolation.with_client({"HOME": PRIVATE[0], _SILENCE: "1", **kept, **given})


def check_variable(name: str, text: str) -> None:
    """See that the matcher's environment may have this.

    Raises:
        ValueError: no name of a variable, one that the guard sets, or a text that none can hold.
    """
    named = name.isascii() and name.isidentifier()
    if not named or name.startswith("FRAMEGATE_") or "\0" in text:
        raise ValueError(
            f"expected a name of letters, digits and _, not beginning with FRAMEGATE_, got {name!r}"
        )


def missing() -> dict[Layer, str]:
    """The layers this machine cannot put on, each with why; tried in a process of its own.

    Raises:
        SandboxError: they could not be tried, which says nothing of any layer.
    """
    import subprocess  # of the processes that load this module, few try

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
    if code := tried.returncode:
        output = tried.stderr.decode(errors="replace").strip().splitlines()
        how = f"ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise SandboxError(f"{_UNTRIED}: the trial {how}: {output[-1] if output else 'no output'}")
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
