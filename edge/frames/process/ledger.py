"""Records the final verdict of each frame: batches for the parent, counts for the decider."""

from __future__ import annotations

import socket

from edge import ipc
from edge.clock import MS
from edge.frames.gate import Pending
from edge.frames.messages import Resolved, encode_resolved
from edge.reasons import Reason

BATCH = 16
BATCH_NS = 50 * MS


class Ledger:
    """Keeps the last words until they are sent, and counts."""

    def __init__(self, parent: socket.socket) -> None:
        """`parent` gets the last words."""
        self._parent = parent
        self._steps: dict[int, int] = {}  # sequence -> time spent on arrival, ns
        self._resolved: list[Resolved] = []
        self._sent_ns = 0
        self._tally = (0, -1)  # frames released in this epoch, capture time of the last
        self._tally_epoch = 0
        self.judged = 0  # frames with a final word

    def begin(self, epoch: int) -> None:
        """A lease of `epoch` was taken: its count begins unless it has begun."""
        if epoch != self._tally_epoch:
            self._tally, self._tally_epoch = (0, -1), epoch

    def tally(self, epoch: int) -> tuple[int, int]:
        """Frames released under `epoch`, and the capture time of the last; (0, -1) if none."""
        return self._tally if self._tally_epoch == epoch else (0, -1)

    def arrived(self, sequence: int, step_ns: int) -> None:
        """The gate spent `step_ns` on a frame when it came."""
        self._steps[sequence] = step_ns

    def released(self, frame: Pending, epoch: int) -> None:
        """A frame went to the matcher."""
        self._tally = (self._tally[0] + 1, frame.captured_ns)
        self.resolve(frame, None, epoch)

    def resolve(self, frame: Pending, reason: Reason | None, epoch: int) -> None:
        """The final word on a frame that was in hand; no reason: it was released."""
        step_ns = self._steps.pop(frame.sequence, 0)
        self.judge(frame.sequence, frame.captured_ns, reason, epoch, step_ns)

    def judge(
        self, sequence: int, captured_ns: int, reason: Reason | None, epoch: int, step_ns: int = 0
    ) -> None:
        """The final word on any frame; sent to the parent soon."""
        self.judged += 1
        self._resolved.append(Resolved(sequence, captured_ns, reason, epoch, step_ns))

    def due(self, now_ns: int, *, over: bool) -> bool:
        """Whether the last words so far should be sent now."""
        return bool(self._resolved) and (
            len(self._resolved) >= BATCH or now_ns - self._sent_ns >= BATCH_NS or over
        )

    def send(self, now_ns: int) -> None:
        """Send all final verdicts."""
        self._sent_ns = now_ns
        while self._resolved:
            ipc.send(self._parent, encode_resolved(self._resolved[:BATCH]))
            del self._resolved[:BATCH]
