"""Where a matcher's results go, and what the log keeps of them: their number."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edge.audit.proofs.verify import verify_log
from edge.clock import S
from edge.errors import UsageError
from edge.guard.plan import Plan
from edge.guard.supervisor import Guard
from edge.sandbox.result_relay import ResultRelay, result_target
from framegate_client import connect
from framegate_client.results import Result
from tests.support.guards import site

ANN = "a1" * 32
RESULT = Result(ANN, 0.93, 1)


@pytest.fixture
def listener(tmp_path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind(str(tmp_path / "results"))
    found.settimeout(20)
    return found


def test_a_result_reaches_who_listens_with_no_more_of_the_digest_than_eight_digits(
    listener: socket.socket, tmp_path: Path
) -> None:
    relay = ResultRelay(f"unix:{tmp_path / 'results'}", pytest.fail)
    relay.take(RESULT, 0)

    output = json.loads(listener.recv(4096))
    assert output == {"subject": "a1a1a1a1", "score": 0.93, "comparisons": 1}


def test_where_nobody_listens_one_line_a_minute_says_so_and_the_guard_goes_on(
    tmp_path: Path,
) -> None:
    output: list[str] = []
    relay = ResultRelay(f"unix:{tmp_path / 'nobody'}", output.append)
    for second in range(61):
        relay.take(RESULT, second * S)

    assert (relay.passed, relay.dropped, len(output)) == (0, 61, 2)
    assert "No such file" in output[0]


def test_a_listener_that_reads_nothing_holds_nobody_up(
    listener: socket.socket, tmp_path: Path
) -> None:
    output: list[str] = []
    relay = ResultRelay(f"unix:{tmp_path / 'results'}", output.append)
    for _ in range(5000):
        relay.take(RESULT, 0)

    assert relay.passed > 0
    assert relay.dropped > 0
    assert len(output) == 1


def test_results_on_standard_output_are_a_line_each(capfd: pytest.CaptureFixture[str]) -> None:
    relay = ResultRelay("stdout", pytest.fail)
    relay.take(RESULT, 0)
    relay.take(Result(None, 0.1, 1), 0)

    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(line)["subject"] for line in lines] == ["a1a1a1a1", None]


@pytest.mark.parametrize(
    "value", ["mqtt:x", "unix:", "unix:a\0b", "file:x", 5, f"unix:{'x' * 200}"]
)
def test_a_target_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        result_target(value, Path("/run"))


def test_a_target_is_placed_by_the_configuration(tmp_path: Path) -> None:
    assert result_target("unix:results", tmp_path) == f"unix:{tmp_path}/results"
    assert result_target("stdout", tmp_path) == "stdout"
    assert result_target("", tmp_path) == ""
    plain = tmp_path / "plain"
    plain.touch()
    with pytest.raises(UsageError, match="expected a Unix datagram socket"):
        ResultRelay(f"unix:{plain}", pytest.fail)


@pytest.mark.guard
def test_a_whole_guard_passes_results_on_tells_the_state_and_logs_the_number_alone(
    listener: socket.socket, tmp_path: Path, lived_in: Callable[[int], Path], face_model: Path
) -> None:
    clip = lived_in(90)
    kiosk = site(tmp_path / "site", clip, clip, face_model)
    plan = Plan(
        source=str(clip),
        device=kiosk.device,
        session=kiosk.session,
        keys=kiosk.store.directory,
        audit=tmp_path / "audit",
        results=f"unix:{tmp_path / 'results'}",
    )
    output: list[str] = []
    codes: set[str] = set()
    with (
        Guard(plan, output.append) as guard,
        closing(connect(*guard.environment.values())) as matcher,
    ):
        matcher.compared(ANN)
        matcher.on_state = lambda state: codes.update(reason.code for reason in state.reasons)
        frames = flowed = 0
        while not guard.over:
            guard.turn()
            while matcher.read(0.0) is not None:
                frames += 1
                if frames in (1, 20):
                    matcher.result({"subject": ANN, "score": 0.73, "comparisons": 1})
                    matcher._send(b'{"result": {"vector": [0.1]}}')
                if frames == 21:
                    matcher._send(b'{"vector": [0.1]}')  # no report: the end of its connection
            flowed += matcher.state.flowing
    assert frames > 20
    assert flowed
    assert "DWELL" in codes

    listener.settimeout(5)
    assert [json.loads(listener.recv(4096))["score"] for _ in range(2)] == [0.73, 0.73]
    (refused,) = [line for line in output if line.startswith("results:")]
    assert "fields subject, score, comparisons" in refused
    (ended,) = [line for line in output if line.startswith("MATCHER_PROTOCOL: ")]
    assert ended.endswith("(expected a report of compared, gallery or result)")
    entries: list[dict[str, Any]] = []
    log = b""

    def keep(_index: int, raw: bytes, fields: Any) -> None:
        nonlocal log
        log += raw
        entries.append(fields)

    verify_log(tmp_path / "audit", kiosk.store.log_verifier(), on_entry=keep)
    stop = entries[-1]
    assert (stop["results"], stop["results_refused"]) == (2, 3)
    ends = [entry for entry in entries if entry["kind"] == "end"]
    assert sum(entry["results"] for entry in ends) == 2
    assert b'"score"' not in log
    assert ANN[:8].encode() not in log
