"""Sensors as the board sees them: whole numbers in wire units, None where silent.

Gyro 0.2 mrad/s, accelerometer 2 mm/s2, light 0.01 lux, speed 1 cm/s, position
1e-7 degree. `veto` is the board's own rule: which readings forbid a permit, without
help from the host.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

from edge.errors import BridgeError
from edge.evidence.readings import BoardSample, Vector

GYRO_RAD_S = 0.0002
ACCEL_M_S2 = 0.002
LUX = 0.01
SPEED_M_S = 0.01
DEGREE = 1e-7
DOCK_ID_SIZE = 12
LAYOUT = struct.Struct("<HI3h3hiiHI12s")

GYRO_LIMIT = 750  # 0.15 rad/s, length of the vector: a knock, not sensor noise
ACCEL_LOW, ACCEL_HIGH = 4155, 5655  # 9.81 m/s2 give or take 1.5
SPEED_LIMIT = 200  # 2 m/s: above the drift of a GNSS fix that stands still

Triple = tuple[int, int, int]


class Veto(IntFlag):
    """Reasons against a permit now."""

    NOT_DOCKED = 1
    TAMPERED = 2
    MOTION = 4
    SPEED = 8
    SILENT = 16  # a required sensor is silent, or sends nothing new


# bits of the evidence's flags: whole numbers, for an enum's operators take ten times as long
_DOCK, _DOCKED, _TAMPER, _TAMPERED, _GYRO, _ACCEL, _LUX, _SPEED, _POSITION, _DOCK_ID = (
    1 << bit for bit in range(10)
)
_PAIRED = ((_DOCKED, _DOCK), (_TAMPERED, _TAMPER))


@dataclass(frozen=True, slots=True)
class Sensors:
    """One reading of every sensor, in wire units."""

    docked: bool | None = None
    dock_id: bytes | None = None  # 1 to 12 bytes, no zero byte
    tampered: bool | None = None
    gyro: Triple | None = None
    accel: Triple | None = None
    lux: int | None = None
    speed: int | None = None
    position: tuple[int, int] | None = None  # latitude, longitude

    def pack(self, t_ms: int) -> bytes:
        """The evidence payload, dated with the board's time."""
        has = 0
        for there, flag in (
            (self.docked is not None, _DOCK),
            (self.docked, _DOCKED),
            (self.tampered is not None, _TAMPER),
            (self.tampered, _TAMPERED),
            (self.gyro is not None, _GYRO),
            (self.accel is not None, _ACCEL),
            (self.lux is not None, _LUX),
            (self.speed is not None, _SPEED),
            (self.position is not None, _POSITION),
            (self.dock_id is not None, _DOCK_ID),
        ):
            has |= flag if there else 0
        return LAYOUT.pack(
            has,
            t_ms & 0xFFFF_FFFF,
            *(self.gyro or (0, 0, 0)),
            *(self.accel or (0, 0, 0)),
            *(self.position or (0, 0)),
            self.speed or 0,
            self.lux or 0,
            self.dock_id or b"",
        )


def unpack(payload: bytes) -> tuple[int, Sensors]:
    """Board time in milliseconds (modulo 2**32) and the sensors of an evidence payload."""
    if len(payload) != LAYOUT.size:
        raise BridgeError(f"evidence has {LAYOUT.size} bytes, got {len(payload)}")
    bits, t_ms, gx, gy, gz, ax, ay, az, lat, lon, speed, lux, dock_id = LAYOUT.unpack(payload)
    if bits >= 1024:
        raise BridgeError(f"evidence has unknown flags {bits:#x}")
    if any(bits & value and not bits & base for value, base in _PAIRED):
        raise BridgeError(f"evidence flags {bits:#x} contradict each other")
    return t_ms, Sensors(
        docked=bool(bits & _DOCKED) if bits & _DOCK else None,
        dock_id=dock_id.rstrip(b"\0") if bits & _DOCK_ID else None,
        tampered=bool(bits & _TAMPERED) if bits & _TAMPER else None,
        gyro=(gx, gy, gz) if bits & _GYRO else None,
        accel=(ax, ay, az) if bits & _ACCEL else None,
        lux=lux if bits & _LUX else None,
        speed=speed if bits & _SPEED else None,
        position=(lat, lon) if bits & _POSITION else None,
    )


def veto(sensors: Sensors) -> Veto:
    """The reasons in this reading against a permit; a silent required sensor is one."""
    found = Veto(0)
    if None in (sensors.docked, sensors.dock_id, sensors.tampered, sensors.gyro, sensors.accel):
        found |= Veto.SILENT
    if sensors.docked is False:
        found |= Veto.NOT_DOCKED
    if sensors.tampered:
        found |= Veto.TAMPERED
    if sensors.gyro and _square(sensors.gyro) > GYRO_LIMIT**2:
        found |= Veto.MOTION
    if sensors.accel and not ACCEL_LOW**2 <= _square(sensors.accel) <= ACCEL_HIGH**2:
        found |= Veto.MOTION
    if sensors.speed is not None and sensors.speed > SPEED_LIMIT:
        found |= Veto.SPEED
    return found


def _square(vector: Triple) -> int:
    x, y, z = vector
    return x * x + y * y + z * z


def quantise(sample: BoardSample) -> Sensors:
    """`sample` in wire units; what does not fit is held at the end of its range."""
    dock_id = sample.dock_id.encode("ascii", "replace") if sample.dock_id else None
    if dock_id is not None and len(dock_id) > DOCK_ID_SIZE:
        raise BridgeError(f"a dock id has at most {DOCK_ID_SIZE} characters, got {sample.dock_id}")
    lat, lon = sample.lat_deg, sample.lon_deg
    return Sensors(
        docked=sample.dock,
        dock_id=dock_id,
        tampered=sample.tampered,
        gyro=_triple(sample.gyro_rad_s, GYRO_RAD_S),
        accel=_triple(sample.accel_m_s2, ACCEL_M_S2),
        lux=_whole(sample.lux, LUX, 0, 0xFFFF_FFFF),
        speed=_whole(sample.speed_m_s, SPEED_M_S, 0, 0xFFFF),
        position=None if lat is None or lon is None else (_degrees(lat), _degrees(lon)),
    )


def _triple(vector: Vector | None, unit: float) -> Triple | None:
    if vector is None:
        return None
    x, y, z = (_clamp(v / unit, -32768, 32767) for v in vector)
    return x, y, z


def _whole(value: float | None, unit: float, low: int, high: int) -> int | None:
    return None if value is None else _clamp(value / unit, low, high)


def _degrees(value: float) -> int:
    return _clamp(value / DEGREE, -(2**31), 2**31 - 1)


def _clamp(value: float, low: int, high: int) -> int:
    return int(min(max(round(value), low), high))


def sample(sensors: Sensors, captured_ns: int) -> BoardSample:
    """A reading as the guard uses it, in SI units."""
    lat, lon = sensors.position or (None, None)
    return BoardSample(
        captured_ns=captured_ns,
        dock=sensors.docked,
        dock_id=None if sensors.dock_id is None else sensors.dock_id.decode("ascii", "replace"),
        tampered=sensors.tampered,
        gyro_rad_s=_vector(sensors.gyro, GYRO_RAD_S),
        accel_m_s2=_vector(sensors.accel, ACCEL_M_S2),
        lux=None if sensors.lux is None else sensors.lux * LUX,
        speed_m_s=None if sensors.speed is None else sensors.speed * SPEED_M_S,
        lat_deg=None if lat is None else lat * DEGREE,
        lon_deg=None if lon is None else lon * DEGREE,
    )


def _vector(triple: Triple | None, unit: float) -> Vector | None:
    return None if triple is None else (triple[0] * unit, triple[1] * unit, triple[2] * unit)
