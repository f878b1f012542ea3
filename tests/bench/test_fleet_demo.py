"""`make fleet`: the whole of it once, and that its delivery accepts no wrong answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.fleet.broker import mosquitto
from bench.fleet.demo_delivery import Delivery, deliver
from edge.errors import GuardError

MISSING = [name for name in ("tuf", "paho") if find_spec(name) is None]


class StandIn(Delivery):
    """Answers for an office and a device in the order given; the device may take too much."""

    def __init__(self, answers: list[tuple[int, str]], *, takes_mixed: bool = False) -> None:
        self._answers, self._takes_mixed = answers, takes_mixed
        self._version, self._held, self._mixed = 1, 1, False

    def release(self) -> int:
        self._version += 1
        return self._version

    def fetch(self) -> tuple[int, str]:
        code, printed = self._answers.pop(0)
        if code == 0 or (self._mixed and self._takes_mixed):
            self._held = self._version
        return code, printed

    def holds(self) -> bytes:
        return b"%d" % self._held

    def released(self) -> bytes:
        return b"%d" % self._version

    def mix(self) -> Callable[[], None]:
        self._mixed = True
        return lambda: None


def test_a_delivery_that_refuses_the_mixed_state_alone_is_shown() -> None:
    lines: list[str] = []
    deliver(StandIn([(0, "3 bytes"), (1, "altered or mixed: x"), (0, "")]), lines.append)
    assert [line.split(":")[0] for line in lines[1:]] == [
        "a server that mixed two states was refused",
        "the same repository in one piece",
    ]


@pytest.mark.parametrize(
    ("answers", "takes_mixed", "wanted"),
    [
        ([(1, "not reached")], False, r"was not taken \(exit 1\): not reached"),
        ([(0, ""), (0, "")], False, r"were not refused \(exit 0\)"),
        ([(0, ""), (1, "not reached")], False, r"were not refused \(exit 1\): not reached"),
        ([(0, ""), (1, "mixed")], True, "were not refused"),
        ([(0, ""), (1, "mixed"), (1, "mixed")], False, "was not taken"),
    ],
    ids=["never taken", "mixed taken", "other cause", "held all the same", "refused for good"],
)
def test_a_delivery_that_answers_otherwise_ends_the_demo(
    answers: list[tuple[int, str]], takes_mixed: bool, wanted: str
) -> None:
    with pytest.raises(GuardError, match=wanted):
        deliver(StandIn(answers, takes_mixed=takes_mixed), lambda line: None)


@pytest.mark.long
@pytest.mark.guard
@pytest.mark.timeout(300)
@pytest.mark.skipif(mosquitto() is None, reason="no mosquitto here")
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_demo_delivers_raises_the_alarm_and_leaves_nothing(
    clip: Callable[[str], Path], tmp_path: Path
) -> None:
    clip("single_face.mp4")  # skips where the demo clips were not fetched
    done = subprocess.run(
        [sys.executable, "-m", "bench.fleet.demo", "--once"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    for line in (
        "the witness has cosigned every log",
        "a device fetched version 2 of its pack over HTTP",
        "a server that mixed two states was refused",
        "version 3 is in force",
        "alarm: LOG_FORKED",
        "`framegate fleet status` exits 3",
    ):
        assert line in done.stdout
    assert not list(tmp_path.glob("framegate-fleet-*"))
    assert _of(tmp_path) == []


def _of(folder: Path) -> list[str]:
    """The processes that work in the folder or whose command line names it."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = place.joinpath("cmdline").read_text(errors="replace")
            where = os.readlink(place / "cwd")
        except OSError:  # it ended meanwhile, or is not ours
            continue
        if str(folder) in command or where.startswith(str(folder)):
            found.append(command)
    return found
