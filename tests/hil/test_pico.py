"""The very UF2 files that flash a real RP2040, run on an emulated Pico in its own time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edge.clock import MS
from edge.evidence.board_link import Fault, Floors
from firmware_bridge.images.build import Target, build
from firmware_bridge.packets import Keys
from firmware_bridge.session import Session
from firmware_bridge.virtual.sensors import Veto
from tests.support import rp2040 as pico
from tests.support.boards import ROOT
from tests.support.parts import long

pytestmark = [pytest.mark.slow, pytest.mark.hil, pytest.mark.timeout(600)]
TURN_US = 5000


class Bench:
    """A host session and a Pico on the Pico's clock."""

    def __init__(self, board: pico.Pico) -> None:
        self.board = board
        self.now_us = 0
        self.changes: list[tuple[int, bool]] = []
        self.resets: list[str] = []
        self.floors: list[Floors] = []
        self.greet()

    def greet(self) -> None:
        self.session = Session(Keys.derive(ROOT))
        self._decision: int | None = None
        self._renew_us = 0
        self._releasing = False

    @property
    def now_ns(self) -> int:
        return 1000 * MS + self.now_us * 1000

    @property
    def line(self) -> bool:
        return bool(self.changes) and self.changes[-1][1]

    def run(self, ms: float, uart: bytes = b"", bench: str = "") -> Bench:
        end_us = self.now_us + round(ms * 1000)
        while self.now_us < end_us:
            uart += self.session.due(self.now_ns)
            if self._decision is not None and self.now_us >= self._renew_us:
                self._renew_us = self.now_us + 50_000
                uart += self.lease(self._decision, 200)
            answer = self.board.run(min(TURN_US, end_us - self.now_us), uart, bench)
            uart, bench = b"", ""
            self.now_us = answer.us
            self.changes += answer.line
            self.resets += answer.resets
            for heard in self.session.receive(answer.uart, self.now_ns):
                if isinstance(heard, Floors):
                    self.floors.append(heard)
            status = self.session.status
            self._releasing |= status is not None and status.permitted
        return self

    def lease(self, decision: int, life_ms: int) -> bytes:
        releasing = self._releasing and life_ms > 0
        return self.session.lease(decision, life_ms, releasing=releasing, now_ns=self.now_ns)

    def permit(self, decision: int) -> Bench:
        self._decision, self._releasing = decision, False
        self.run(120)
        assert self.line, self.session.status
        return self

    def permit_refused(self, decision: int) -> None:
        self._decision, self._releasing = decision, False
        self.run(120)
        assert not self.line
        assert self.session.status is not None
        assert self.session.status.veto == Veto.SILENT
        self.silence()

    def silence(self) -> None:
        self._decision = None

    def fell_after(self, since_us: int) -> float:
        """Milliseconds from then to the line's fall."""
        assert not self.line
        at_us = self.changes[-1][0]
        assert at_us >= since_us, "it was down before"
        return (at_us - since_us) / 1000


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> bytes:
    if pico.library() is None:
        pytest.skip("needs node and the npm package rp2040js")
    return build(Target.RP2040, tmp_path_factory.mktemp("pico") / "board.uf2").read_bytes()


@pytest.fixture
def bench(image, tmp_path) -> Iterator[Bench]:
    board = pico.Pico(image, ROOT, tmp_path)
    yield Bench(board)
    board.close()


def test_it_boots_silent_permits_while_renewed_and_ends_with_the_lease(bench):
    answer = bench.board.run(100_000)
    assert (answer.uart, answer.line) == (b"", [])

    bench.run(150).permit(7)
    assert len(bench.run(400).changes) == 1

    bench.silence()
    bench.run(250)
    assert not bench.line
    assert bench.session.greeting.board == 4
    assert bench.resets == []


def test_a_revocation_and_each_veto_drop_the_line_in_time(bench):
    bench.run(150).permit(7)
    bench.silence()
    since_us = bench.now_us
    bench.run(20, bench.lease(0, 0))
    assert bench.fell_after(since_us) <= 15  # the time on the wire included

    for decision, (on, off) in enumerate(("ud", "mr", "ts"), 8):
        bench.permit(decision)
        since_us = bench.now_us
        bench.run(10, bench=on)
        assert bench.fell_after(since_us) <= 5, on
        bench.run(30, bench=off)
        assert bench.session.status.fault in (Fault.VETO, Fault.TAMPER)
    assert bench.resets == []


@pytest.mark.parametrize(("on", "off"), ["qp", *long(("f", "g"))])
def test_an_imu_that_does_not_answer_or_stands_still_vetoes_until_it_is_back(bench, on, off):
    bench.run(150).permit(7)
    since_us = bench.now_us
    bench.run(30, bench=on)
    assert bench.fell_after(since_us) <= 15  # ten without news

    bench.permit_refused(8)
    bench.run(30, bench=off)
    bench.permit(9)
    assert bench.resets == []


def test_an_imu_that_lost_its_settings_vetoes_and_is_set_up_anew(bench):
    bench.run(150).permit(7)
    since_us = bench.now_us
    bench.run(30, bench="b")
    assert bench.fell_after(since_us) <= 15

    bench.permit(8)
    assert bench.resets == []


def test_motion_drops_the_line_in_time_wherever_in_the_round_it_begins(bench):
    bench.run(150)
    for decision in range(7, 15):
        bench.permit(decision)
        bench.run(1 + 0.37 * decision)  # against the millisecond and the IMU's own rate
        since_us = bench.now_us
        bench.run(10, bench="m")
        assert bench.fell_after(since_us) <= 5
        bench.run(30, bench="r")


@pytest.mark.parametrize("hang", ["w", *long("x")])
def test_a_hung_main_loop_is_reset_by_the_watchdog_and_comes_back_silent(bench, hang):
    bench.run(150).permit(7)
    since_us = bench.now_us

    bench.run(130, bench=hang)

    assert bench.fell_after(since_us) <= 105
    assert bench.resets == ["watchdog"]
    bench.silence()
    bench.greet()
    bench.run(200)
    assert not bench.session.status.permitted
    bench.permit(8)


def test_floors_are_in_flash_and_outlive_a_reset(bench):
    bench.run(150)
    bench.run(20, bench.session.floors(Floors(42, 7), bench.now_ns))
    assert bench.floors[-1] == Floors(42, 7)

    bench.run(50, bench="z")
    bench.greet()
    bench.run(150)
    bench.run(20, bench.session.floors(Floors(0, 0), bench.now_ns))

    assert bench.resets == ["pin"]
    assert bench.floors[-1] == Floors(42, 7)
