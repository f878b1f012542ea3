"""The suite's chapters: what is done to the device, one start or more each.

Every chapter has the good case and the bad one: frames flow, or the thing works, beside the
fault in which nothing may pass.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.device import boot, machines, power, site, suite
from bench.device.image.build import GUEST, Built
from edge.errors import UsageError

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
    """The shipped unit under systemd as PID 1."""
    with tempfile.TemporaryDirectory(prefix="framegate-device-") as name:
        start = machines.Start(words=("fgsystemd",))
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


CHAPTERS: dict[str, Chapter] = {
    "power-cut": power_cut,
    "camera": camera,
    "tpm": tpm,
    "systemd": systemd,
}
LONG = ("systemd",)  # on their own only: several starts of a whole guard, minutes each
