"""Judging a tape: the decisions that a replay of the recording would give, without it.

The same gate, engine and judge as a replay; only what looks at the frames is another.
Pure: tapes, records and a policy come in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

from edge.archive.boards import BoardTape
from edge.archive.decided import Decided
from edge.archive.tape import Tape, TapeExaminer
from edge.archive.turns import TapeReplay
from edge.audit.schema import Release
from edge.commissioning.records import Device, Session
from edge.errors import UsageError
from edge.evidence.readings import BoardSample
from edge.policy.outcome import Decides
from edge.replay.engine import Replay
from edge.report.record import FrameDecision
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint

Kind = TypeVar("Kind", bound=Replay)


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
    guard = _guard(TapeReplay, tape, device, session, policy, camera=camera, release=release)
    return guard.play(board)


def judge_all_turns(
    tape: Tape,
    device: Device,
    session: Session,
    policy: Decides,
    samples: Sequence[BoardSample],
    *,
    camera: bytes,
    release: Release = Release.BRACKETED,
) -> list[FrameDecision]:
    """The same with every turn of a replay, from the samples themselves: what `judge` must equal.

    Raises:
        UsageError: the tape was made for another kind of lane.
    """
    guard = _guard(Replay, tape, device, session, policy, camera=camera, release=release)
    return guard.run(tape.moments(), samples).decisions


def _guard(
    kind: type[Kind],
    tape: Tape,
    device: Device,
    session: Session,
    policy: Decides,
    *,
    camera: bytes,
    release: Release,
) -> Kind:
    if tape.masked != session.operation.masked:
        made = "view_masked" if tape.masked else "another lane than view_masked"
        raise UsageError(
            f"the tape was made for {made}, and the session asks for {session.operation.value}: "
            "extract the recording again for this session"
        )
    fingerprint = _fingerprint(tape.view) if tape.view else None
    return kind(
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


@lru_cache(8)
def _fingerprint(view: bytes) -> Fingerprint:
    return Fingerprint.from_bytes(view)
