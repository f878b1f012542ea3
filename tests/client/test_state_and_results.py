"""What a matcher hears while nothing comes, and the small results that it may hand in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.clock import S
from edge.errors import UsageError as GuardUsageError
from edge.lease import Lane
from edge.reasons import Reason
from edge.sandbox.results import BURST, NEW_SUBJECTS, ResultQuota
from framegate_client import Connection, MatcherError, State, UsageError, VideoCapture, connect
from framegate_client import Reason as Why
from framegate_client.connection import LANES
from framegate_client.results import MAX_BYTES, MOST_COMPARISONS, encode, result_of
from framegate_client.state import placeholder
from tests.support.players import Player

COVERED = {
    "flowing": False,
    "reasons": [["VIEW_COVERED", "Parts of the view are covered.", "Remove what covers it."]],
}
FLOWING = {"flowing": True, "reasons": []}
ANN, BOB = "a" * 64, "b" * 64
GOOD = {"subject": ANN, "score": 0.934, "comparisons": 1}


def frame() -> np.ndarray:
    return np.full((120, 160, 3), 90, np.uint8)


@contextlib.contextmanager
def linked(
    folder: Path, frames: list[np.ndarray], **how: Any
) -> Iterator[tuple[Player, Connection]]:
    """A player and a matcher that is connected to it."""
    with Player(folder, frames, **how) as player, connect(*player.environment.values()) as matcher:
        until(lambda: player.endpoint.listening)
        yield player, matcher


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_guard_that_ends_while_the_matcher_works_is_the_end_of_the_stream(
    tmp_path: Path,
) -> None:
    with linked(tmp_path, [frame()], end=False) as (player, connection):
        player.begin.set()
        assert connection.read(20.0) is not None
        player.endpoint.show_out()
        for _ in range(3):
            connection.compared(ANN)
            connection.gallery([ANN])
            connection.result(GOOD)

        assert connection.read(20.0) is None
        assert connection.ended


def test_a_guard_that_takes_no_report_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with linked(tmp_path, [frame()], end=False) as (_, connection):
        closed = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        monkeypatch.setattr(connection, "_channel", closed)
        with closed, pytest.raises(MatcherError, match="takes no report"):
            connection.compared(ANN)


def test_a_waiting_matcher_is_told_why_and_that_it_is_over(tmp_path: Path) -> None:
    heard: list[State] = []
    with linked(tmp_path, [frame()], end=False) as (player, connection):
        connection.on_state = heard.append
        assert not connection.state.flowing
        player.endpoint.tell(COVERED)
        until(lambda: bool(connection.state.reasons))

        assert connection.state.reasons[0].code == "VIEW_COVERED"
        assert connection.state.text == "Parts of the view are covered. Remove what covers it."
        player.endpoint.tell(FLOWING)
        until(lambda: connection.state.flowing)
        assert connection.state.text == ""
        player.endpoint.finish("end of stream")
        until(lambda: connection.read(0.0) is None and connection.ended)
        assert connection.state.over
    assert [(state.flowing, state.over) for state in heard] == [
        (False, False),
        (True, False),
        (False, True),
    ]


def test_a_state_is_not_the_end_and_frames_go_on_after_it(tmp_path: Path) -> None:
    with linked(tmp_path, [frame()] * 3) as (player, connection):
        player.endpoint.tell(COVERED)
        player.begin.set()

        assert len(list(connection)) == 3


def test_the_newest_state_reaches_a_matcher_that_did_not_read_for_long(tmp_path: Path) -> None:
    with linked(tmp_path, [frame()], end=False) as (player, connection):
        for number in range(2000):  # more than the socket holds
            player.endpoint.tell({"flowing": False, "reasons": [[f"N{number}", "x" * 200, ""]]})
        player.endpoint.tell(FLOWING)

        until(lambda: connection.state.flowing)


def test_a_matcher_of_the_first_version_hears_of_nothing_but_the_end(tmp_path: Path) -> None:
    old = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    old.settimeout(20)
    with old, Player(tmp_path, [frame()], end=False) as player:
        old.connect(str(player.path))
        old.send(json.dumps({"v": 1, "token": "secret", "lane": "verify_1_1"}).encode())
        assert json.loads(old.recv(512))["ok"]
        until(lambda: player.endpoint.listening)
        player.endpoint.tell(COVERED)
        player.endpoint.finish("end of stream")

        assert "end" in json.loads(old.recv(4096))


def test_a_placeholder_says_why_and_a_frame_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Player(tmp_path, [frame()], end=False) as player:
        own = VideoCapture(
            str(player.path), token="secret", lane="verify_1_1", on_block="placeholder"
        )
        player.endpoint.tell(COVERED)
        until(lambda: bool(own.state.reasons))
        ok, picture = own.read()
        assert ok
        assert picture is not None
        assert picture.shape == frame().shape
        assert np.array_equal(picture, placeholder(own.state, 120, 160))

        player.begin.set()
        until(lambda: np.array_equal(own.read()[1], frame()))
        own.release()


@pytest.mark.parametrize("size", [(480, 640), (120, 160), (24, 32), (1, 1)])
def test_a_placeholder_has_the_size_asked_for_and_words_where_they_fit(
    size: tuple[int, int],
) -> None:
    help = Reason.VIEW_COVERED
    covered = Why("VIEW_COVERED", help.happened, help.next_step)
    drawn = placeholder(State(False, (covered,)), *size)

    assert drawn.shape == (*size, 3)
    assert drawn.dtype == np.uint8
    assert drawn.max() > 200 or min(size) < 20  # too small for a letter
    assert placeholder(State(True, ()), *size, 1).max() < 100  # nothing to say


@pytest.mark.parametrize("lane", Lane, ids=lambda lane: lane.value)
def test_each_lane_has_its_form_of_a_result(lane: Lane) -> None:
    assert lane.value in LANES
    most = MOST_COMPARISONS.get(lane.value, 0)
    assert bool(most) is lane.identifying
    plain = {"subject": None, "score": 0.5, "comparisons": min(most, 1)}
    assert result_of(lane.value, plain) == (None, 0.5, min(most, 1))
    if lane.identifying:
        assert result_of(lane.value, {**plain, "subject": ANN}).subject == ANN
    else:
        with pytest.raises(UsageError, match="identifies nobody"):
            result_of(lane.value, {**plain, "subject": ANN})
    with pytest.raises(UsageError, match="comparisons"):
        result_of(lane.value, {**plain, "comparisons": most + 1})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"vector": [0.1, 0.2]}, "no others"),
        ({"subject": "Ann"}, "subject"),
        ({"subject": "A" * 64}, "subject"),
        ({"subject": [ANN]}, "subject"),
        ({"subject": b"a" * 64}, "subject"),
        ({"score": "0.9"}, "score"),
        ({"score": [0.9] * 128}, "score"),
        ({"score": float("nan")}, "score"),
        ({"score": float("inf")}, "score"),
        ({"score": 10**400}, "score"),
        ({"score": True}, "score"),
        ({"score": 2.1}, "score"),
        ({"comparisons": 1.0}, "comparisons"),
        ({"comparisons": True}, "comparisons"),
        ({"comparisons": -1}, "comparisons"),
        ({"comparisons": 5}, "comparisons"),
    ],
)
def test_what_is_no_result_is_refused_and_the_field_named(
    change: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named) as refused:
        result_of("verify_1_1", {**GOOD, **change})
    assert "0.9" not in str(refused.value)  # never the value
    assert result_of("verify_1_1", GOOD) == (ANN, 0.93, 1)
    assert len(encode(result_of("identify_1_n", {**GOOD, "comparisons": 4096}))) < MAX_BYTES


def test_ten_results_pass_at_once_then_one_a_second() -> None:
    quota = ResultQuota("verify_1_1")
    plain = {**GOOD, "subject": None}
    passed = 0
    for tenth in range(6000):  # ten minutes, ten tries a second
        try:
            quota.take(plain, tenth * S // 10)
            passed += 1
        except GuardUsageError as err:
            assert "too many results" in str(err)

    assert passed == quota.accepted == BURST + 599
    assert quota.refused == 6000 - passed


def test_only_reported_people_are_named_and_few_new_ones_a_minute() -> None:
    quota = ResultQuota("identify_1_n")
    with pytest.raises(GuardUsageError, match="expected a person whom the matcher reported"):
        quota.take(GOOD, 0)
    people = [f"{number:064x}" for number in range(60)]
    quota.know(tuple(map(bytes.fromhex, people)))
    named = set()
    for second, person in enumerate(people):
        try:
            quota.take({**GOOD, "subject": person}, second * S)
            named.add(person)
        except GuardUsageError as err:
            assert "too many people" in str(err)

    assert named == set(people[:NEW_SUBJECTS])
    quota.take({**GOOD, "subject": people[NEW_SUBJECTS - 1]}, 61 * S)  # the same one again
    quota.take({**GOOD, "subject": people[40]}, 130 * S)


def test_a_thousand_results_carry_little_and_take_long() -> None:
    """What the threat model says of templates: the most bits that pass in a minute."""
    quota = ResultQuota("identify_1_n")
    scores, digits = 401, 8
    passed = subjects = 0
    for number in range(600):  # a minute of a matcher that wants as much out as it can
        person = f"{number:064x}"
        quota.know((bytes.fromhex(person),))
        for subject in (person, None):
            try:
                quota.take(
                    {"subject": subject, "score": 0.01, "comparisons": 4096}, number * S // 10
                )
            except GuardUsageError:
                continue
            passed += 1
            subjects += subject is not None

    bits = passed * np.log2(scores * 4096) + subjects * 4 * digits
    assert passed <= BURST + 60
    assert bits / 8 < 240


def test_results_reach_the_guard_and_a_bad_one_does_not_end_the_connection(tmp_path: Path) -> None:
    with linked(tmp_path, [frame()] * 2, end=False) as (player, connection):
        connection.compared(ANN)
        connection.result(GOOD)
        with pytest.raises(UsageError, match="no others"):
            connection.result({**GOOD, "template": [0.1] * 128})
        connection._send(b'{"result": {"subject": null, "score": NaN, "comparisons": 1}}')
        connection._send(b'{"result": ' + b"[" * 900 + b"]" * 900 + b"}")
        connection._send(b'{"result": {"score": 1, "vector": "' + b"A" * 9000 + b'"}}')
        connection.result({**GOOD, "subject": BOB})  # never reported
        until(lambda: player.endpoint.quota.refused == 4)
        player.begin.set()

        assert connection.read(20) is not None
        assert player.endpoint.results == [(ANN, 0.93, 1)]


def test_what_is_no_report_still_ends_the_connection(tmp_path: Path) -> None:
    with linked(tmp_path, [frame()], end=False) as (player, connection):
        connection._send(b'{"result": {}, "compared": "' + ANN.encode() + b'"}')
        until(lambda: connection.read(0.0) is None and connection.ended)

    assert player.endpoint.complaint.startswith("expected a report")
    assert player.endpoint.broke_off
    assert player.endpoint.quota.refused == 1


def test_a_matcher_that_goes_is_no_fault(tmp_path: Path) -> None:
    with linked(tmp_path, [frame()], end=False) as (player, connection):
        connection.close()
        until(lambda: not player.endpoint.listening)

    assert player.endpoint.complaint == ""
    assert player.endpoint.quota.refused == 0


def test_asyncio_hears_states_too(tmp_path: Path) -> None:
    async def match(connection: Connection) -> int:
        count = 0
        async for _ in connection:
            count += 1
        return count

    with linked(tmp_path, [frame()] * 2) as (player, connection):
        player.endpoint.tell(COVERED)
        player.begin.set()
        assert asyncio.run(asyncio.wait_for(match(connection), 20)) == 2
