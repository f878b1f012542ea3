"""Judging a tape leaves turns out, and decides what a judge with every turn decides."""

from __future__ import annotations

import numpy as np
import pytest

from edge.archive.boards import judged
from edge.archive.decided import Decided
from edge.archive.judge import judge
from edge.archive.tape import TapeExaminer
from edge.audit.schema import Release
from edge.policy.signed.files import policy_in
from edge.reasons import Reason
from edge.replay.engine import Replay
from edge.report.record import FrameDecision, decision_line
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint
from tests.support import render
from tests.support.enrol import enrol
from tests.support.tapes import random_case

_SEEDS = 40


class _NoFaces:
    def detect(self, frame: np.ndarray) -> tuple[Box, ...]:
        raise AssertionError("a tape has no picture to look at")


@pytest.fixture(scope="module")
def view() -> bytes:
    frames = list(render.still(render.room(), 12))
    return enrol(frames, [()] * 12, camera=bytes(16), enforce=True).to_bytes()


def _both(seed: int, view: bytes) -> tuple[Decided, list[FrameDecision]]:
    case = random_case(seed, view)
    release = Release.IMMEDIATE if seed % 7 == 0 else Release.BRACKETED
    policy = policy_in("strict", None)
    board = judged(case.samples, case.device.dock_id)
    common = (case.tape, case.device, case.session, policy)
    quick = judge(*common, board, camera=bytes(16), release=release)
    fingerprint = Fingerprint.from_bytes(case.tape.view) if case.tape.view else None
    examiner = TapeExaminer(case.tape, fingerprint)
    every = Replay(
        case.device,
        case.session,
        policy,
        fingerprint,
        _NoFaces(),
        release=release,
        camera=bytes(16),
        examiner=examiner,
        rests=False,
    )
    moments = map(examiner.moment, range(len(examiner.captured_ns)))
    return quick, every.run(moments, case.samples).decisions


@pytest.mark.slow
def test_every_decision_is_that_of_a_judge_with_every_turn(view: bytes) -> None:
    passed, reasons = 0, set()
    for seed in range(_SEEDS):
        quick, every = _both(seed, view)
        assert quick.decisions() == every, seed
        assert quick.lines() == "".join(f"{decision_line(one)}\n" for one in every)
        assert quick.passed == sum(not one.reasons for one in every)
        passed += sum(not one.reasons for one in every)
        reasons |= {reason for one in every for reason in one.reasons}
    assert passed > 300  # frames flow in many of them
    assert len(reasons) > 12
    assert Reason.DWELL in reasons


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_thousand_recordings_more(view: bytes) -> None:
    for seed in range(_SEEDS, 1000):
        quick, every = _both(seed, view)
        assert quick.decisions() == every, seed
