"""The sink: what it writes, what it shows, and that it takes no lane with faces in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.commissioning.records import Session
from edge.errors import UsageError
from edge.guard.plan import Plan
from edge.lease import Lane
from edge.sink import writer
from edge.sink.plan import with_sink
from edge.sink.site import Site

FRAME = np.full((48, 64, 3), (20, 120, 220), np.uint8)
PLAN = Plan("0", Path("D.toml"), Path("S.toml"))


def ask(site: Site, path: str = "/", host: str = "localhost:8377", method: str = "GET"):  # type: ignore[no-untyped-def]
    statuses: list[str] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": host}
    body = site(environ, lambda status, headers: statuses.append(status))
    return statuses[0], body


def test_the_newest_picture_is_one_whole_jpeg(tmp_path: Path) -> None:
    sink = writer.Latest(tmp_path)
    for shade in (10, 200):
        sink.take(np.full_like(FRAME, shade), 0)

    assert os.listdir(tmp_path) == ["latest.jpg"]
    assert abs(int(cv2.imread(str(tmp_path / "latest.jpg")).mean()) - 200) < 3


@pytest.mark.parametrize("count", [3, 25])
def test_a_film_has_every_frame_at_the_rate_they_came(tmp_path: Path, count: int) -> None:
    sink = writer.Film(tmp_path)
    for number in range(count):
        sink.take(FRAME if number % 2 else FRAME[:, :, 0], number * 50_000_000)
    sink.close()

    film = cv2.VideoCapture(str(tmp_path / "masked.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(20.0)
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == count


def test_a_few_stills_are_kept(tmp_path: Path) -> None:
    sink = writer.Stills(tmp_path)
    for _ in range(120):
        sink.take(FRAME, 0)

    assert sorted(os.listdir(tmp_path)) == ["still-0.png", "still-1.png", "still-2.png"]


def test_the_stream_shows_the_picture_while_it_is_fresh(tmp_path: Path) -> None:
    picture = tmp_path / "latest.jpg"
    site = Site(picture, sleep=lambda seconds: None)
    nothing = site.newest()
    writer.Latest(tmp_path).take(FRAME, 0)

    status, body = ask(site, "/stream")
    part = next(iter(body))

    assert status == "200 OK"
    assert picture.read_bytes() in part
    assert site.newest() == picture.read_bytes()
    os.utime(picture, (1, 1))
    assert site.newest() == nothing


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "secret").write_bytes(b"\xff\xd8\xff a secret")
    yield tmp_path / "latest.jpg"


def test_what_is_no_picture_of_the_writer_is_not_shown(odd: Path) -> None:
    """The writer is no more trusted than any matcher."""
    site = Site(odd)
    nothing = site.newest()
    for make in (
        lambda: odd.symlink_to(odd.with_name("secret")),
        lambda: odd.write_bytes(b"no picture"),
        lambda: odd.mkdir(),
        lambda: os.mkfifo(odd),
    ):
        make()
        assert site.newest() == nothing
        odd.rmdir() if odd.is_dir() else odd.unlink()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"path": "/"}, "200"),
        ({"path": "/latest.jpg"}, "404"),
        ({"host": "evil.example"}, "421"),
        ({"method": "POST"}, "405"),
    ],
)
def test_only_a_browser_of_this_machine_may_look(
    tmp_path: Path, asked: dict[str, str], status: str
) -> None:
    assert ask(Site(tmp_path / "latest.jpg"), **asked)[0].startswith(status)


@pytest.mark.parametrize("lane", [lane for lane in Lane if not lane.masked])
def test_a_sink_takes_no_lane_in_which_people_can_be_recognised(tmp_path: Path, lane: Lane) -> None:
    with pytest.raises(UsageError, match='expected operation = "view_masked"'):
        with_sink(PLAN, "mjpeg", Session(lane, "none"), tmp_path / "sink")

    assert not (tmp_path / "sink").exists()


def test_the_twin_in_the_masked_lane_it_is_the_matcher_in_a_sandbox(tmp_path: Path) -> None:
    plan = with_sink(PLAN, "mp4", Session(Lane.VIEW_MASKED, "none"), tmp_path / "sink")

    assert "edge.sink.writer" in plan.matcher
    assert plan.confinement is not None
    assert plan.confinement.writes == (tmp_path / "sink",)
    with pytest.raises(UsageError, match="expected no --matcher"):
        with_sink(plan, "mp4", Session(Lane.VIEW_MASKED, "none"), tmp_path / "sink")
