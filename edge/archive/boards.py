"""The board's tape: what the samples of a recording's sensors say, whatever the policy.

Samples come fifty times a second and mostly say the same; judged once, they are kept as
a column of readings beside the evidence tape. Only the dock of the device record decides what
they say. Nothing is lost by deleting such a file: it is made again from the telemetry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.archive.columns import UNREADABLE, Coded, Kind, coded, pack, unpack
from edge.errors import RecordError, wrong_in
from edge.evidence import board
from edge.evidence.board import BoardWatch
from edge.evidence.readings import BoardSample, Source
from edge.files import sha256_of
from edge.reasons import Reason
from edge.replay.engine import START_NS

FORMAT = 1
Says = tuple[tuple[Source, tuple[Reason, ...]], ...]  # one sample's readings

_COLUMNS = {"captured_ns": Kind("<i8"), "says": Kind("<u2")}


class BoardMoment(NamedTuple):
    """What one sample says."""

    captured_ns: int  # from the recording's first frame; may be negative
    says: Says


@dataclass(frozen=True)
class BoardTape:
    """What the samples of one recording say, in order of time."""

    captured_ns: NDArray[np.int64]
    says: Coded[Says]

    def times_ns(self, start_ns: int) -> list[int]:
        """When the samples were taken, if the first frame was at `start_ns`; from 0 on."""
        times: list[int] = np.maximum(self.captured_ns + start_ns, 0).tolist()
        return times

    def runs(self, steady_ns: int) -> list[int]:
        """For each sample, the end of those from it on that say the same.

        Args:
            steady_ns: how long after another one of these may come.
        """
        rows, count = self.says.rows, len(self.says.rows)
        other = (rows[1:] != rows[:-1]) | (np.diff(self.captured_ns) > steady_ns)
        starts = np.append(np.flatnonzero(other) + 1, count)
        ends: list[int] = starts[np.searchsorted(starts, np.arange(count), side="right")].tolist()
        return ends

    def to_bytes(self) -> bytes:
        """The tape as a file; equal tapes have equal bytes."""
        table = [[[s.value, [r.value for r in why]] for s, why in one] for one in self.says.table]
        columns: dict[str, NDArray[Any]] = {"captured_ns": self.captured_ns, "says": self.says.rows}
        return pack({"format": FORMAT, "says": table}, columns)

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> BoardTape:
        """Read a board's tape.

        Raises:
            RecordError: it is none of this format; `name` says which file.
        """
        with wrong_in(f"{name}: expected a board's tape", *UNREADABLE, as_=RecordError):
            facts, columns = unpack(data, FORMAT, _COLUMNS)
            says = Coded(tuple(map(_says, facts["says"])), columns["says"])
            if len(says.rows) != len(columns["captured_ns"]):
                raise ValueError("its columns differ in length")
            return cls(columns["captured_ns"], says)


def judged(samples: Sequence[BoardSample], dock_id: str) -> BoardTape:
    """What these samples say of a device whose dock is `dock_id`."""
    watch = BoardWatch(dock_id)
    says: list[Says] = []
    for sample in samples:
        moved = replace(sample, captured_ns=max(START_NS + sample.captured_ns, 0))
        says.append(tuple((one.source, one.reasons) for one in watch.see(moved)))
    times = np.array([sample.captured_ns for sample in samples], np.int64)
    return BoardTape(times, coded(says))


@cache
def rules() -> str:
    """SHA-256 of the rules by which samples are judged; other rules make another tape."""
    return sha256_of(Path(board.__file__))


def _says(found: list[tuple[str, list[str]]]) -> Says:
    return tuple((Source(source), tuple(Reason[code] for code in why)) for source, why in found)
