"""Who a V4L2 device node is, and whether it captures pictures: asked of sysfs, nothing opened."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge.cameras.opencv import CameraIdentity
from edge.errors import CameraError


def v4l2_identity(node: str, sysfs: Path = Path("/sys")) -> CameraIdentity:
    """Who a device node is, by its number: a node may be given any name.

    Raises:
        CameraError: there is no such node, or it is no character device.
    """
    try:
        found = os.stat(node)
    except OSError as err:
        raise CameraError(f"{node}: expected a V4L2 camera: {err.strerror}") from err
    if not stat.S_ISCHR(found.st_mode):
        raise CameraError(f"{node}: expected a V4L2 camera, it is no character device")
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    base = sysfs / "dev" / "char" / number
    card = (base / "name").read_text().strip() if (base / "name").exists() else ""
    device = base / "device"
    if not device.exists():  # a loopback device hangs on nothing
        return CameraIdentity("v4l2", "loopback", card)
    driver = os.path.basename(os.path.realpath(device / "driver"))
    bus = os.path.basename(os.path.realpath(device))
    return CameraIdentity("v4l2", driver, card, bus)
