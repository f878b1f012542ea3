"""Judging a tape: the decisions that a replay of the recording would give, without it.

The same gate, engine and judge as a replay; only what looks at the frames is another.
Pure: tapes, records and a policy come in.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edge.archive.boards import BoardTape
from edge.archive.decided import Decided
from edge.archive.tape import Tape, TapeExaminer
from edge.archive.turns import TapeReplay
from edge.audit.schema import Release
from edge.commissioning.records import Device, Session
from edge.errors import UsageError
from edge.policy.outcome import Decides
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint


class _Nobody:
    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        raise AssertionError("a tape has no picture to look at")


def judge(
    tape: Tape,
    device: Device,
    session: Session,
    policy: Decides,
    board: BoardTape,
    *,
    camera: bytes,
    release: Release = Release.BRACKETED,
) -> Decided:
    """Decide every frame of a tape; turns in which nothing can happen are left out.

    Args:
        board: what the samples of the board say.
        camera: 16 bytes, the digest of the camera's identity.

    Raises:
        UsageError: the tape was made for another kind of lane.
    """
    if tape.masked != session.operation.masked:
        made = "view_masked" if tape.masked else "another lane than view_masked"
        raise UsageError(
            f"the tape was made for {made}, and the session asks for {session.operation.value}: "
            "extract the recording again for this session"
        )
    fingerprint = _fingerprint(tape.view) if tape.view else None
    guard = TapeReplay(
        device,
        session,
        policy,
        fingerprint,
        _Nobody(),
        release=release,
        camera=camera,
        examiner=TapeExaminer(tape, fingerprint),
        rests=False,
    )
    return guard.play(board)


@lru_cache(8)
def _fingerprint(view: bytes) -> Fingerprint:
    return Fingerprint.from_bytes(view)
