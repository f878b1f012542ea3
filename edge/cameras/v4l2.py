"""V4L2: which device a node is, whether it captures pictures, and the times of its stamps."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import time
from pathlib import Path

from edge.cameras.identity import NO_TIME_NS, CameraIdentity
from edge.errors import CameraError, failing

_CAPTURES = 0x1 | 0x1000  # V4L2_CAP_VIDEO_CAPTURE, and the same with several planes
_CODES = 0x4000 | 0x8000  # V4L2_CAP_VIDEO_M2M, ...: a codec or scaler, memory to memory
_DEVICE_CAPS = 0x8000_0000
_QUERYCAP = 0x8068_5600  # VIDIOC_QUERYCAP, of a struct of 104 bytes


def captures(capabilities: int, device_caps: int) -> bool:
    """Whether these words of VIDIOC_QUERYCAP are a camera's, not a codec's or metadata's."""
    caps = device_caps if capabilities & _DEVICE_CAPS else capabilities
    return bool(caps & _CAPTURES) and not caps & _CODES


def is_camera(node: str) -> bool | None:
    """Whether a device node captures pictures; None if it may not be asked."""
    words = _query(node)
    return None if words is None else captures(*words)


def is_codec(node: str) -> bool:
    """Whether a device node is a codec or scaler, from memory to memory, by its driver's word."""
    capabilities, device_caps = _query(node) or (0, 0)
    caps = device_caps if capabilities & _DEVICE_CAPS else capabilities
    return bool(caps & _CODES) and not caps & _CAPTURES


def _query(node: str) -> tuple[int, int] | None:
    """Both words of VIDIOC_QUERYCAP; 0 for no V4L2 device, None if it may not be asked."""
    try:
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        answer = bytearray(104)
        fcntl.ioctl(fd, _QUERYCAP, answer)
    except OSError:
        return 0, 0
    finally:
        os.close(fd)
    capabilities, device_caps = struct.unpack_from("<II", answer, 84)
    return capabilities, device_caps


def v4l2_identity(node: str, sysfs: Path = Path("/sys")) -> CameraIdentity:
    """Who a device node is, by its number: a node may be given any name.

    Raises:
        CameraError: there is no such node, or it is no character device.
    """
    with failing(f"{node}: expected a V4L2 camera", as_=CameraError):
        found = os.stat(node)
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


def sensor_time(stamp_ns: int, now_ns: int, asleep_ns: int) -> int:
    """The CLOCK_BOOTTIME of a sensor's or driver's stamp; NO_TIME_NS if it is no time of capture.

    Drivers stamp with CLOCK_BOOTTIME or with CLOCK_MONOTONIC, which is behind it
    by the time the device has slept. Of the two readings the later one that is
    not in the future is meant. A stamp that is in the future by both, or absent,
    says nothing of the exposure: the arrival is not taken in its place.

    Args:
        stamp_ns: `SensorTimestamp`, or the V4L2 buffer's.
        now_ns: CLOCK_BOOTTIME after the frame arrived.
        asleep_ns: by how much CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC.
    """
    meant = [ns for ns in (stamp_ns, stamp_ns + asleep_ns) if stamp_ns > 0 and ns <= now_ns]
    return max(meant, default=NO_TIME_NS)


def asleep_ns() -> int:
    """By how much CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC now."""
    return max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns())
