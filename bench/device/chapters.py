"""The suite's chapters: what is done to the device, one start or more each.

Every chapter has the good case beside the bad one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.device import boot, machines, power, suite
from bench.device.image.build import Built
from edge.errors import UsageError


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


def power_cut(rig: Rig) -> list[suite.Line]:
    """The power is cut while the log is written, thirty times."""
    rig.say(f"{rig.machine.name}: power cuts")
    return [power.cut(rig.machine, rig.built, rig.out / "power-cut", rig.say)]


CHAPTERS: dict[str, Chapter] = {
    "power-cut": power_cut,
}
