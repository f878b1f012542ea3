"""Requirements of the emulation on this host: one line with a remedy for each that is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.device.image import recipe
from bench.device.machines import Machine

_TOOLS = {
    "qemu-system-aarch64": "qemu-system-arm",
    "mke2fs": "e2fsprogs",
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
}
_TO_RUN = ("qemu-system-aarch64",)
_MARGIN_MIB = 256  # QEMU's own
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class Host:
    """The properties of this host."""

    system: str
    tools: frozenset[str]
    keyring: bool
    free_mib: int  # on the disk of the cache
    memory_mib: int


def look(cache: Path, which: Callable[[str], str | None] | None = None) -> Host:
    """Read the properties of this machine."""
    path = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    find = which or (lambda name: shutil.which(name, path=path))
    there = cache
    while not there.exists():
        there = there.parent
    return Host(
        sys.platform,
        frozenset(name for name in _TOOLS if find(name)),
        Path(recipe.KEYRING).exists(),
        shutil.disk_usage(there).free >> 20,
        _available_mib(),
    )


def lacking(host: Host, machine: Machine, *, built: bool) -> str | None:
    """The first missing requirement and its remedy; None if the device can be emulated."""
    if host.system != "linux":
        return f"expected a Linux host; this is {host.system}"
    for tool, package in _TOOLS.items():
        if tool not in host.tools and (not built or tool in _TO_RUN):
            return f"{tool} is not installed: apt-get install {package}"
    if not built and not host.keyring:
        return f"{recipe.KEYRING} is missing: apt-get install debian-archive-keyring"
    if not built and host.free_mib < recipe.ROOM_MIB:
        return (
            f"a build takes {recipe.ROOM_MIB} MiB of disk and {host.free_mib} are free: "
            "make room, or name another folder with --cache"
        )
    if host.memory_mib < machine.memory_mib + _MARGIN_MIB:
        return (
            f"{machine.name} takes {machine.memory_mib + _MARGIN_MIB} MiB of memory and "
            f"{host.memory_mib} are available: end other programs, or take a smaller machine"
        )
    return None


def _available_mib() -> int:
    if not _MEMORY.exists():  # not Linux, which is said first
        return 0
    for line in _MEMORY.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) >> 10
    return 0
