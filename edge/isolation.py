"""Starts Python and tools so that the caller's environment cannot add code to them.

A Python that is started the usual way imports from the current folder and from
`PYTHONPATH`, and every program loads the libraries that `LD_PRELOAD` names. The
guard's processes are started in isolated mode (`-I`) instead, by this file as a
script, which adds the folder that holds this very package and runs one module:

    python -I edge/isolation.py MODULE [ARGUMENT ...]

Their environment is made anew from the few names in `_KEPT`. This file imports
the standard library alone, for it runs before the package can be found.
"""

from __future__ import annotations

import importlib
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

_SCRIPT = Path(__file__).resolve()
_ROOT = str(_SCRIPT.parents[1])  # the folder that holds the package
CLIENT = str(_SCRIPT.parent / "import_path")  # the folder that holds the client library alone

_KEPT = (
    "HOME",
    "LANG",
    "LOGNAME",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
)
_KEPT_PREFIX = "LC_"
_OWN = {
    "OPENCV_FFMPEG_LOGLEVEL": "-8",  # we report errors ourselves, in one line
    "OPENCV_LOG_LEVEL": "SILENT",
    "ORT_DISABLE_TELEMETRY": "1",
}
_SMALL = {  # one thread and one heap: a library's pool of them costs memory in every process
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
# What loads code into a program, or changes what a library does. `PYTHON...` need not be here:
# isolated mode does not read it, and a matcher may want it.
_LOADING = (
    "BASH_ENV",
    "GCONV_PATH",
    "GIO_",
    "GLIBC_",
    "GST_",
    "LD_",
    "LIBCAMERA_",
    "LOCPATH",
    "MALLOC_",
    "NODE_",
    "OPENCV_",
    "OPENSSL_",
    "ORT_",
)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs `module` of this package's folder in an isolated Python."""
    return [sys.executable, "-I", str(_SCRIPT), module, *arguments]


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process of the guard, and of a tool it runs; `given` comes on top."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIX)
    }
    return {**kept, "PATH": search_path(os.environ), **_OWN, **_SMALL, **(given or {})}


def cleaned(names: Mapping[str, str]) -> dict[str, str]:
    """`names` without those that load code into a program or change a library's ways."""
    kept = {name: value for name, value in names.items() if not name.startswith(_LOADING)}
    return {**kept, "PATH": search_path(names), **_OWN}


def search_path(names: Mapping[str, str]) -> str:
    """`PATH` without relative entries: an empty one is the current folder."""
    folders = names.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if os.path.isabs(folder))


def with_client(names: Mapping[str, str]) -> dict[str, str]:
    """`names` with the client library first on Python's import path, for a matcher."""
    path = [CLIENT, *filter(None, names.get("PYTHONPATH", "").split(os.pathsep))]
    return {**names, "PYTHONPATH": os.pathsep.join(path)}


def enter() -> None:
    """Start the command anew, isolated and without what loads code, unless it is so already."""
    _open_standard_streams()
    clean = cleaned(os.environ)
    same = clean == dict(os.environ)
    if sys.flags.isolated and same:
        return
    command = python("edge.cli", *sys.argv[1:])
    if same and sys.orig_argv[1:] == command[1:]:  # once more would change nothing
        print("framegate: expected an isolated Python, this one is not", file=sys.stderr)
        sys.exit(2)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the new Python can end by it
    os.execve(command[0], command, clean)


def _open_standard_streams() -> None:
    """A closed standard stream would be the number of the next file, which output then spoils."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: `number`
            os.set_inheritable(opened, True)


def load_when_used(name: str) -> None:
    """Let a module be imported now and loaded when something of it is used.

    `dataclasses` imports `inspect` for classes without a docstring, of which a process of the
    guard has none. With what that loads it is a MiB in each. (`importlib.util.LazyLoader` loads a
    module when it is imported a second time.)
    """
    stand_in = ModuleType(name)

    def load(wanted: str) -> Any:
        if wanted.startswith("__"):  # what an import asks
            raise AttributeError(wanted)
        if sys.modules.get(name) is stand_in:
            sys.modules.pop(name, None)  # another thread may have come first
        loaded = importlib.import_module(name)
        stand_in.__dict__.update(loaded.__dict__)
        return getattr(loaded, wanted)

    stand_in.__dict__["__getattr__"] = load
    sys.modules[name] = stand_in


def _run(module: str, arguments: list[str]) -> None:
    """Run `module` as the main one; the package's folder comes behind the standard library."""
    library = {os.path.dirname(os.__file__)}
    library |= {os.path.join(folder, "lib-dynload") for folder in library}
    behind = [at + 1 for at, folder in enumerate(sys.path) if folder in library]
    sys.path[max(behind, default=0) : 0] = [_ROOT, CLIENT]
    load_when_used("inspect")
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _run(sys.argv[1], sys.argv[2:])
    except KeyboardInterrupt:  # while it was still loading
        sys.exit(130)
