"""What the board's sensors say: docked here, untouched and still, or not."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from edge.clock import MS, S
from edge.evidence import telemetry
from edge.evidence.board import BoardWatch
from edge.evidence.readings import BoardSample, Reading, Source
from edge.reasons import Reason

DOCK = "D-0017"
PERIOD_NS = 20 * MS


def sample(t_ns: int, seed: int = 0, **changed: object) -> BoardSample:
    rng = random.Random(t_ns + seed)
    values: dict[str, object] = {
        "dock": True,
        "dock_id": DOCK,
        "tampered": False,
        "gyro_rad_s": tuple(rng.gauss(0, 0.002) for _ in range(3)),
        "accel_m_s2": (rng.gauss(0, 0.02), rng.gauss(0, 0.02), rng.gauss(9.81, 0.02)),
    }
    values.update(changed)
    return BoardSample(t_ns, **values)  # type: ignore[arg-type]


def newest(watch: BoardWatch, samples: list[BoardSample]) -> dict[Source, Reading]:
    found: dict[Source, Reading] = {}
    for one in samples:
        found.update({reading.source: reading for reading in watch.see(one)})
    return found


def steady(count: int = 60, **changed: object) -> list[BoardSample]:
    return [sample(i * PERIOD_NS, **changed) for i in range(count)]


def test_docked_untouched_and_still_is_good() -> None:
    found = newest(BoardWatch(DOCK), steady())

    assert found[Source.DOCK].good
    assert found[Source.STILLNESS].good


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"dock": False}, Reason.NOT_DOCKED),
        ({"dock": None}, Reason.SENSOR_SILENT),
        ({"dock_id": "D-0099"}, Reason.DOCK_SITE),
        ({"dock_id": None}, Reason.SENSOR_SILENT),
        ({"tampered": True}, Reason.TAMPER),
        ({"tampered": None}, Reason.SENSOR_SILENT),
    ],
)
def test_a_dock_that_is_not_this_dock_is_bad(changed: dict[str, object], reason: Reason) -> None:
    found = newest(BoardWatch(DOCK), steady(**changed))

    assert found[Source.DOCK].reasons == (reason,)


@pytest.mark.parametrize("gyro", [(0.06, 0.0, 0.0), (0.03, 0.03, 0.03)])
def test_a_turning_camera_moves(gyro: tuple[float, float, float]) -> None:
    found = newest(BoardWatch(DOCK), steady(gyro_rad_s=gyro))

    assert Reason.MOTION in found[Source.STILLNESS].reasons


def test_a_slow_bias_of_the_gyro_is_not_motion() -> None:
    found = newest(BoardWatch(DOCK), steady(gyro_rad_s=(0.02, -0.02, 0.01)))

    assert Reason.MOTION not in found[Source.STILLNESS].reasons


def test_a_shaken_camera_moves() -> None:
    shaken = [
        sample(i * PERIOD_NS, accel_m_s2=(math.sin(i), 0.0, 9.81 + math.sin(i))) for i in range(60)
    ]

    found = newest(BoardWatch(DOCK), shaken)

    assert Reason.MOTION in found[Source.STILLNESS].reasons


def test_a_world_without_gravity_is_implausible() -> None:
    found = newest(BoardWatch(DOCK), steady(accel_m_s2=(0.0, 0.0, 0.1)))

    assert Reason.SENSOR_IMPLAUSIBLE in found[Source.STILLNESS].reasons


def test_a_sensor_that_varied_and_now_repeats_one_value_is_implausible() -> None:
    watch = BoardWatch(DOCK)
    flat = [
        sample(2 * S + i * PERIOD_NS, gyro_rad_s=(0.0, 0.0, 0.0), accel_m_s2=(0.0, 0.0, 9.81))
        for i in range(60)
    ]

    newest(watch, steady())
    found = newest(watch, flat)

    assert found[Source.STILLNESS].reasons == (Reason.SENSOR_IMPLAUSIBLE,)


def test_half_an_imu_is_no_imu() -> None:
    found = newest(BoardWatch(DOCK), steady(accel_m_s2=None))

    assert found[Source.STILLNESS].reasons == (Reason.SENSOR_SILENT,)


def test_a_field_that_stopped_coming_goes_stale() -> None:
    watch = BoardWatch(DOCK)
    newest(watch, steady())

    found = newest(watch, [sample(S + 400 * MS + i * PERIOD_NS, dock_id=None) for i in range(20)])

    assert found[Source.DOCK].reasons == (Reason.SENSOR_SILENT,)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"speed_m_s": 2.0}, Reason.SPEED),
        ({"lux": 60_000.0}, Reason.LIGHT),
        ({"speed_m_s": 0.1}, None),
        ({"lux": 500.0}, None),
    ],
)
def test_speed_and_sunlight_veto(changed: dict[str, object], reason: Reason | None) -> None:
    found = newest(BoardWatch(DOCK), steady(**changed))

    assert found[Source.POSITION].reasons == (() if reason is None else (reason,))


def test_a_position_that_jumps_is_implausible_and_one_that_creeps_is_not() -> None:
    watch = BoardWatch(DOCK)
    near = newest(watch, [sample(0, lat_deg=48.0, lon_deg=11.0)])
    near |= newest(watch, [sample(S, lat_deg=48.00001, lon_deg=11.0)])
    far = newest(watch, [sample(2 * S, lat_deg=48.01, lon_deg=11.0)])

    assert near[Source.POSITION].good
    assert far[Source.POSITION].reasons == (Reason.SENSOR_IMPLAUSIBLE,)


@pytest.mark.parametrize(
    "name", ["comma2k19_drive_imu.csv", "handheld_gopro_max_walk_path_imu.csv"]
)
def test_real_drives_and_walks_move_nearly_always(name: str, data_dir: Path) -> None:
    watch = BoardWatch(DOCK)
    readings = [
        reading
        for one in telemetry.load([data_dir / "telemetry" / name])
        for reading in watch.see(one)
        if reading.source is Source.STILLNESS
    ]

    moving = sum(not reading.good for reading in readings)

    assert moving > 0.5 * len(readings)
    run = longest = 0
    times = [reading.captured_ns for reading in readings]
    for i, reading in enumerate(readings):
        run = run + times[i] - times[i - 1] if i and reading.good else 0
        longest = max(longest, run)
    assert longest < 3 * S  # no stretch of the default dwell looks still
