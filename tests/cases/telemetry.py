"""Telemetry as other programs write it: read rightly, or refused by line or column."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.cases.case import FRAMES, Case, Found, Outcome, Workshop

_HEADER = (
    "t_s,dock,dock_id,tamper,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,"
    "accel_x_m_s2,accel_y_m_s2,accel_z_m_s2"
)
_TIMES_S = [i / 50 for i in range(FRAMES * 50 // 30 + 10)]
_ROWS = [
    f"{t:.3f},1,D-0017,0,{i % 3 * 1e-3:.4f},0.0010,-0.0010,0.01,{i % 2 * 0.02:.2f},9.81"
    for i, t in enumerate(_TIMES_S)
]
_CLEAN = "^60 frames(?!.*(SENSOR_SILENT|UNDOCKED|TAMPER))"  # every sensor was read
_SILENT = "SENSOR_SILENT"  # sensors are missing, and the judge says so
_JUDGED, _REFUSED = Outcome.JUDGED, Outcome.REFUSED


def _bytes(data: bytes) -> Callable[[Workshop], Found]:
    def run(shop: Workshop) -> Found:
        path = shop.folder / "board.csv"
        path.write_bytes(data)
        return shop.replay(shop.clip, path)

    return run


def _text(
    header: str, rows: list[str], newline: str = "\n", encoding: str = "utf-8"
) -> Callable[[Workshop], Found]:
    return _bytes((newline.join([header, *rows]) + newline).encode(encoding))


def _cells(change: Callable[[list[str]], list[str]]) -> list[str]:
    return [",".join(change(row.split(","))) for row in _ROWS]


def _time(of: Callable[[float], str]) -> Callable[[Workshop], Found]:
    return _text(_HEADER, _cells(lambda c: [of(float(c[0])), *c[1:]]))


def _pipe(shop: Workshop) -> Found:
    path = shop.folder / "board.csv"
    os.mkfifo(path)
    return shop.replay(shop.clip, path)


_BRACKETS = _HEADER.replace("_rad_s", " (rad/s)").replace("_m_s2", " (m/s^2)")
_SEMICOLONS = [line.replace(",", ";") for line in (_HEADER, *_ROWS)]
_DECIMAL = [line.replace(",", ";").replace(".", ",") for line in _ROWS]
CASES = (
    Case("as documented", _text(_HEADER, _ROWS), _JUDGED, _CLEAN, quick=True),
    Case("byte-order mark, CRLF", _text("\ufeff" + _HEADER, _ROWS, "\r\n"), _JUDGED, _CLEAN),
    Case("CR alone", _text(_HEADER, _ROWS, "\r"), _JUDGED, _CLEAN),
    Case("units in brackets", _text(_BRACKETS, _ROWS), _JUDGED, _CLEAN, quick=True),
    Case("semicolons", _text(_SEMICOLONS[0], _SEMICOLONS[1:]), _REFUSED, "a column t_s"),
    Case("decimal commas", _text(_SEMICOLONS[0], _DECIMAL), _REFUSED, "a column t_s"),
    Case("UTF-16", _text(_HEADER, _ROWS, encoding="utf-16"), _REFUSED, "expected UTF-8"),
    Case("epoch seconds", _time(lambda t: f"{1.7e9 + t:.3f}"), _REFUSED, r"csv:2: t_s is"),
    Case("epoch milliseconds", _time(lambda t: f"{1.7e12 + 1e3 * t:.0f}"), _REFUSED, "csv:2: t_s"),
    Case("epoch microseconds", _time(lambda t: f"{1.7e15 + 1e6 * t:.0f}"), _REFUSED, "csv:2: t_s"),
    Case("uptime", _time(lambda t: f"{86400 + t:.3f}"), _REFUSED, "outside the clip"),
    Case("before the clip", _time(lambda t: f"{t - 100:.3f}"), _REFUSED, "outside the clip"),
    Case("not a number", _text(_HEADER, _cells(lambda c: [*c[:4], "NaN", *c[5:]])), _REFUSED,
         "csv:2: gyro_x_rad_s is 'NaN'"),
    Case("rows twice", _text(_HEADER, [row for row in _ROWS for _ in "ab"]), _JUDGED, _CLEAN),
    Case("backwards", _text(_HEADER, _ROWS[::-1]), _REFUSED, "csv:3: time went back"),
    Case("another unit", _text(_HEADER.replace("_rad_s", "_rpm"), _ROWS), _REFUSED,
         "gyro_x_rpm has a unit nobody knows"),
    Case("cut in a row", _text(_HEADER, [*_ROWS, _ROWS[-1][:20]]), _REFUSED, "expected 10 values"),
    Case("zero bytes within", _text(_HEADER, [*_ROWS[:5], "\0" * 9]), _REFUSED, "csv"),
    Case("header alone", _text(_HEADER, []), _JUDGED, _SILENT),
    Case("empty", _bytes(b""), _REFUSED, "a column t_s"),
    Case("named pipe", _pipe, _REFUSED, "no regular file", quick=True),
)  # fmt: skip
