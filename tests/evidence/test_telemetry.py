"""Telemetry recordings become dated samples, or one line that says what is wrong."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from edge.clock import S
from edge.errors import RecordError
from edge.evidence.readings import BoardSample
from edge.evidence.telemetry import load

DATA = Path(
    os.environ.get("FRAMEGATE_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
REAL = DATA / "telemetry"


@pytest.fixture
def write(tmp_path):
    def make(text: str, name: str = "t.csv") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return make


def test_a_row_becomes_a_sample_in_si_units(write):
    path = write(
        "t_s,dock,dock_id,tamper,gyro_x_deg_s,gyro_y_deg_s,gyro_z_deg_s,"
        "accel_x_m_s2,accel_y_m_s2,accel_z_m_s2,lat_deg,lon_deg,speed_m_s,lux\n"
        "0.5,1,D-0017,0,180,0,-90,0,0,9.81,52.5,13.4,1.5,300\n"
    )

    (sample,) = load([path])

    assert sample.captured_ns == S // 2
    assert (sample.dock, sample.dock_id, sample.tampered) == (True, "D-0017", False)
    assert sample.gyro_rad_s == pytest.approx((math.pi, 0.0, -math.pi / 2))
    assert sample.accel_m_s2 == (0.0, 0.0, 9.81)
    assert (sample.lat_deg, sample.lon_deg) == (52.5, 13.4)
    assert (sample.speed_m_s, sample.lux) == (1.5, 300.0)


def test_several_files_merge_by_time_and_nothing_is_carried_forward(write):
    gyro = write("t_s,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s\n-0.1,0,0,0\n0.2,1,1,1\n", "g.csv")
    dock = write("t_s,dock\n0.1,1\n", "d.csv")

    samples = load([gyro, dock])

    assert [s.captured_ns for s in samples] == [-S // 10, S // 10, S // 5]
    assert samples[1] == BoardSample(S // 10, dock=True)
    assert samples[2].dock is None


def test_columns_that_are_no_sensor_are_ignored(write):
    path = write("t_s,alt_m,gps_fix,speed3d_m_s,note\n0,12,3,1.0,hello\n")

    assert load([path]) == (BoardSample(0),)


def test_an_empty_cell_is_a_silent_sensor(write):
    path = write("t_s,dock,lux\n0,,5\n1,1,\n")

    assert load([path]) == (BoardSample(0, lux=5.0), BoardSample(S, dock=True))


@pytest.mark.parametrize("name", ["can_speed_m_s", "gnss_speed_m_s", "speed2d_m_s", "speed_m_s"])
def test_every_spelling_of_speed_is_understood(write, name):
    assert load([write(f"t_s,{name}\n0,7.5\n")])[0].speed_m_s == 7.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "column t_s"),
        ("dock,lux\n1,2\n", "column t_s"),
        ("t_s,gyro_x_rpm\n0,1\n", "gyro_x_rpm has a unit nobody knows"),
        ("t_s,gyro_x\n0,1\n", "gyro_x has a unit nobody knows"),
        ("t_s,accel_z_g\n0,1\n", "expected accel_z_m_s2"),
        ("t_s,speed_km_h\n0,1\n", "expected speed_m_s"),
        ("t_s,gyro_rad_s\n0,1\n", "names no axis"),
        ("t_s,lux,lux\n0,1,1\n", "lux is there twice"),
        ("t_s,lux\n1,1\n0.5,1\n", ":3: time went back from 1 to 0.5 s"),
        ("t_s,lux\nsoon,1\n", ":2: t_s is 'soon'"),
        ("t_s,lux\nnan,1\n", ":2: t_s is 'nan'"),
        ("t_s,lux\n0,inf\n", ":2: lux is 'inf'"),
        ("t_s,lux\n0,-1\n", ":2: lux is -1, expected 0 or more"),
        ("t_s,dock\n0,2\n", ":2: dock is 2, expected 0 or 1"),
        ("t_s,lat_deg\n0,91\n", "expected -90 to 90"),
        ("t_s,dock_id\n0,a-name-too-long\n", "expected 1 to 12 characters"),
        ("t_s,lux\n0,1,2\n", ":2: expected 2 values, got 3"),
        ("t_s,lux\n1e300,1\n", "expected seconds of a clip"),
    ],
)
def test_a_file_that_is_not_telemetry_is_refused_by_name_and_place(write, text, says):
    path = write(text)

    with pytest.raises(RecordError) as caught:
        load([path])

    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file_is_refused(tmp_path):
    with pytest.raises(RecordError, match="cannot read"):
        load([tmp_path / "none.csv"])
    (tmp_path / "b.csv").write_bytes(b"t_s,lux\n\xff\xfe,1\n")
    with pytest.raises(RecordError, match="expected UTF-8 text"):
        load([tmp_path / "b.csv"])


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the evaluation telemetry is not on this machine")
@pytest.mark.parametrize("path", sorted(REAL.glob("*.csv")), ids=lambda p: p.name)
def test_real_recordings_load_and_show_what_they_show(path):
    samples = load([path])

    assert len(samples) > 100
    assert any(s.gyro_rad_s or s.speed_m_s is not None for s in samples)
    if any(s.gyro_rad_s for s in samples):
        peak = max(math.hypot(*s.gyro_rad_s) for s in samples if s.gyro_rad_s)
        assert 0.05 < peak < 20.0, "a carried or driven camera turns, in rad/s"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the evaluation telemetry is not on this machine")
def test_a_real_drive_merges_its_imu_and_speed_in_order():
    samples = load(sorted(REAL.glob("comma2k19_drive_*.csv")))

    times = [s.captured_ns for s in samples]
    assert times == sorted(times)
    assert max(s.speed_m_s for s in samples if s.speed_m_s is not None) > 5.0


HEADER = "t_s,gyro_x{0},gyro_y{0},gyro_z{0}\n0.5,180,0,0\n"


@pytest.mark.parametrize(
    ("unit", "factor"),
    [(" (rad/s)", 1.0), (" (deg/s)", math.pi / 180), ("[rad/s]", 1.0), ("_(°/s)", math.pi / 180)],
)
def test_a_unit_in_brackets_is_read_like_one_in_the_name(write, unit, factor):
    (sample,) = load([write(HEADER.format(unit))])

    assert sample.gyro_rad_s == pytest.approx((180 * factor, 0, 0))


def test_a_unit_in_brackets_that_nobody_knows_is_refused(write):
    with pytest.raises(RecordError, match=r"column gyro_x_rpm has a unit nobody knows"):
        load([write(HEADER.format(" (rpm)"))])


def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "board.csv")

    with pytest.raises(RecordError, match="no regular file"):
        load([tmp_path / "board.csv"])
