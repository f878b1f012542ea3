"""A real V4L2 node, by the product's own camera: what it delivers, and what it makes of faults.

python -m bench.device.within.camera
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from unittest import mock

import cv2
import numpy as np

from bench.device.within import vivid
from bench.device.within.checks import Checks, expect, until
from edge.cameras import live
from edge.cameras.identity import NO_TIME_NS, Dating
from edge.cameras.live import DeviceCamera
from edge.cameras.opencv import Shot, open_capture
from edge.cameras.v4l2 import is_camera
from edge.clock import BootClock
from edge.errors import GuardError

_MANY = 30
_GREYS = ("GREY", "Y10 ", "Y12 ", "Y16 ")
_APART, _ALIKE = 16.0, 0.98  # levels of 255, for grey may end at 16 and 235; correlation
_SIZES, _OTHER = ((1280, 720), (1366, 768), (720, 576)), (800, 600)
_FRAME_END, _EXPOSURE = 0, 1  # what vivid dates: the end is in the future, for it never exposes
_ENDS_S = 30.0  # OpenCV waits 5 s for a picture, several times


def delivers(node: str) -> str:
    """The good case: frames that are dated by the driver, in order, never in the future."""
    camera = DeviceCamera(node, BootClock())
    try:
        shots = list(itertools.islice(camera.shots(), _MANY))
    finally:
        camera.close()
    expect(is_camera(node) is True, f"{node} to be a camera")
    expect(len(shots) == _MANY, f"{_MANY} frames, got {len(shots)}")
    expect(all(shot.frame.any() for shot in shots), "pictures that are not black")
    expect(camera.dating is Dating.SOURCE, "times from the driver")
    times = [shot.captured_ns for shot in shots]
    expect(times == sorted(set(times)), "times that rise")
    expect(times[-1] <= BootClock().now_ns(), "no time in the future")
    size = f"{camera.width}x{camera.height}"
    return (
        f"{camera.identity.driver} at {camera.identity.bus}, {size}, {len(shots)} frames in order"
    )


def several(first: str, second: str) -> str:
    """Two nodes of one driver are two cameras."""
    one, other = DeviceCamera(first, BootClock()), DeviceCamera(second, BootClock())
    try:
        expect(one.identity != other.identity, f"two identities, got {one.identity} twice")
        for camera in (one, other):
            expect(bool(next(camera.shots()).frame.any()), "both to deliver")
    finally:
        one.close()
        other.close()
    return f"{one.identity.card} and {other.identity.card} at once"


def unplug(node: str) -> str:
    """A camera that is taken away ends; given back, it is the same camera and delivers."""
    camera = DeviceCamera(node, BootClock())
    was = camera.identity
    shots = camera.shots()
    expect(bool(next(shots).frame.any()), "a frame before")
    began_s = time.monotonic()
    thread = threading.Thread(target=vivid.unplug, args=(0,))
    thread.start()
    later = sum(1 for _ in shots)
    took_s = time.monotonic() - began_s
    camera.close()
    thread.join(_ENDS_S)
    expect(took_s < _ENDS_S, f"the end of the camera within {_ENDS_S:g} s")
    refused = _refusal(lambda: DeviceCamera(node, BootClock()).close())
    vivid.plug_in(0)
    until(lambda: node in vivid.nodes(), f"{node} to come back", 30)
    again = DeviceCamera(node, BootClock())
    try:
        expect(bool(next(again.shots()).frame.any()), "a frame after")
        expect(again.identity == was, f"the same camera, got {again.identity}")
    finally:
        again.close()
    return f"ended after {took_s:.1f} s and {later} more frames; {refused}; back as the same camera"


def formats(node: str) -> str:
    """Grey, 10, 12 and 16 bits: the pictures are those of the colour format without its colours."""
    grey = cv2.cvtColor(_shown(node, "BGR3"), cv2.COLOR_BGR2GRAY).astype(np.int16)
    found = []
    for code in _GREYS:
        picture = _shown(node, code).astype(np.int16)
        expect(bool((picture == picture[:, :, :1]).all()), f"{code} without colour")
        apart = float(np.abs(picture[:, :, 0] - grey).mean())
        alike = float(np.corrcoef(picture[:, :, 0].ravel(), grey.ravel())[0, 1])
        expect(apart <= _APART and alike >= _ALIKE, f"{code} as in colour, got {apart}, {alike}")
        found.append(f"{code.strip()} {apart:.1f}")
    return f"levels apart from the colour format: {', '.join(found)}"


def _shown(node: str, code: str) -> np.ndarray:
    """A picture, (height, width, 3) uint8, of a node that is asked for this format."""
    asked = (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
    with mock.patch.object(live, "open_capture", partial(open_capture, parameters=asked)):
        camera = DeviceCamera(node, BootClock())
    try:
        used = round(camera._capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
        expect(used == code, f"the format {code}, got {used}")
        return next(camera.shots()).frame
    finally:
        camera.close()


def sizes(node: str) -> str:
    """The source sets the size, also one that no row of bytes fits; no change while it is read."""
    refused = ""
    for width, height in _SIZES:
        vivid.feed(node, width, height)
        camera = DeviceCamera(node, BootClock())
        try:
            shot = next(camera.shots())
            expect(
                shot.frame.shape == (height, width, 3), f"{width}x{height}, got {shot.frame.shape}"
            )
            expect((camera.width, camera.height) == (width, height), "the size that is said")
            refused = _refusal(lambda: vivid.feed(node, *_OTHER))
        finally:
            camera.close()
    return f"{', '.join(f'{w}x{h}' for w, h in _SIZES)}; another while it is read: {refused}"


def _refusal(work: Callable[[], None]) -> str:
    try:
        work()
    except GuardError as err:
        expect("\n" not in str(err), "one line")
        return f"refused: {str(err)[:70]}"
    expect(False, "a refusal meanwhile")
    return ""


def dropped(node: str) -> str:
    """Frames that the driver drops leave gaps in the times; no frame takes another's time."""
    usual_ns = _widest(_some(node))
    vivid.put(node, "Percentage of Dropped Buffers", 60)
    try:
        shots = _some(node)
    finally:
        vivid.put(node, "Percentage of Dropped Buffers", 0)
    gap_ns = _widest(shots)
    expect(
        gap_ns > 1.5 * usual_ns, f"a gap wider than {usual_ns / 1e6:.0f} ms, got {gap_ns / 1e6:.0f}"
    )
    back_ns = _widest(_some(node))
    return f"widest gap {gap_ns / 1e6:.0f} ms, without drops {back_ns / 1e6:.0f} ms"


def wrong_times(node: str) -> str:
    """A time in the future is no time, and a camera that starts with such is not dated by it."""
    camera = DeviceCamera(node, BootClock())
    try:
        shots = camera.shots()
        expect(next(shots).captured_ns > NO_TIME_NS, "a time before")
        vivid.put(node, "Timestamp Source", _FRAME_END)
        stamps = [shot.captured_ns for shot in itertools.islice(shots, _MANY)]
    finally:
        camera.close()
    late = _dating(node)
    vivid.put(node, "Timestamp Source", _EXPOSURE)
    expect(NO_TIME_NS in stamps, "frames without a time of their own")
    expect(max(stamps) <= BootClock().now_ns(), "no time in the future")
    expect(late is Dating.ARRIVAL, f"a camera that is not dated by such times, got {late}")
    delivers(node)
    return f"{stamps.count(NO_TIME_NS)} of {len(stamps)} frames have no time; then dated again"


def _dating(node: str) -> Dating:
    camera = DeviceCamera(node, BootClock())
    camera.close()
    return camera.dating


def errors(node: str) -> str:
    """The driver refuses to start: one line; the next start is well."""
    vivid.put(node, "Inject VIDIOC_STREAMON Error", 1)
    words = _refusal(lambda: DeviceCamera(node, BootClock()).close())
    delivers(node)
    return f"{words}; the next start delivers"


def _some(node: str) -> list[Shot]:
    camera = DeviceCamera(node, BootClock())
    try:
        return list(itertools.islice(camera.shots(), _MANY))
    finally:
        camera.close()


def _widest(shots: list[Shot]) -> int:
    return max(b.captured_ns - a.captured_ns for a, b in itertools.pairwise(shots))


def main() -> int:
    checks = Checks()
    found: list[str] = []

    def load() -> str:
        found.extend(vivid.load())
        return ", ".join(found)

    if checks.check("vivid", load):
        first, second, fed = found
        for node in (first, second):
            vivid.put(node, "Timestamp Source", _EXPOSURE)
        checks.check("frames", lambda: delivers(first))
        checks.check("several nodes", lambda: several(first, second))
        checks.check("formats", lambda: formats(second))
        checks.check("sizes", lambda: sizes(fed))
        checks.check("dropped frames", lambda: dropped(second))
        checks.check("wrong times", lambda: wrong_times(second))
        checks.check("refused start", lambda: errors(second))
        checks.check("unplug", lambda: unplug(first))
    return checks.end()


if __name__ == "__main__":
    sys.exit(main())
