"""The device in virtual time: a machine that does a known number of instructions a second.

Under QEMU's `-icount` an instruction takes a fixed time, whatever else this host does, and an
idle device's time passes at once. The cores take turns: the rate is that of all cores together,
and one busy core may have all of it. There are no caches, and memory costs nothing.
More than one core needs QEMU 8.1: before, a busy core left the others no turn until it was idle.
QEMU does at most one instruction a nanosecond. For more, the device tree tells the kernel that
its timer counts faster than it does, so that its seconds hold more instructions.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from dataclasses import replace
from pathlib import Path

from bench.device import machines
from bench.device.image import devicetree
from edge.errors import UsageError
from edge.isolation import environment

_QEMU = "qemu-system-aarch64"
_FAIR = (8, 1)  # "tcg-accel-ops-rr: ensure fairness with icount", May 2023
TIMER_HZ = 62_500_000  # of QEMU's generic timer
RATES = {  # billion instructions a second: shift, times the timer
    **{0.25: (2, 1), 0.5: (1, 1), 1.0: (0, 1), 1.5: (1, 3)},
    **{2.0: (0, 2), 2.5: (1, 5), 3.0: (0, 3), 4.0: (0, 4)},
}


def timed(machine: machines.Machine, gips: float, cores: int, scratch: Path) -> machines.Start:
    """A start at `gips` billion instructions a second, of all `cores` together.

    Raises:
        UsageError: there is no such rate, or the emulator gives no device tree.
    """
    shift, times = rate(gips)
    tree = None if times == 1 else _tree(machine, cores, times, scratch)
    return replace(machines.USUAL, shift=shift, cores=cores, tree=tree)


def rate(gips: float) -> tuple[int, int]:
    """An instruction takes 2**(the first) nanoseconds; the timer is said to be so much faster.

    Raises:
        UsageError: there is no such rate.
    """
    if gips not in RATES:
        known = ", ".join(f"{known:g}" for known in RATES)
        raise UsageError(f"expected --gips out of {known}; got {gips:g}")
    return RATES[gips]


def lacking(cores: int, version: str) -> str | None:
    """Why `cores` cannot take turns here; `version` is what QEMU prints of itself."""
    found = re.search(r"version ((\d+)\.(\d+)[.\d]*)", version)
    if cores == 1 or found is None or (int(found[2]), int(found[3])) >= _FAIR:
        return None
    return (
        f"expected {_QEMU} 8.1 or newer for more than one core in virtual time; this is "
        f"{found[1]}, in which a busy core leaves the others no turn: use --cores 1, or install a "
        "newer one (Debian 12: apt-get install -t bookworm-backports qemu-system-arm)"
    )


def version() -> str:
    """What the emulator prints of itself; nothing where there is none."""
    with contextlib.suppress(FileNotFoundError):
        command = [_QEMU, "--version"]
        return subprocess.run(command, env=environment(), capture_output=True, text=True).stdout
    return ""


def _tree(machine: machines.Machine, cores: int, times: int, scratch: Path) -> str:
    """The emulator's own device tree for this machine, with its timer's rate changed."""
    own, changed = scratch / "own.dtb", scratch / f"times-{times}.dtb"
    command = [_QEMU, "-M", f"virt,dumpdtb={own}", "-cpu", machine.cpu]
    command += ["-smp", str(cores), "-m", f"{machine.memory_mib}M"]
    command += ["-display", "none", "-nic", "none"]
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    if not own.exists():
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise UsageError(f"{_QEMU} gives no device tree: {''.join(last)}")
    changed.write_bytes(devicetree.with_timer_hz(own.read_bytes(), TIMER_HZ * times))
    return str(changed)
