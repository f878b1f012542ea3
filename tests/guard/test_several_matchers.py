"""Several matchers on one camera: each is decided for by itself, and released to by itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge import ipc, isolation
from edge.cameras.layout import Layout
from edge.cameras.opencv import Shot
from edge.commissioning.keys import RecordKind
from edge.daemon.check import problems
from edge.errors import UsageError
from edge.frames.capture import Deliverer, FanOut
from edge.frames.messages import Captured, End, SourceEnd, decode
from edge.frames.pool import Pool
from edge.guard.plan import Plan, examine, own_files, share
from edge.guard.results import verified
from edge.guard.supervisor import Guard
from framegate_client.connection import Connection
from tests.support.daemons import configure
from tests.support.guard_runs import plan, quiet, released
from tests.support.guards import Site

DETECT = 'operation = "detect"\ngallery = "none"\n'
EMOTION = 'operation = "infer_emotion"\ngallery = "none"\n'
HEIGHT, WIDTH = 4, 6


class Outlet:
    """One gate's end of a camera."""

    def __init__(self) -> None:
        self.gate, mine = ipc.pair()
        self.pool = Pool.create(HEIGHT * WIDTH * 3)
        self.deliverer = Deliverer(mine, self.pool, HEIGHT, WIDTH, Layout.BGR)

    def heard(self) -> list[object]:
        return [decode(data) for data in ipc.drain(self.gate)]


def test_each_gate_gets_each_frame_in_a_pool_of_its_own_and_the_end() -> None:
    first, second = Outlet(), Outlet()
    fan = FanOut(first.deliverer, second.deliverer)
    place = fan.room()
    assert place is not None
    place[:] = 7  # as a camera does that writes into the pool itself

    fan.deliver(Shot(place, 1))
    first.pool._bytes[:] = 0  # the first gate wipes its own
    fan.deliver(Shot(np.full((HEIGHT, WIDTH, 3), 9, np.uint8), 2))
    fan.end(End.EOF)

    for outlet, shades in ((first, [0, 9]), (second, [7, 9])):
        *shots, end = outlet.heard()
        assert end == SourceEnd(End.EOF, 2)
        assert all(isinstance(shot, Captured) for shot in shots)
        slots = [shot.slot for shot in shots if isinstance(shot, Captured)]
        assert [outlet.pool.frame(slot, HEIGHT, WIDTH)[0, 0, 0] for slot in slots] == shades


def test_a_gate_that_has_no_room_costs_the_others_no_frame() -> None:
    slow, quick = Outlet(), Outlet()
    slow.deliverer._free.clear()

    FanOut(slow.deliverer, quick.deliverer).deliver(Shot(np.ones((HEIGHT, WIDTH, 3), np.uint8), 1))

    assert (slow.heard(), len(quick.heard())) == ([], 1)


def with_another(kiosk: Site, session: str, **changes: object) -> Plan:
    """The kiosk's plan, and another matcher with this session on its camera."""
    first = plan(kiosk)
    record = kiosk.folder / "other.toml"
    record.write_text(session)
    kiosk.store.sign_file(record, RecordKind.SESSION)
    other = replace(first, name="other", session=record, audit=kiosk.folder / "other-audit")
    return share(replace(first, **changes), [other])  # type: ignore[arg-type]


@pytest.mark.slow
def test_each_log_is_kept_from_every_matcher(kiosk: Site) -> None:
    chosen = with_another(kiosk, DETECT)

    for one in (chosen, *chosen.others):
        assert {kiosk.folder / "audit", kiosk.folder / "other-audit"} <= set(own_files(one).secret)


@pytest.mark.slow
@pytest.mark.parametrize("same", [{"name": "other"}, {"audit": Path("a")}])
def test_two_matchers_of_one_name_or_one_log_are_refused(kiosk: Site, same: dict[str, str]) -> None:
    other = replace(plan(kiosk), name="a", audit=Path("a"))

    with pytest.raises(UsageError, match="of its own"):
        share(plan(kiosk), [replace(other, **same), replace(other, name="other", audit=Path("a"))])


@pytest.mark.slow
def test_a_second_matcher_that_needs_the_boards_line_is_refused_and_one_that_does_not_is_not(
    kiosk: Site,
) -> None:
    _, errors = examine(with_another(kiosk, kiosk.session.read_text()))
    _, none = examine(with_another(kiosk, DETECT))

    assert [str(error) for error in errors if "board's line" in str(error)]
    assert none == []


@pytest.mark.slow
def test_the_daemons_file_is_refused_for_a_second_lane_that_needs_the_line_and_no_other(
    kiosk: Site,
) -> None:
    also = '[[also]]\nsession = "other.toml"\ncommand = ["/bin/true"]\n'
    config, record = configure(kiosk, 8321, also=also), kiosk.folder / "other.toml"
    found = []
    for session in (kiosk.session.read_text(), DETECT):
        record.write_text(session)
        kiosk.store.sign_file(record, RecordKind.SESSION)
        found.append(problems(config))

    assert found[1] == []
    (line,) = found[0]
    assert line.startswith(f"matcher other: {record}: lane verify_1_1 needs the board's line")


class Counted:
    """A matcher that counts what it gets."""

    def __init__(self, guard: Guard, opened: ExitStack) -> None:
        self.connection = opened.enter_context(closing(Connection(*guard.environment.values())))
        self.frames = 0

    def read(self) -> None:
        while self.connection.read(timeout_s=0) is not None:
            self.frames += 1


def run(guard: Guard, *matchers: Counted) -> None:
    until = time.monotonic() + 30
    while not guard.over and guard.failure is None and time.monotonic() < until:
        guard.turn()
        for matcher in matchers:
            matcher.read()
    assert guard.failure is None


@pytest.mark.guard
def test_a_matcher_that_is_forbidden_gets_none_of_what_another_gets(kiosk: Site) -> None:
    with ExitStack() as opened:
        guard = opened.enter_context(Guard(with_another(kiosk, EMOTION), quiet))
        permitted, forbidden = Counted(guard, opened), Counted(guard.others[0], opened)
        run(guard, permitted, forbidden)
        assert not forbidden.connection.ring.pixels.any()

    assert permitted.frames > 20
    assert forbidden.frames == 0
    other = guard.others[0].recorder
    assert other.decisions and not released(other.decisions)
    for one in (guard, guard.others[0]):
        assert verified(one.plan.audit, one.store.log_verifier())


@pytest.mark.guard
def test_two_that_are_permitted_both_get_frames_and_one_goes_on_when_the_other_is_lost(
    kiosk: Site,
) -> None:
    with ExitStack() as opened:
        guard = opened.enter_context(Guard(with_another(kiosk, DETECT), quiet))
        first, second = Counted(guard, opened), Counted(guard.others[0], opened)
        while second.frames < 5 or first.frames < 5:
            guard.turn()
            first.read()
            second.read()
        second.connection.close()
        before = first.frames
        run(guard, first)

    assert first.frames > before + 10


@pytest.mark.guard
@pytest.mark.long
def test_an_escape_attempt_of_one_blocks_it_and_not_the_other(kiosk: Site) -> None:
    with ExitStack() as opened:
        chosen = with_another(kiosk, DETECT, escaped="socket()")
        guard = opened.enter_context(Guard(chosen, quiet))
        escaped, other = Counted(guard, opened), Counted(guard.others[0], opened)
        run(guard, escaped, other)

    assert escaped.frames == 0
    assert other.frames > 20


@pytest.mark.guard
@pytest.mark.slow
@pytest.mark.long
def test_a_run_with_two_matchers_says_of_each_what_it_got(kiosk: Site) -> None:
    record = kiosk.folder / "counting.toml"
    record.write_text(DETECT)
    kiosk.store.sign_file(record, RecordKind.SESSION)
    files = ["--device", "D.toml", "--session", "S.toml", "--keys", "keys"]
    counts = f"{sys.executable} -m framegate_client.counter /dev/null"

    done = subprocess.run(
        isolation.python(
            "edge.cli",
            "run",
            "--source",
            str(kiosk.clip),
            *files,
            "--also",
            "counting.toml",
            counts,
        ),
        cwd=kiosk.folder,
        env=isolation.cleaned(os.environ),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    *_, own, other = done.stdout.splitlines()
    assert " 0 released" in own  # nobody connected
    assert other.startswith("matcher counting, lane detect: ")
    assert " 0 released" not in other
    assert (kiosk.folder / "framegate-out" / "also" / "counting" / "report.html").exists()
