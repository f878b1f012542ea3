"""Figures: each is one measured number with its spread over the rounds and its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median


class Basis(Enum):
    """Where a number comes from."""

    MEASURED = "measured"  # on this machine as it is
    CONFINED = "confined"  # on this machine, limited to the resources of a smaller one
    ESTIMATED = "estimated"  # from published ratios between machines


class State(Enum):
    """The result of a figure; tables, pages and JSON show the value."""

    HELD = "held"
    MISSED = "missed"
    REPORTED = "reported"  # there is no target
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table; `value` is None if it was not tried, as when its peer did not run."""

    name: str
    value: float | None
    target: str  # ">= 20", "<= 1.35", or "" for a number without a target
    unit: str
    least: float | None = None  # over the rounds
    most: float | None = None
    basis: Basis = Basis.MEASURED
    note: str = ""

    @property
    def state(self) -> State:
        """What came of it."""
        if self.value is None:
            return State.NOT_TRIED
        if not self.target:
            return State.REPORTED
        sign, _, bound = self.target.partition(" ")
        limit = float(bound)
        met = self.value >= limit if sign == ">=" else self.value <= limit
        return State.HELD if met else State.MISSED

    @property
    def holds(self) -> bool:
        """Tried, and no target was missed: what was not tried is never a success."""
        return self.state in (State.HELD, State.REPORTED)

    @property
    def word(self) -> str:
        """The result for people; nothing where a number has no target."""
        return "" if self.state is State.REPORTED else self.state.value

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "target": self.target,
            "unit": self.unit,
            "holds": self.holds,
            "state": self.state.value,
            "spread": [_rounded(self.least), _rounded(self.most)],
            "basis": self.basis.value,
            "note": self.note,
        }


def ratio(
    name: str, above: Sequence[float], below: Sequence[float], target: str, note: str = ""
) -> Figure:
    """The median of the rounds' ratios; candidates that alternated share a round."""
    ratios = [a / b for a, b in zip(above, below, strict=False) if b > 0]
    if not ratios:
        return Figure(name, None, target, "x", note=note or "a peer did not run")
    return Figure(name, median(ratios), target, "x", min(ratios), max(ratios), note=note)


def number(name: str, values: Sequence[float], unit: str, target: str = "") -> Figure:
    """The median of the rounds' numbers."""
    if not values:
        return Figure(name, None, target, unit, note="not measured")
    return Figure(name, median(values), target, unit, min(values), max(values))


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
