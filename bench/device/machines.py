"""The computers that can be emulated: the one place that defines them.

Each names a class of processor and a size of memory, not a product: QEMU's `virt` board has
no Broadcom or NVIDIA part, so the results apply to a kernel and a processor of that class.
Caches and memory bandwidth are not modelled; the times do not apply to a real device.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.errors import UsageError


class Pages(Enum):
    """Page size of the kernel; the value is the name of the distribution's kernel package."""

    KIB_4 = "linux-image-arm64"
    KIB_16 = "linux-image-arm64-16k"  # needs a core with 16 KiB granules: not Cortex-A72 or A53


@dataclass(frozen=True, slots=True)
class Machine:
    """One class of device."""

    name: str
    cpu: str  # what QEMU calls the core
    cores: int
    memory_mib: int
    pages: Pages


MACHINES = (
    Machine("pi-4-class", "cortex-a72", 4, 2048, Pages.KIB_4),
    Machine("pi-5-class", "cortex-a76", 4, 2048, Pages.KIB_16),
    Machine("zero-2w-class", "cortex-a53", 4, 512, Pages.KIB_4),
)


def machine(name: str) -> Machine:
    """The machine of that name.

    Raises:
        UsageError: there is none.
    """
    for known in MACHINES:
        if known.name == name:
            return known
    names = ", ".join(known.name for known in MACHINES)
    raise UsageError(f"expected a machine out of {names}; got {name!r}")


@dataclass(frozen=True, slots=True)
class Drives:
    """The files that the emulated computer starts from."""

    kernel: str
    initrd: str
    root: str  # ext4 image; what the guest writes to it is thrown away
    payload: str  # tar that the guest unpacks
    results: str  # blank file that the guest writes a tar to


@dataclass(frozen=True, slots=True)
class Start:
    """What one start of a machine has that the usual start has not."""

    clock_s: int | None = None  # the battery-backed clock, seconds since 1970; else the host's
    words: tuple[str, ...] = ()  # for the kernel, read by the start script
    devices: tuple[str, ...] = ()  # QEMU's arguments
    data: str | None = None  # a disk image that keeps what is written, /dev/vdd
    shift: int | None = None  # virtual time: an instruction takes 2**shift nanoseconds
    tree: str | None = None  # a device tree instead of QEMU's own
    cores: int | None = None  # instead of the machine's
    reboots: bool = False  # a reset starts it again, instead of ending it
    keeps: bool = False  # what is written to the root stays


USUAL = Start()
# These cores are safe from Meltdown: Linux separates its pages from a program's only because their
# place is random. In QEMU each call of the kernel then costs all of the address cache, twice.
_QUICK = "kpti=off"


def command(
    machine: Machine,
    drives: Drives,
    *,
    host_cores: int,
    now_s: int,
    board: str | None = None,
    interactive: bool = False,
    start: Start = USUAL,
) -> list[str]:
    """QEMU's arguments; `board` is a terminal of this host that becomes the guest's /dev/ttyS0.

    The machine gets no more cores than the host has, because additional ones would only
    wait for each other. A 16550 UART on the PCI bus connects the board: every QEMU release
    has one.
    """
    cores = start.cores or max(1, min(machine.cores, host_cores))
    words = [f"fgtime={now_s}", *([_QUICK] if start.shift is None else []), *start.words]
    line = " ".join(["console=ttyAMA0 panic=-1", *words])
    if start.clock_s is not None:
        line = line.replace(f"fgtime={now_s}", f"fgtime={start.clock_s}")
    arguments = ["qemu-system-aarch64", "-M", "virt", "-cpu", machine.cpu, "-smp", str(cores)]
    arguments += ["-m", f"{machine.memory_mib}M"]
    if start.shift is None:
        arguments += ["-accel", "tcg,thread=multi"]
    else:
        arguments += ["-accel", "tcg,thread=single", "-icount", f"shift={start.shift},sleep=off"]
    arguments += [*([] if start.reboots else ["-no-reboot"]), "-display", "none", "-nic", "none"]
    arguments += [] if start.tree is None else ["-dtb", start.tree]
    arguments += ["-kernel", drives.kernel, "-initrd", drives.initrd]
    arguments += ["-append", line if interactive else f"{line} quiet"]
    for number, (file, extra) in enumerate(
        (
            (drives.root, "" if start.keeps else ",snapshot=on"),
            (drives.payload, ",readonly=on"),
            (drives.results, ""),
        )
    ):
        drive = f"if=none,id=d{number},format=raw,cache=unsafe,file={file}{extra}"
        arguments += ["-drive", drive, "-device", f"virtio-blk-pci,drive=d{number}"]
    if start.data is not None:
        arguments += ["-drive", f"if=none,id=data,format=raw,cache=writeback,file={start.data}"]
        arguments += ["-device", "virtio-blk-pci,drive=data"]
    arguments += start.devices
    if interactive:
        arguments += ["-serial", "mon:stdio"]
    else:
        arguments += ["-monitor", "none", "-serial", "stdio"]
    if board is not None:
        arguments += ["-chardev", f"serial,id=board,path={board}"]
        arguments += ["-device", "pci-serial,chardev=board"]
    return arguments
