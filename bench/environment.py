"""The environment of a measurement; every figure is published with it."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path

_PACKAGES = (
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "iceoryx2",
    "celine-regorus",
    "hdrhistogram",
)


def environment() -> dict[str, object]:
    """Machine, governor, load, stolen time and versions."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load": " ".join(_first_line("/proc/loadavg").split()[:3]),
        "steal_share": round(_steal_share(), 4),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "command": command(),
    }


def command() -> str:
    """The command line of this run, without this machine's paths to programs."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        program = [Path(sys.argv[0]).name]
    else:
        program = ["python", "-m", spec.name.removesuffix(".__main__")]
    return " ".join([*program, *sys.argv[1:]])


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().splitlines()[0]
    except (OSError, IndexError):
        return "unknown"


def _steal_share() -> float:
    """Share of CPU time since the start that the hypervisor took away (steal time)."""
    times = [int(t) for t in _first_line("/proc/stat").split()[1:9]]
    return times[7] / max(1, sum(times))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
