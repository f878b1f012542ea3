"""Telemetry recordings: CSV files of a board's sensor readings, as samples.

`t_s` counts seconds from the clip's first frame. Every other column carries
its unit in its name; sensors a row does not hold stay None, and nothing is
carried forward. Several files merge by time. Columns that are no sensor of
ours are ignored, but a sensor's name with a unit nobody knows is refused: a
gyro read in the wrong unit could pass for a still one.
"""

from __future__ import annotations

import csv
import errno
import heapq
import io
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edge.clock import S
from edge.errors import RecordError
from edge.evidence.readings import BoardSample, Vector
from edge.files import open_named

_RAD_PER_DEG = math.pi / 180
_AXES = "xyz"
_IN_BRACKETS = re.compile(r"(?P<name>\w+?)[ _]*[(\[](?P<unit>[^)\]]+)[)\]]")
_SYMBOLS = {
    "rad/s": "rad_s",
    "deg/s": "deg_s",
    "°/s": "deg_s",
    "m/s^2": "m_s2",
    "m/s2": "m_s2",
    "m/s²": "m_s2",
    "m/s": "m_s",
    "deg": "deg",
    "°": "deg",
    "s": "s",
}
_SENSORS = re.compile(
    r"(?P<name>(gyro|accel)_[xyz]|gyro|accel|(gnss_|gps_)?(lat|lon)"
    r"|(can_|gnss_)?speed|speed2d|lux|dock_id|dock|tamper)(_(?P<unit>.+))?"
)
_UNITS: dict[str, tuple[str | None, ...]] = {
    "gyro": ("rad_s", "deg_s"),
    "accel": ("m_s2",),
    "lat": ("deg",),
    "lon": ("deg",),
    "speed": ("m_s",),
    "lux": (None,),
    "dock": (None,),
    "dock_id": (None,),
    "tamper": (None,),
}
_SPEEDS = ("can_speed", "gnss_speed", "speed2d", "speed")  # later ones win
_LIMITS = {"lat": 90.0, "lon": 180.0}


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of a file: which sensor it is and how to read a cell."""

    index: int
    header: str
    sensor: str  # gyro_x, accel_z, lat, lon, speed, lux, dock, dock_id, tamper
    factor: float
    rank: int  # of several columns of one sensor the highest rank wins


def load(paths: Sequence[Path]) -> tuple[BoardSample, ...]:
    """Every row of every file, in order of time.

    Returns:
        Samples whose `captured_ns` counts from the clip's first frame and may
        be negative.

    Raises:
        RecordError: a file cannot be read as telemetry; names file and place.
    """
    return tuple(heapq.merge(*map(_read, paths), key=lambda sample: sample.captured_ns))


def ignored_columns(path: Path) -> tuple[str, ...]:
    """The columns of a file that are no sensor of ours, as its header names them.

    Raises:
        RecordError: the file cannot be read as telemetry.
    """
    with _rows(path) as (header, _):
        return tuple(name for name in header if name != "t_s" and not _SENSORS.fullmatch(name))


def _read(path: Path) -> list[BoardSample]:
    with _rows(path) as (header, rows):
        time, columns = _columns(path, header)
        return list(_samples(path, rows, len(header), time, columns))


@contextmanager
def _rows(path: Path) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    try:
        with _open(path) as file:
            rows = csv.reader(file, strict=True)
            yield [_plain(name.strip()) for name in next(rows, [])], rows
    except OSError as err:
        raise RecordError(f"{path}: cannot read telemetry: {err.strerror}") from err
    except UnicodeDecodeError as err:
        raise RecordError(f"{path}: expected UTF-8 text, got other bytes") from err
    except csv.Error as err:
        raise RecordError(f"{path}: expected comma-separated text: {err}") from err


def _open(path: Path) -> TextIO:
    """The file as text; a pipe or device, which may never end, is refused unread."""
    try:
        return io.TextIOWrapper(open_named(path), newline="", encoding="utf-8-sig")
    except OSError as err:
        if err.errno != errno.EINVAL:
            raise
        raise RecordError(f"{path}: expected a telemetry file, this is no regular file") from err


def _plain(name: str) -> str:
    """A column's name in our spelling: `gyro_x (rad/s)` is `gyro_x_rad_s`."""
    match = _IN_BRACKETS.fullmatch(name)
    if match is None:
        return name
    unit = _SYMBOLS.get(match["unit"].strip().lower().replace(" ", ""), match["unit"])
    return f"{match['name']}_{unit}"


def _columns(path: Path, header: list[str]) -> tuple[int, list[_Column]]:
    if "t_s" not in header:
        found = ", ".join(header[:6]) or "nothing"
        raise RecordError(f"{path}: expected a column t_s (seconds), found {found}")
    twice = next((name for i, name in enumerate(header) if name and name in header[:i]), None)
    if twice is not None:
        raise RecordError(f"{path}: column {twice} is there twice")
    columns = [_column(path, i, name) for i, name in enumerate(header)]
    return header.index("t_s"), sorted(
        (column for column in columns if column is not None), key=lambda column: column.rank
    )


def _column(path: Path, index: int, name: str) -> _Column | None:
    match = _SENSORS.fullmatch(name)
    if match is None:
        return None
    sensor, unit = match["name"], match["unit"]
    kind = re.sub(r"^(can_|gnss_|gps_)|2d$|(?<=gyro|ccel)_[xyz]$", "", sensor)
    if kind in ("gyro", "accel") and sensor == kind:
        raise RecordError(f"{path}: column {name} names no axis; expected {kind}_x, _y and _z")
    units = _UNITS[kind]
    if unit not in units:
        wanted = " or ".join(f"{sensor}_{u}" if u else sensor for u in units)
        raise RecordError(f"{path}: column {name} has a unit nobody knows; expected {wanted}")
    rank = _SPEEDS.index(sensor) if kind == "speed" else int(sensor == kind)
    factor = _RAD_PER_DEG if unit == "deg_s" else 1.0
    return _Column(index, name, sensor if kind in ("gyro", "accel") else kind, factor, rank)


def _samples(
    path: Path, rows: Iterator[list[str]], width: int, time: int, columns: list[_Column]
) -> Iterator[BoardSample]:
    before_s = -math.inf
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) != width:
            raise RecordError(f"{path}:{number}: expected {width} values, got {len(row)}")
        t_s = _number(path, number, "t_s", row[time])
        if t_s < before_s:
            raise RecordError(f"{path}:{number}: time went back from {before_s:g} to {t_s:g} s")
        if abs(t_s) > 1e9:
            raise RecordError(f"{path}:{number}: t_s is {t_s:g}, expected seconds of a clip")
        before_s = t_s
        yield _sample(path, number, round(t_s * S), row, columns)


def _sample(
    path: Path, number: int, captured_ns: int, row: list[str], columns: list[_Column]
) -> BoardSample:
    values: dict[str, float] = {}
    dock_id = None
    for column in columns:
        cell = row[column.index].strip()
        if not cell:
            continue
        if column.sensor == "dock_id":
            dock_id = _dock_id(path, number, cell)
            continue
        value = _number(path, number, column.header, cell)
        _check(path, number, column, value)
        values[column.sensor] = value * column.factor
    return BoardSample(
        captured_ns=captured_ns,
        dock=_flag(values, "dock"),
        dock_id=dock_id,
        tampered=_flag(values, "tamper"),
        gyro_rad_s=_vector(values, "gyro"),
        accel_m_s2=_vector(values, "accel"),
        lux=values.get("lux"),
        speed_m_s=values.get("speed"),
        lat_deg=values.get("lat"),
        lon_deg=values.get("lon"),
    )


def _check(path: Path, number: int, column: _Column, value: float) -> None:
    place = f"{path}:{number}: {column.header}"
    if column.sensor in ("dock", "tamper") and value not in (0.0, 1.0):
        raise RecordError(f"{place} is {value:g}, expected 0 or 1")
    if column.sensor in ("lux", "speed") and value < 0:
        raise RecordError(f"{place} is {value:g}, expected 0 or more")
    limit = _LIMITS.get(column.sensor)
    if limit is not None and abs(value) > limit:
        raise RecordError(f"{place} is {value:g}, expected -{limit:g} to {limit:g}")


def _dock_id(path: Path, number: int, cell: str) -> str:
    if len(cell) > 12 or not cell.isascii() or not cell.isprintable():
        raise RecordError(f"{path}:{number}: dock_id is {cell!r}, expected 1 to 12 characters")
    return cell


def _number(path: Path, number: int, header: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RecordError(f"{path}:{number}: {header} is {cell!r}, expected a finite number")
    return value


def _flag(values: dict[str, float], name: str) -> bool | None:
    return bool(values[name]) if name in values else None


def _vector(values: dict[str, float], name: str) -> Vector | None:
    try:
        x, y, z = (values[f"{name}_{axis}"] for axis in _AXES)
    except KeyError:
        return None
    return x, y, z
