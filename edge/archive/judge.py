"""Judging a tape: the decisions that a replay of the recording would give, without it.

The same gate, engine and judge as a replay; only what looks at the frames is another.
Pure: a tape, records, samples of the board and a policy come in.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.archive.tape import Tape, TapeExaminer
from edge.audit.schema import Release
from edge.commissioning.records import Device, Session
from edge.errors import UsageError
from edge.evidence.readings import BoardSample
from edge.policy.engine import Policy
from edge.replay.engine import Outcome, Replay
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint


class _Nobody:
    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        raise AssertionError("a tape has no picture to look at")


def judge(
    tape: Tape,
    device: Device,
    session: Session,
    policy: Policy,
    samples: Sequence[BoardSample],
    *,
    camera: bytes,
    release: Release = Release.BRACKETED,
) -> Outcome:
    """Decide every frame of a tape.

    Args:
        samples: of the board, by the time of the recording.
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
    fingerprint = Fingerprint.from_bytes(tape.view) if tape.view else None
    guard = Replay(
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
    return guard.run(tape.moments(), samples)
