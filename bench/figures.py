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


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table; `value` is None if its peer did not run: then the target is not met."""

    name: str
    value: float | None
    target: str  # ">= 20", "<= 1.35", or "" for a number without a target
    unit: str
    least: float | None = None  # over the rounds
    most: float | None = None
    basis: Basis = Basis.MEASURED
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the value meets the target; without a target, whether it was measured."""
        if self.value is None:
            return False
        if not self.target:
            return True
        sign, _, bound = self.target.partition(" ")
        limit = float(bound)
        return self.value >= limit if sign == ">=" else self.value <= limit

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": _rounded(self.value),
            "target": self.target,
            "unit": self.unit,
            "holds": self.holds,
            "spread": [_rounded(self.least), _rounded(self.most)],
            "basis": self.basis.value,
            "note": self.note,
        }


def ratio(
    name: str,
    above: Sequence[float],
    below: Sequence[float],
    target: str,
    note: str = "",
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
