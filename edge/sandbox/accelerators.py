"""Accelerators by name: which device nodes a matcher gets with one, and what it may ask of them.

The signed device record names them (`[matcher] accelerators`). A matcher gets the
nodes below and their requests (ioctl), nothing else: no folder, no camera. A
request is known by its type, one byte of its number, as the drivers' headers
have it: NVIDIA's open kernel modules (`nv-ioctl-numbers.h`: 'F'; `uvm_ioctl.h`: plain
numbers), HailoRT's driver (`hailo_ioctl_common.h`), and the kernel's `drm.h`
and `videodev2.h`.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.v4l2 import is_codec


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One kind of accelerator."""

    nodes: tuple[str, ...]  # patterns below /dev
    types: tuple[int, ...]  # of the requests that its drivers answer


ACCELERATORS = {
    "nvidia": Accelerator(("nvidia[0-9]*", "nvidiactl", "nvidia-uvm"), (ord("F"), 0)),
    "hailo": Accelerator(("hailo[0-9]*",), tuple(b"gvns")),
    "v4l2-m2m": Accelerator(("video[0-9]*",), (ord("V"),)),
    "dri": Accelerator(("dri/renderD[0-9]*",), (ord("d"),)),
}
NAMES = tuple(ACCELERATORS)


def nodes(name: str, dev: Path = Path("/dev")) -> tuple[Path, ...]:
    """The device nodes of an accelerator here; a codec only if its driver says that it is one."""
    found = {path for pattern in ACCELERATORS[name].nodes for path in dev.glob(pattern)}
    devices = sorted(path for path in found if stat.S_ISCHR(path.lstat().st_mode))
    if name == "v4l2-m2m":
        devices = [path for path in devices if is_codec(str(path))]
    return tuple(devices)


def types(names: Iterable[str]) -> tuple[int, ...]:
    """The request types of these accelerators."""
    return tuple(sorted({kind for name in names for kind in ACCELERATORS[name].types}))
