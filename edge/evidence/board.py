"""What the board's sensors say about the capture context.

Each sample becomes readings of the sources it feeds: dock (contact, id,
tamper switch), stillness (gyro and accelerometer) and, as a veto only,
position (travel speed, jumps, sunlight). A sensor that belongs to a source but
has not spoken within `FRESH_NS` makes that source's reading bad.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import fields

from edge.clock import MS, S
from edge.evidence.readings import BoardSample, Reading, Source, Vector
from edge.reasons import Reason

FRESH_NS = 300 * MS  # six periods of the slowest evidence stream the board sends (20 Hz)
GYRO_STILL_RAD_S = 0.05  # a desk-fixed camera stays below 0.02; a chest-worn one exceeds 0.1
ACCEL_STILL_M_S2 = 0.35  # departure from the mean of the last second
GRAVITY_M_S2 = (9.0, 10.6)  # plausible length of the mean acceleration at rest
GYRO_LIMIT_RAD_S = 40.0  # beyond what such sensors can report
SPEED_STILL_M_S = 0.5
SUNLIGHT_LUX = 20_000.0  # brighter than any lit room
JUMP_M = 50.0  # between two fixes less than two seconds apart
STUCK_NS = 2 * S  # of movement with the dock contact closed: the contact must be faulty
_PAUSE_NS = 300 * MS  # a shorter rest is part of the movement: a step, a turn of the wrist
_WINDOW_NS = S
_FLAT_SAMPLES = 20
_EARTH_M = 111_320.0  # metres in a degree of latitude

_SENSORS = tuple(item.name for item in fields(BoardSample) if item.name != "captured_ns")


class BoardWatch:
    """Judges board samples in the order of their times."""

    def __init__(self, dock_id: str) -> None:
        self._dock_id = dock_id
        self._latest: dict[str, tuple[int, object]] = {}
        self._imu: deque[tuple[int, tuple[Vector, Vector]]] = deque()
        self._imu_varied = False
        self._fix: tuple[int, float, float] | None = None
        self._moving: tuple[int, int] | None = None  # since when, and when last

    def see(self, sample: BoardSample) -> tuple[Reading, ...]:
        """Readings for the sources this sample feeds."""
        present = set()
        for name in _SENSORS:
            value = getattr(sample, name)
            if value is not None:
                self._latest[name] = (sample.captured_ns, value)
                present.add(name)
        readings = []
        if present & {"dock", "dock_id", "tampered"}:
            readings.append(self._dock(sample.captured_ns))
        if present & {"gyro_rad_s", "accel_m_s2"}:
            readings.append(self._stillness(sample.captured_ns))
        if present & {"speed_m_s", "lat_deg", "lux"}:
            readings.append(self._position(sample))
        return tuple(readings)

    def _dock(self, now_ns: int) -> Reading:
        reasons = []
        if (tampered := self._fresh("tampered", now_ns)) is None:
            reasons.append(Reason.SENSOR_SILENT)
        elif tampered:
            reasons.append(Reason.TAMPER)
        if (dock := self._fresh("dock", now_ns)) is None:
            reasons.append(Reason.SENSOR_SILENT)
        elif not dock:
            reasons.append(Reason.NOT_DOCKED)
        if (dock_id := self._fresh("dock_id", now_ns)) is None:
            reasons.append(Reason.SENSOR_SILENT)
        elif not self._dock_id or dock_id != self._dock_id:
            reasons.append(Reason.DOCK_SITE)
        if dock and self._moving is not None:
            since_ns, last_ns = self._moving
            if now_ns - last_ns <= _PAUSE_NS and last_ns - since_ns >= STUCK_NS:
                reasons.append(Reason.DOCK_STUCK)
        return Reading(Source.DOCK, now_ns, tuple(reasons))

    def _stillness(self, now_ns: int) -> Reading:
        gyro = self._fresh("gyro_rad_s", now_ns)
        accel = self._fresh("accel_m_s2", now_ns)
        if not isinstance(gyro, tuple) or not isinstance(accel, tuple):
            return Reading(Source.STILLNESS, now_ns, (Reason.SENSOR_SILENT,))
        self._imu.append((now_ns, (gyro, accel)))
        while self._imu[0][0] < now_ns - _WINDOW_NS:
            self._imu.popleft()
        reasons = []
        if self._flat() or max(abs(v) for v in gyro) > GYRO_LIMIT_RAD_S:
            reasons.append(Reason.SENSOR_IMPLAUSIBLE)
        axes = zip(*[accel for _, (_, accel) in self._imu], strict=True)
        mean = tuple(sum(axis) / len(axis) for axis in axes)
        low, high = GRAVITY_M_S2
        if math.hypot(*gyro) > GYRO_STILL_RAD_S or math.dist(accel, mean) > ACCEL_STILL_M_S2:
            reasons.append(Reason.MOTION)
            since_ns, last_ns = self._moving or (now_ns, now_ns)
            self._moving = (since_ns if now_ns - last_ns <= _PAUSE_NS else now_ns, now_ns)
        elif not low <= math.hypot(*mean) <= high:
            reasons.append(Reason.SENSOR_IMPLAUSIBLE)
        return Reading(Source.STILLNESS, now_ns, tuple(reasons))

    def _flat(self) -> bool:
        """A sensor that used to vary and now repeats one value for the whole window.

        A recording whose values never vary may just be rounded coarsely; it is
        not called dead for that.
        """
        first = self._imu[0][1]
        same = self._imu[-1][1] == first and all(values == first for _, values in self._imu)
        self._imu_varied = self._imu_varied or not same
        spans = len(self._imu) >= _FLAT_SAMPLES and (
            self._imu[-1][0] - self._imu[0][0] >= _WINDOW_NS * 9 // 10
        )
        return same and spans and self._imu_varied

    def _position(self, sample: BoardSample) -> Reading:
        now_ns = sample.captured_ns
        reasons = []
        speed = self._fresh("speed_m_s", now_ns)
        if isinstance(speed, float) and abs(speed) > SPEED_STILL_M_S:
            reasons.append(Reason.SPEED)
        lux = self._fresh("lux", now_ns)
        if isinstance(lux, float) and lux > SUNLIGHT_LUX:
            reasons.append(Reason.LIGHT)
        if sample.lat_deg is not None and sample.lon_deg is not None:
            if self._jumped(now_ns, sample.lat_deg, sample.lon_deg):
                reasons.append(Reason.SENSOR_IMPLAUSIBLE)
            self._fix = (now_ns, sample.lat_deg, sample.lon_deg)
        return Reading(Source.POSITION, now_ns, tuple(reasons))

    def _jumped(self, now_ns: int, lat_deg: float, lon_deg: float) -> bool:
        if self._fix is None or now_ns - self._fix[0] > 2 * S:
            return False
        _, lat0, lon0 = self._fix
        north = (lat_deg - lat0) * _EARTH_M
        east = (lon_deg - lon0) * _EARTH_M * math.cos(math.radians(lat0))
        return math.hypot(north, east) > JUMP_M

    def _fresh(self, name: str, now_ns: int) -> object | None:
        seen_ns, value = self._latest.get(name, (now_ns - FRESH_NS - 1, None))
        return value if now_ns - seen_ns <= FRESH_NS else None
