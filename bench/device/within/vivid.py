"""The kernel's test driver of cameras, `vivid`: real V4L2 nodes without a camera.

Loads it, sets its controls by their names and the size of a node with an HDMI input, and unplugs
a node by taking its driver away.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import struct
import subprocess
import time
from pathlib import Path

from edge.errors import GuardError

MODULES = Path("/srv/modules")
_DRIVER = Path("/sys/bus/platform/drivers/vivid")
_QUERY, _SET = 0xC044_5624, 0xC008_561C  # VIDIOC_QUERYCTRL (68 bytes), VIDIOC_S_CTRL (8 bytes)
_NEXT = 0x8000_0000
_ENUM_TIMINGS, _SET_TIMINGS = 0xC094_5662, 0xC084_5657  # 148 bytes, the last 132 of them timings
# two webcams, and an HDMI input that neither crops nor scales
_NODES = (
    *("n_devs=3", "num_inputs=1,1,1", "input_types=0x0,0x0,0x3", "node_types=0x1,0x1,0x1"),
    *("multiplanar=1,1,1", "ccs_cap_mode=-1,-1,0"),
)


def load_modules(name: str, *options: str) -> None:
    """Load a module that the kernel has, after those that it needs.

    Raises:
        GuardError: one does not load.
    """
    for module in (MODULES / name).read_text().split():
        own = options if module == f"{name}.ko" else ()
        command = ["insmod", str(MODULES / module), *own]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 and "exists" not in done.stderr:
            raise GuardError(f"{module} does not load: {done.stderr.strip()}")


def load() -> list[str]:
    """Load two webcams and an HDMI input; the paths of their nodes."""
    load_modules("vivid", *_NODES)
    end_s = time.monotonic() + 30
    while len(found := nodes()) < 3:
        if time.monotonic() > end_s:
            raise GuardError(f"expected three camera nodes, found {found}")
        time.sleep(0.1)
    return found


def nodes() -> list[str]:
    """The camera nodes there are, in order."""
    return sorted(str(path) for path in Path("/dev").glob("video*"))


def controls(node: str) -> dict[str, int]:
    """The number of each control by its name."""
    found: dict[str, int] = {}
    fd = os.open(node, os.O_RDWR | os.O_CLOEXEC)
    try:
        number = 0
        while True:
            words = bytearray(68)
            struct.pack_into("<I", words, 0, number | _NEXT)
            try:
                fcntl.ioctl(fd, _QUERY, words)
            except OSError:
                return found
            (number,) = struct.unpack_from("<I", words)
            found[bytes(words[8:40]).split(b"\0")[0].decode()] = number
    finally:
        os.close(fd)


def put(node: str, name: str, value: int) -> None:
    """Set a control by its name.

    Raises:
        GuardError: the driver has none of this name, or refuses the value.
    """
    known = controls(node)
    if name not in known:
        raise GuardError(f"{node}: expected a control {name!r} out of {sorted(known)}")
    fd = os.open(node, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _SET, struct.pack("<Ii", known[name], value))
    except OSError as err:
        raise GuardError(f"{node}: {name} = {value}: {err.strerror}") from err
    finally:
        os.close(fd)


def feed(node: str, width: int, height: int) -> None:
    """Let an HDMI input be fed with pictures of this size, 60 a second or so.

    Raises:
        GuardError: the driver has no such timings, or takes none because a camera is open.
    """
    fd = os.open(node, os.O_RDWR | os.O_CLOEXEC)
    try:
        for index in itertools.count():
            words = bytearray(148)
            struct.pack_into("<I", words, 0, index)
            fcntl.ioctl(fd, _ENUM_TIMINGS, words)
            if struct.unpack_from("<II", words, 20) == (width, height):
                fcntl.ioctl(fd, _SET_TIMINGS, words[16:])
                return
    except OSError as err:
        raise GuardError(f"{node}: {width}x{height}: {err.strerror}") from err
    finally:
        os.close(fd)


def unplug(number: int) -> None:
    """Take a camera away."""
    (_DRIVER / "unbind").write_text(f"vivid.{number}")


def plug_in(number: int) -> None:
    """Give it back."""
    (_DRIVER / "bind").write_text(f"vivid.{number}")
