"""What a replay sees with: the pictures of a recording, or what was seen of them before."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from edge.decision.engine import Engine, Examined
from edge.frames.sentinel import Sentinel
from edge.view.look import Look


class Moment(Protocol):
    """One frame of a recording; see `edge.cameras.opencv.Shot`."""

    @property
    def frame(self) -> Any:
        """A picture, or what stands for one, with `shape` and `nbytes`."""

    @property
    def captured_ns(self) -> int:
        """From the recording's first frame."""


class Sample(Protocol):
    """One moment of the board; see `edge.evidence.readings.BoardSample`."""

    @property
    def captured_ns(self) -> int:
        """From the recording's first frame; may be negative."""


class Examiner(Protocol):
    """Looks at the frames of one recording, in order."""

    @property
    def repeat(self) -> bool:
        """Whether the frame last looked at has the pixels of the one before it."""

    def look(self, picture: Any, seen_blocks: int) -> Look:
        """What the sentinel finds in a frame, compared over these blocks."""

    def examine(self, engine: Engine, picture: Any, captured_ns: int, *, final: bool) -> Examined:
        """Let the engine read one evidence frame."""


class Pixels(Sentinel):
    """Looks at the pictures themselves."""

    def examine(
        self, engine: Engine, picture: np.ndarray, captured_ns: int, *, final: bool
    ) -> Examined:
        return engine.examine(picture, captured_ns, final=final)
