"""The suite's chapters: what is done to the device, one start or more each.

Every chapter has the good case and the bad one: frames flow, or the thing works, beside the
fault in which nothing may pass.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.device import boot, machines, power, site, suite, virtual
from bench.device.image.build import GUEST, Built
from edge.audit.note import Signer
from edge.errors import UsageError

_SMALL_MIB = 16  # filled in a moment
_STATE_MIB = 256  # `doctor` wants 64 free
_IN_1970_S = 600  # the kernel takes no time before its own start
_SYSTEMD_GIPS = 4.0  # frames flow at 2
_WITHIN = ("python", "-m")
_MODULES = "bench.device.within"


@dataclass(frozen=True, slots=True)
class Rig:
    """What a chapter works with."""

    machine: machines.Machine
    built: Built
    out: Path
    say: boot.Say


Chapter = Callable[[Rig], list[suite.Line]]


def chosen(names: Sequence[str]) -> list[str]:
    """The chapters of these names.

    Raises:
        UsageError: there is none of such a name.
    """
    for name in names:
        if name not in CHAPTERS:
            raise UsageError(f"expected a chapter out of {', '.join(CHAPTERS)}; got {name!r}")
    return list(dict.fromkeys(names))


def _start(
    rig: Rig,
    name: str,
    rows: Sequence[suite.Row],
    start: machines.Start,
    extra: Mapping[str, bytes],
) -> list[suite.Line]:
    out = rig.out / name.replace(" ", "-")
    rig.say(f"{rig.machine.name}: {name}")
    ended = boot.run(rig.machine, rig.built, rows, out, rig.say, start=start, extra=extra)
    return suite.judge(rows, ended.report, ended.logs(), {})


def _checks(name: str, module: str, *words: str) -> suite.Row:
    return suite.Row(suite.Kind.TESTS, name, (*_WITHIN, f"{_MODULES}.{module}", *words))


def power_cut(rig: Rig) -> list[suite.Line]:
    """The power is cut while the log is written, thirty times."""
    rig.say(f"{rig.machine.name}: power cuts")
    return [power.cut(rig.machine, rig.built, rig.out / "power-cut", rig.say)]


def systemd(rig: Rig) -> list[suite.Line]:
    """The shipped unit under systemd as PID 1, in virtual time: a start takes the guard seconds."""
    with tempfile.TemporaryDirectory(prefix="framegate-device-") as name:
        start = virtual.timed(rig.machine, _SYSTEMD_GIPS, 1, Path(name))
        start = replace(start, words=("fgsystemd",))
        unit = (GUEST / "plan.service").read_bytes()
        extra = {**site.files(Path(name), 15, 90), "etc/systemd/system/plan.service": unit}
        row = _checks("systemd", "service", f"/{site.SITE}")
        return _start(rig, "systemd", [row], start, extra)


def camera(rig: Rig) -> list[suite.Line]:
    """A real V4L2 node by the kernel's test driver."""
    return _start(rig, "camera", [_checks("camera node", "camera")], machines.USUAL, {})


def tpm(rig: Rig) -> list[suite.Line]:
    """A TPM 2.0 behind the kernel's driver quotes the log; a replayed quote is refused."""
    return _start(rig, "tpm", [_checks("tpm quote", "quote")], machines.USUAL, {})


def _with_disk(
    rig: Rig,
    name: str,
    words: Sequence[str],
    start: machines.Start,
    extra: Mapping[str, bytes],
    mib: int = _SMALL_MIB,
) -> list[suite.Line]:
    """A start with an empty disk of its own at /data, which keeps what is written."""
    with tempfile.TemporaryDirectory(prefix="framegate-device-") as folder:
        data = str(power.blank(Path(folder) / "data", mib))
        start = replace(start, words=(*start.words, "fgdata"), data=data)
        return _start(rig, name, [_checks(name, *words)], start, extra)


def read_only(rig: Rig) -> list[suite.Line]:
    """A root that cannot be written, and one disk for the state."""
    with tempfile.TemporaryDirectory(prefix="framegate-device-") as folder:
        clip = {"srv/room.avi": site.room(Path(folder) / "room.avi", 15, 1).read_bytes()}
    words = ("disk", "read-only", "/data", "/srv/room.avi")
    return _with_disk(
        rig, "read-only", words, machines.Start(words=("fgreadonly",)), clip, _STATE_MIB
    )


def full_disk(rig: Rig) -> list[suite.Line]:
    """A disk that is filled while the log is written, and emptied again."""
    return _with_disk(rig, "full-disk", ("disk", "full", "/data"), machines.USUAL, {})


def clock(rig: Rig) -> list[suite.Line]:
    """A device whose battery-backed clock shows 1970."""
    start = machines.Start(clock_s=_IN_1970_S, devices=("-rtc", "base=1970-01-01T00:00:00"))
    row = _checks("clock-1970", "clock", str(int(time.time())))
    return _start(rig, "clock-1970", [row], start, {})


def watchdog(rig: Rig) -> list[suite.Line]:
    """A hung process no longer tells the watchdog that it lives, and the device starts again."""
    devices = ("-device", "i6300esb", "-action", "watchdog=reset")
    key = Signer.generate("framegate-device/log").secret_text.encode()
    start = machines.Start(devices=devices, reboots=True)
    words = ("watchdog", "/srv/log.key", "/data")
    return _with_disk(rig, "watchdog", words, start, {"srv/log.key": key})


CHAPTERS: dict[str, Chapter] = {
    "power-cut": power_cut,
    "camera": camera,
    "tpm": tpm,
    "read-only": read_only,
    "full-disk": full_disk,
    "clock-1970": clock,
    "watchdog": watchdog,
    "systemd": systemd,
}
