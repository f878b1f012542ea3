"""A frame keeps the verdict of the moment it was shot, however late it comes.

The real judge and the real gate, in virtual time. The board speaks of now; the
frames come late, by a constant lag, jitter and bursts, in order as from a queue.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge.cameras.lag import Lag, LagWatch
from edge.clock import MS, S
from edge.decision.judge import Action, Tell
from edge.frames.gate import Gate, Pending
from edge.lease import Lease, Revocation
from edge.reasons import Reason
from tests.support.judging import BINDING, SETUP, STEP_NS, World

STEPS = 400  # 8 s
MOST_STEPS = 150  # 3 s of lag: three times the dwell


class Rig(World):
    """The judge's world with a gate, a dock that is pulled at times, and a camera that lags."""

    def __init__(
        self, lag_ns: int | None, late: list[int], undocked: set[int], dated: bool
    ) -> None:
        """`late` holds each frame's lag, `undocked` when the dock is pulled, both in steps."""
        self.gate = Gate(BINDING, min_view_score=0.8)
        super().__init__(replace(SETUP, lag_ns=lag_ns))
        self.undocked, self.dated = undocked, dated
        comes = accumulate((i + steps for i, steps in enumerate(late)), max)
        self.coming: dict[int, list[int]] = {}
        for shot, step in enumerate(comes):
            self.coming.setdefault(step, []).append(shot)
        self.out: list[int] = []  # when each released frame was shot

    def delivered(self, shot: int, came_ns: int) -> bool:
        """Whether capture hands the frame on; here it always does."""
        return True

    def play(self) -> list[int]:
        for step in range(STEPS):
            self.now_ns += STEP_NS
            self.docked = step not in self.undocked
            self.step()
            for k, shot in enumerate(self.coming.get(step, [])):
                came_ns = self.now_ns + k * 1000  # a burst is read one after another
                stamp_ns = came_ns - (step - shot) * STEP_NS if self.dated else came_ns
                if not self.delivered(shot, came_ns):
                    continue
                self.gate.admit(Pending(shot, stamp_ns, 1.0, 0, 1), came_ns)
            self.step()
            self.gate.tick(self.now_ns)
            while (head := self.gate.head(self.now_ns)) is not None:
                self.out.append(head.sequence)
                self.gate.take()
        return self.out

    def carry_out(self, action: Action) -> None:
        super().carry_out(action)
        match action:
            case Tell(Lease() as lease):
                self.gate.grant(lease, self.now_ns)
            case Tell(Revocation() as revocation):
                self.gate.revoke(revocation)


class Watched(Rig):
    """A stream that tells its frames' times: capture's watch stands before the gate."""

    def __init__(self, accepted_ns: int, late: list[int], undocked: set[int]) -> None:
        super().__init__(2 * accepted_ns, late, undocked, dated=False)  # as the guard sets it
        self.watch = LagWatch(accepted_ns)

    def delivered(self, shot: int, came_ns: int) -> bool:
        return self.watch.judge(shot * STEP_NS, came_ns) is Lag.WITHIN


def first_seconds(usual: int, backlog: int, speed: int, stall: tuple[int, int]) -> list[int]:
    """Each frame's lag in steps: a queue at the start drains, one more forms later."""
    late = []
    for i in range(STEPS):
        left = max(0, backlog - i // speed)
        if stall[0] <= i < stall[0] + stall[1]:
            left = max(left, stall[0] + stall[1] - i)
        late.append(usual + left)
    return late


@st.composite
def lags(draw: st.DrawFn, most: int) -> list[int]:
    """Each frame's lag in steps: a constant part, jitter, and queues that are let go at once."""
    constant = draw(st.integers(0, most))
    jitter = draw(st.lists(st.integers(0, most - constant), min_size=1, max_size=12))
    late = [constant + jitter[i % len(jitter)] for i in range(STEPS)]
    queue = st.tuples(st.integers(0, STEPS - 1), st.integers(1, most))
    for begin, length in draw(st.lists(queue, max_size=3)):
        for i in range(begin, min(STEPS, begin + length)):
            late[i] = min(most, max(late[i], begin + length - i))
    return late


pulled = st.lists(
    st.tuples(st.integers(0, STEPS), st.integers(1, 100)), min_size=1, max_size=3
).map(lambda spans: {step for begin, length in spans for step in range(begin, begin + length)})
few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
SHOWN = set(range(100, 130))


@pytest.mark.slow
@few
@given(lags(MOST_STEPS), pulled)
@example([120] * STEPS, SHOWN)
def test_no_frame_shot_undocked_is_released_whatever_the_lag_within_the_accepted_one(
    late: list[int], undocked: set[int]
) -> None:
    out = Rig(MOST_STEPS * STEP_NS, late, undocked, dated=False).play()

    assert undocked.isdisjoint(out)


@pytest.mark.slow
@settings(few, max_examples=12)
@given(
    st.integers(0, 25),
    st.integers(0, 250),
    st.integers(1, 4),
    st.tuples(st.integers(0, STEPS), st.integers(0, 100)),
    pulled,
)
@example(25, 120, 2, (0, 0), set(range(0, 60)))
def test_no_frame_shot_undocked_is_released_whatever_waited_at_the_start(
    usual: int, backlog: int, speed: int, stall: tuple[int, int], undocked: set[int]
) -> None:
    """The record limits only the usual lag."""
    late = first_seconds(usual, backlog, speed, stall)

    assert undocked.isdisjoint(Watched(30 * STEP_NS, late, undocked).play())


def test_frames_flow_once_what_waited_at_the_start_is_gone() -> None:
    out = Watched(30 * STEP_NS, first_seconds(10, 50, 1, (0, 0)), set()).play()

    assert len(out) > 100


@pytest.mark.slow
@few
@given(lags(25), pulled)
def test_no_frame_shot_undocked_is_released_of_a_camera_that_dates_its_frames(
    late: list[int], undocked: set[int]
) -> None:
    assert undocked.isdisjoint(Rig(0, late, undocked, dated=True).play())


@pytest.mark.slow
@few
@given(lags(MOST_STEPS), pulled)
def test_nothing_is_released_where_nothing_bounds_the_lag(
    late: list[int], undocked: set[int]
) -> None:
    rig = Rig(None, late, undocked, dated=False)

    assert rig.play() == []
    assert Reason.LAG_UNBOUNDED in rig.judge.outlook.reasons


@pytest.mark.parametrize(
    ("lag_ns", "late_steps", "dated"),
    [(0, 15, True), (0, 0, True), (500 * MS, 25, False), (2 * S, 100, False)],
    ids=["dated", "dated, at once", "half a second accepted", "two seconds accepted"],
)
def test_frames_flow_where_the_lag_is_known_or_accepted(
    lag_ns: int, late_steps: int, dated: bool
) -> None:
    out = Rig(lag_ns, [late_steps] * STEPS, set(), dated).play()

    assert len(out) > 100
    assert out == sorted(out)
