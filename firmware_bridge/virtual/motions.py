"""Where a virtual board's sensor readings come from: still, walking, or a recording.

Each is a plain function from elapsed seconds to a `BoardSample`. Noise figures
follow common MEMS parts: a gyro at rest shows about 2 mrad/s rms, an
accelerometer about 0.02 m/s2.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge.clock import S
from edge.evidence.readings import BoardSample, Vector

G_M_S2 = 9.81
GYRO_NOISE_RAD_S = 0.002
ACCEL_NOISE_M_S2 = 0.02
MOTION_HOLD_NS = S // 5  # an IMU row says nothing about times later than this
SLOW_HOLD_NS = 2 * S  # dock, tamper, light and GNSS rows

Motion = Callable[[float], BoardSample]


def still(dock_id: str, rng: random.Random) -> Motion:
    """Docked and fixed to a wall: gravity and sensor noise."""

    def at(_t_s: float) -> BoardSample:
        return BoardSample(
            captured_ns=0,
            dock=True,
            dock_id=dock_id,
            tampered=False,
            gyro_rad_s=_noise(rng, GYRO_NOISE_RAD_S),
            accel_m_s2=_plus((0.0, 0.0, G_M_S2), _noise(rng, ACCEL_NOISE_M_S2)),
            lux=320.0 + rng.gauss(0.0, 2.0),
        )

    return at


def walking(rng: random.Random) -> Motion:
    """Worn on a chest at two steps a second: sway, bounce and turns; no dock."""

    def at(t_s: float) -> BoardSample:
        stride = 2 * math.pi * t_s
        gyro = (
            0.35 * math.sin(stride) + 0.1,
            0.55 * math.sin(stride + 0.7),
            0.25 * math.sin(2 * stride) + 0.3 * math.sin(0.4 * stride),
        )
        accel = (
            0.9 * math.sin(stride + 0.3),
            1.4 * math.sin(2 * stride),
            G_M_S2 + 2.6 * math.sin(2 * stride + 0.5),
        )
        return BoardSample(
            captured_ns=0,
            dock=False,
            tampered=False,
            gyro_rad_s=_plus(gyro, _noise(rng, 0.03)),
            accel_m_s2=_plus(accel, _noise(rng, 0.2)),
            lux=9000.0 + rng.gauss(0.0, 150.0),
            speed_m_s=max(0.0, 1.35 + rng.gauss(0.0, 0.08)),
        )

    return at


def recorded(rows: Sequence[BoardSample]) -> Motion:
    """Plays rows back: each sensor's newest row, for as long as it may stand."""
    times = [row.captured_ns for row in rows]

    def at(t_s: float) -> BoardSample:
        now_ns = round(t_s * S)
        end = bisect.bisect_right(times, now_ns)
        merged = BoardSample(captured_ns=0)
        for row in reversed(rows[:end] if end <= 4096 else rows[end - 4096 : end]):
            age_ns = now_ns - row.captured_ns
            if age_ns > SLOW_HOLD_NS:
                break
            merged = _filled(merged, row, age_ns <= MOTION_HOLD_NS)
        return merged

    return at


_SLOW = ("dock", "dock_id", "tampered", "lux", "speed_m_s", "lat_deg", "lon_deg")
_FAST = ("gyro_rad_s", "accel_m_s2")


def _filled(merged: BoardSample, row: BoardSample, motion_counts: bool) -> BoardSample:
    """`merged` with what it lacks taken from `row`."""
    names = _SLOW + _FAST if motion_counts else _SLOW
    new = {
        name: getattr(row, name)
        for name in names
        if getattr(merged, name) is None and getattr(row, name) is not None
    }
    return replace(merged, **new) if new else merged


def _noise(rng: random.Random, rms: float) -> Vector:
    return rng.gauss(0.0, rms), rng.gauss(0.0, rms), rng.gauss(0.0, rms)


def _plus(a: Vector, b: Vector) -> Vector:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
