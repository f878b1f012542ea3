"""How long a start may take follows the plan; until it is done nothing passes."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from edge import ipc
from edge.cli import build_parser
from edge.errors import CameraError, GuardError
from edge.frames import lifecycle
from edge.frames.lifecycle import Ready
from edge.guard.launch import Launch, hello_of
from edge.guard.plan import CheckedPlan, Plan
from edge.heartbeat import Beats


@pytest.fixture
def gate() -> tuple[Launch, socket.socket]:
    """A launch that waits for its gate, and the gate's end."""
    plan = Plan("0", Path("D.toml"), Path("S.toml"), start_limit_s=0.05)
    checked = cast(CheckedPlan, SimpleNamespace(plan=plan))
    beats = Beats.create()
    launch = Launch(checked, beats, print)
    launch.gate, end = ipc.pair()
    return launch, end


def test_a_process_that_is_not_ready_in_time_is_named_with_the_setting(
    gate: tuple[Launch, socket.socket],
) -> None:
    launch, _end = gate

    with pytest.raises(GuardError, match=r"gate: not ready within 0.05 s; .* start_limit_s"):
        launch.await_ready("gate", lambda: None)


def test_a_process_that_is_ready_in_time_is_waited_for(gate: tuple[Launch, socket.socket]) -> None:
    launch, end = gate
    ipc.tell(end, lifecycle.encode(Ready("")))

    launch.await_ready("gate", lambda: None)


def test_a_camera_that_does_not_answer_is_waited_for_as_long_as_the_plan_says() -> None:
    ours, _theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0.05)

    with pytest.raises(CameraError, match=r"did not answer for 0\.05 s"):
        hello_of(ours)


RUN = ("run", "--source", "0", "--device", "D", "--session", "S")


def test_the_command_takes_a_longer_limit_and_keeps_the_usual_one() -> None:
    parse = build_parser().parse_args

    assert parse(RUN).start_limit == 30
    assert parse([*RUN, "--start-limit", "120"]).start_limit == 120


@pytest.mark.parametrize("given", ["9", "601", "nan", "soon"])
def test_a_limit_out_of_range_is_refused_in_one_line(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args([*RUN, "--start-limit", given])

    assert ended.value.code == 2
    assert f"expected 10 to 600 seconds, got '{given}'" in capsys.readouterr().err
