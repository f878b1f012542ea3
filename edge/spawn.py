"""How the guard starts programs of its own: nothing of the caller's folder or environment leaks in.

The interpreter runs isolated (`-I`): it imports neither from the current folder
nor from what PYTHONPATH or the user's own site folder name. The package is the
very one that runs here. Of the environment only the names below go along, none
of which can load code; relative folders leave the search path.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

KEPT = frozenset(
    {
        *("HOME", "LOGNAME", "USER", "TMPDIR", "TZ"),
        *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"),
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
        *("LIBCAMERA_LOG_LEVELS", "OPENCV_FFMPEG_LOGLEVEL", "OPENCV_LOG_LEVEL"),
    }
)
_ROOT = str(Path(__file__).resolve().parents[1])
_START = (
    "import runpy, sys; root, module = sys.argv[1:3]; sys.argv[:3] = [module]; "
    "sys.path.insert(0, root); runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this package, isolated from whoever calls it."""
    return [sys.executable, "-I", "-c", _START, _ROOT, module, *arguments]


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for programs of the guard's own: what is kept, and `given`."""
    found = {name: value for name, value in os.environ.items() if name in KEPT}
    folders = [part for part in os.environ.get("PATH", "").split(os.pathsep) if part[:1] == "/"]
    found["PATH"] = os.pathsep.join(folders) or os.defpath
    found["LC_ALL"] = "C.UTF-8"
    return {**found, **(given or {})}
