"""What was decided on one tape: for each frame the number of its kind of decision.

Most frames differ from the one before them in number and time only, so an archive holds each
kind once, and writes `decisions.jsonl` without a value for every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.audit.schema import Context
from edge.reasons import Reason
from edge.report.record import FrameDecision, Outcome, decision_line

Kind = tuple[Outcome, Context, tuple[Reason, ...], tuple[str, ...]]  # and the rules behind it


@dataclass(frozen=True, slots=True)
class Decided:
    """The decisions on all frames of one tape, in order."""

    captured_ns: Sequence[int]  # from the first frame
    kinds: tuple[Kind, ...]
    rows: Sequence[int]  # for each frame, its kind

    @property
    def passed(self) -> int:
        """How many frames passed."""
        kinds = self.kinds
        good = [number for number, kind in enumerate(kinds) if kind[0] is Outcome.PASS]
        return sum(self.rows.count(number) for number in good)

    def decisions(self) -> list[FrameDecision]:
        """A value for each frame."""
        return [
            FrameDecision(frame, at_ns, *self.kinds[row])
            for frame, (at_ns, row) in enumerate(zip(self.captured_ns, self.rows, strict=True))
        ]

    def lines(self) -> str:
        """All of `decisions.jsonl`: the lines of `decision_line`."""
        rest = [_rest(kind) for kind in self.kinds]
        return "".join(
            [
                f'{{"frame": {frame}, "captured_ns": {at_ns}{rest[row]}\n'
                for frame, (at_ns, row) in enumerate(zip(self.captured_ns, self.rows, strict=True))
            ]
        )


def _rest(kind: Kind) -> str:
    """A line of this kind from its verdict on."""
    line = decision_line(FrameDecision(0, 0, *kind))
    return line[line.index(', "verdict"') :]
