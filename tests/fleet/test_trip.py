"""Without a network: files go to the witness and back, and are judged as answers from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main
from edge.fleet.courier import COSIGNED, FORKED, Outcome, Round
from edge.fleet.trip import Trip, answer_file
from tests.fleet.test_courier import (
    KEY,
    NOW_S,
    POLICY,
    WITNESSES,
    World,
    _fork,
    outcomes,
    policy_text,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.grow(300)
    (tmp_path / "usb").mkdir()
    return made


def at_the_device(world: World) -> Round:
    return Trip(world.log, world.log, KEY.verifier, POLICY, world.folder / "usb").round(NOW_S)


def at_the_witnesses(world: World, *names: int) -> list[int]:
    usb = world.folder / "usb"
    answers = [answer_file(usb, f"w{n}", world.stores[n], WITNESSES[n], NOW_S) for n in names]
    return [int(found.status) for found in answers]


@pytest.mark.slow
def test_a_log_that_grows_meanwhile_is_cosigned_trip_by_trip(world: World) -> None:
    assert outcomes(at_the_device(world)) == [Outcome.UNREACHED] * 3  # the requests are laid out
    for _ in range(3):
        size = world.size
        assert at_the_witnesses(world, 0, 1, 2) == [200, 200, 200]
        world.grow(70)

        found = at_the_device(world)

        assert (found.size, found.enough, found.forked) == (size, True, False)
        assert (world.log / COSIGNED).read_bytes().split(b"\n")[1] == b"%d" % size


@pytest.mark.slow
def test_a_device_that_forgot_learns_the_size_on_one_more_trip(world: World) -> None:
    at_the_device(world)
    at_the_witnesses(world, 0, 1, 2)
    at_the_device(world)
    (world.log / COSIGNED).unlink()
    for path in (world.folder / "usb").iterdir():
        path.unlink()
    world.grow(10)

    at_the_device(world)
    assert at_the_witnesses(world, 0, 1, 2) == [409, 409, 409]
    assert not at_the_device(world).enough
    assert at_the_witnesses(world, 0, 1, 2) == [200, 200, 200]
    assert at_the_device(world).enough


@pytest.mark.slow
def test_a_fork_is_an_alarm_when_the_answer_comes_back(world: World) -> None:
    at_the_device(world)
    at_the_witnesses(world, 0, 1, 2)
    at_the_device(world)
    _fork(world)

    at_the_device(world)
    at_the_witnesses(world, 0, 1, 2)
    at_the_device(world)  # it has forgotten, and learns the size
    at_the_witnesses(world, 0, 1, 2)

    assert at_the_device(world).forked
    assert (world.log / FORKED).exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "data", [b"", b"200", b"200\n", b"200\nno line\n", b"\xff\n\xff", b"abc\n"]
)
def test_an_answer_that_is_none_changes_nothing(world: World, data: bytes) -> None:
    at_the_device(world)
    at_the_witnesses(world, 0)
    (world.folder / "usb" / "w1.answer").write_bytes(data)

    found = at_the_device(world)

    assert outcomes(found)[0] is Outcome.COSIGNED
    assert outcomes(found)[1] in (Outcome.REFUSED, Outcome.UNREACHED)
    assert not found.enough


@pytest.mark.slow
def test_both_commands_do_it_with_files(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    folder = world.folder
    (folder / "policy").write_text(policy_text("quorum w1\n"))
    (folder / "w1.key").write_text(WITNESSES[1].secret_text + "\n")
    trip = ["fleet", "courier", "--log", str(world.log), "--policy", str(folder / "policy")]
    trip += ["--by", str(folder / "usb")]
    reply = [
        "fleet",
        "answer",
        str(folder / "usb"),
        "--name",
        "w1",
        "--key",
        str(folder / "w1.key"),
    ]
    reply += ["--policy", str(folder / "policy"), "--state", str(folder / "w1.db")]

    assert main(trip) == 1
    assert main(reply) == 0
    assert main(trip) == 0
    assert "the quorum stands" in capsys.readouterr().err
    assert main([*reply[:4], "w9", *reply[5:]]) == 2
    assert main([*trip[:-1], str(folder / "gone")]) == 2
