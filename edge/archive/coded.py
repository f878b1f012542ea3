"""A column of things that are mostly the same: a table of them, and for each row which it is."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Coded(Generic[Value]):
    """Rows by their number in a table."""

    table: tuple[Value, ...]
    rows: NDArray[np.uint16]

    def __post_init__(self) -> None:
        if len(self.rows) and int(self.rows.max()) >= len(self.table):
            raise ValueError(f"a row names entry {self.rows.max()} of {len(self.table)}")

    def values(self) -> list[Value]:
        """Every row's value; equal ones are one object."""
        table = self.table
        return [table[row] for row in self.rows.tolist()]


def coded(values: Iterable[Value]) -> Coded[Value]:
    """The column of these values; the table is in the order in which they came."""
    numbers: dict[Value, int] = {}
    rows = [numbers.setdefault(value, len(numbers)) for value in values]
    return Coded(tuple(numbers), np.array(rows, np.uint16))
