"""The camera is carried out of the door while its dock contact sticks (attack D10)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.audit.schema import End
from edge.clock import S
from edge.decision.judge import Tell, Write
from edge.evidence import telemetry
from edge.evidence.readings import BoardSample, Vector
from edge.lease import Lease
from edge.reasons import Reason
from tests.support.judging import STAMP, World

Imu = tuple[Vector, Vector]  # turning (rad/s) and acceleration (m/s^2)


class Carried(World):
    """A world that can be picked up; its dock contact says docked whatever happens."""

    walk: Callable[[int], Imu] | None = None

    def imu(self, now_ns: int) -> Imu:
        return super().imu(now_ns) if self.walk is None else self.walk(now_ns)


def made(now_ns: int) -> Imu:
    """A slow walk: two steps a second, a little sway, nothing fast."""
    t_s = now_ns / S
    step = math.sin(2 * math.pi * 2 * t_s)
    sway = math.cos(2 * math.pi * 0.5 * t_s)
    return (0.15 * sway, 0.1 * step, 0.2 + 0.05 * step), (0.4 * sway, 0.2, 9.8 + 1.5 * step)


def recorded(path: Path) -> Callable[[int], Imu]:
    """A real one, from its fifth second on, at the guard's own pace."""
    samples = [s for s in telemetry.load([path]) if s.gyro_rad_s and s.accel_m_s2]
    begin_ns = samples[0].captured_ns + 5 * S
    later: Iterator[BoardSample] = iter([s for s in samples if s.captured_ns >= begin_ns])
    state = {"at": next(later), "since": None}

    def imu(now_ns: int) -> Imu:
        since = state["since"] = state["since"] if state["since"] is not None else now_ns
        while state["at"].captured_ns - begin_ns < now_ns - since:
            state["at"] = next(later)
        return state["at"].gyro_rad_s, state["at"].accel_m_s2

    return imu


@pytest.fixture(params=["made", "recorded"])
def walk(request: pytest.FixtureRequest) -> Callable[[int], Imu]:
    if request.param == "made":
        return made
    data: Path = request.getfixturevalue("data_dir")
    return recorded(data / "telemetry" / "handheld_gopro_max_walk_path_imu.csv")


def test_carried_with_a_stuck_contact_ends_the_permit_and_is_named(
    walk: Callable[[int], Imu],
) -> None:
    world = Carried()
    flowing = world.run(2 * S)
    assert any(isinstance(a, Tell) and isinstance(a.message, Lease) for a in flowing)

    world.walk = walk
    taken_ns = world.now_ns
    carried = world.run(5 * S)

    ended = next(
        made.reasons
        for a in carried
        if isinstance(a, Write) and isinstance(made := a.entry(STAMP), End)
    )
    leases = [a.message for a in carried if isinstance(a, Tell) and isinstance(a.message, Lease)]
    assert Reason.MOTION in ended
    assert all(lease.to_ns <= taken_ns + S for lease in leases)  # the bound of the motion sensors
    assert Reason.DOCK_STUCK in _reasons(carried)

    world.walk = None
    again = world.run(4 * S)
    assert any(isinstance(a, Tell) and isinstance(a.message, Lease) for a in again)


def _reasons(actions: list[object]) -> set[Reason]:
    """Every reason that was written or told."""
    found: set[Reason] = set()
    for action in actions:
        if isinstance(action, Tell) and not isinstance(action.message, Lease):
            found.update(action.message.reasons)
    return found
