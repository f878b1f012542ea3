"""What a board must do, as checks that run on any rig: process, emulator, real port.

`framegate board test` prints them as a table; the project's own tests run the
same ones. Each check gets a fresh `Stand` and returns the milliseconds it
measured, or None. Wall times include this machine's own delays; limits are on
order and on generous wall bounds, the figures are reported.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from edge.evidence.board_link import Fault, Floors
from firmware_bridge.checks import faults
from firmware_bridge.checks.harness import CheckFailed, Stand, exhaust
from firmware_bridge.checks.rigs import Rig
from firmware_bridge.packets import Refusal
from firmware_bridge.session import Trouble

SETTLE_MS = 300
SLACK_MS = 250  # a busy machine's own delay, on top of the board's


class Needs(Enum):
    """What a check needs of the rig beyond a port."""

    SENSORS = "sensors that can be played"
    RESET = "a reset that can be pulled"
    LINE = "a line that can be watched"
    WATCHDOG = "a watchdog"


Check = Callable[[Stand], float | None]


@dataclass(frozen=True, slots=True)
class Result:
    """How one check went; `failure` is empty if it passed."""

    name: str
    failure: str = ""
    skipped: str = ""
    measured_ms: float | None = None


def boots_silent(stand: Stand) -> None:
    """After a reset the line is down, and nothing is sent before a hello."""
    stand.rig.reset()
    time.sleep(SETTLE_MS / 1000)  # what it was telling a host before is out by then
    stand.rig.reset()
    stand.port.flush_input()
    end_ns = stand.clock.now_ns() + SETTLE_MS * 1_000_000
    while stand.clock.now_ns() < end_ns:
        if stand.port.read():
            raise CheckFailed("the board spoke before it was greeted")
        if stand.line():
            raise CheckFailed("the line was up after a reset")


def permits_while_renewed(stand: Stand) -> None:
    """A fresh lease raises the line, and renewal keeps it up."""
    stand.link()
    stand.permit()
    stand.expect_stays(True, 1000, "leases renewed")


def lease_ends_by_itself(stand: Stand) -> float:
    """The line drops when no lease comes any more."""
    stand.link()
    stand.permit()
    stand.keep(None)
    return stand.expect_down(stand.life_ms + SLACK_MS, "the last lease")


def longest_lease_is_half_a_second(stand: Stand) -> float:
    """A lease that asks for a minute gets 500 ms."""
    stand.link()
    stand.life_ms = 60_000
    stand.permit()
    stand.keep(None)
    return stand.expect_down(500 + SLACK_MS, "a lease that asked for a minute")


def revocation_drops_the_line(stand: Stand) -> float:
    """A revocation drops the line at once."""
    stand.link()
    stand.permit()
    stand.keep(None)
    since_ns = stand.clock.now_ns()
    stand.write(stand.lease(0, life_ms=0))
    return stand.expect_down(SLACK_MS // 2, "a revocation", since_ns)


def undocking_vetoes(stand: Stand) -> float:
    """Leaving the dock drops the line with no help from the host, and latches."""
    return _veto(stand, "u", "d")


def motion_vetoes(stand: Stand) -> float:
    """Turning the board drops the line with no help from the host, and latches."""
    return _veto(stand, "m", "r")


def silent_sensors_veto(stand: Stand) -> float:
    """Sensors that say nothing for 100 ms drop the line."""
    return _veto(stand, "q", "p")


def _veto(stand: Stand, on: str, off: str) -> float:
    stand.link()
    decision = stand.permit()
    since_ns = stand.clock.now_ns()
    stand.rig.bench(on)
    took_ms = stand.expect_down(SLACK_MS, "the sensors objected", since_ns)
    stand.expect(lambda: stand.status.fault is Fault.VETO, "a latched veto")
    stand.rig.bench(off)
    stand.keep(None)
    stand.pump(50)
    stand.keep(decision)
    stand.expect_stays(False, SETTLE_MS, "the old decision after a veto")
    stand.permit()
    return took_ms


def tamper_latches(stand: Stand) -> float:
    """The tamper switch drops the line; only a new decision ends it."""
    stand.link()
    decision = stand.permit()
    since_ns = stand.clock.now_ns()
    stand.rig.bench("t")
    took_ms = stand.expect_down(SLACK_MS, "the tamper switch", since_ns)
    stand.rig.bench("s")
    stand.keep(None)
    stand.pump(50)
    stand.keep(decision)
    stand.expect_stays(False, SETTLE_MS, "the old decision after tampering")
    if stand.status.fault is not Fault.TAMPER:
        raise CheckFailed(f"expected a latched tamper, got {stand.status.fault}")
    stand.permit()
    return took_ms


def false_claims_latch(stand: Stand) -> None:
    """Three leases that claim a release the line does not permit latch it off."""
    stand.link()
    decision = stand.new_decision()
    for _ in range(3):
        stand.write(stand.lease(decision, releasing=True))
        stand.pump(30)
    stand.expect(lambda: stand.status.fault is Fault.CLAIM, "a latched claim fault")
    stand.keep(decision)
    stand.expect_stays(False, SETTLE_MS, "the decision that was claimed falsely")
    stand.permit()


def replayed_lease_is_refused(stand: Stand) -> None:
    """A recorded lease, sent again and again, renews nothing."""
    stand.link()
    decision = stand.permit()
    recorded = stand.lease(decision, releasing=True)
    stand.keep(None)
    stand.write(recorded)
    start_ns = stand.clock.now_ns()
    while stand.clock.now_ns() - start_ns < (stand.life_ms + SLACK_MS) * 1_000_000:
        stand.write(recorded)
        stand.pump(20)
    if stand.line():
        raise CheckFailed("a replayed lease kept the line up")
    if stand.session.counters.refused == 0:
        raise CheckFailed("replays were not reported as refused")


def damaged_lease_is_refused(stand: Stand) -> None:
    """No lease with one flipped bit raises the line; the whole one does."""
    stand.link()
    good = stand.lease(stand.new_decision())
    rng = random.Random(1)
    for bit in rng.sample(range((len(good) - 1) * 8), 64):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        stand.write(bytes(changed) + b"\0")
        stand.pump(4)
        if stand.line():
            raise CheckFailed(f"a lease with bit {bit} flipped raised the line")
    stand.permit()


def garbage_at_line_rate(stand: Stand) -> float:
    """Random bytes as fast as the line takes them drop the line; after them it recovers."""
    stand.link()
    stand.permit()
    stand.to_board = faults.replace_with_garbage()
    rng = random.Random(2)
    took_ms = None
    start_ns = stand.clock.now_ns()
    while stand.clock.now_ns() - start_ns < 1_000_000_000:
        stand.port.write(rng.randbytes(115))  # ten milliseconds at 115200 baud
        stand.pump(10)
        if took_ms is None and not stand.line():
            took_ms = (stand.clock.now_ns() - start_ns) / 1e6
    if took_ms is None or stand.line():
        raise CheckFailed("the line stayed up through garbage")
    stand.to_board = lambda chunk: [b"\0" + chunk]
    stand.link()
    stand.permit()
    return took_ms


def half_a_packet(stand: Stand) -> None:
    """A packet that never ends raises nothing, and the next whole one is understood."""
    stand.link()
    whole = stand.lease(stand.new_decision())
    stand.write(whole[: len(whole) // 2])
    stand.expect_stays(False, SETTLE_MS, "half a lease")
    stand.permit()


def unknown_command_is_refused(stand: Stand) -> None:
    """Commands outside the allow-list are refused, and reported as refused."""
    stand.link()
    for kind in (0x00, 0x06, 0x42, 0x7F, 0x81, 0x82, 0xFF):
        stand.write(stand.session.packet(kind, bytes(8), stand.clock.now_ns()))
        stand.expect(partial(_refused, stand, kind), f"a refusal of {kind:#04x}")
    stand.expect_stays(False, 100, "unknown commands")


def _refused(stand: Stand, kind: int) -> bool:
    last = stand.session.last_refused
    return last is not None and last.kind == kind and last.refusal is Refusal.KIND


def reset_in_the_middle(stand: Stand) -> float:
    """A reset during a permit drops the line; leases for the old boot do nothing."""
    stand.link()
    decision = stand.permit()
    old = stand.session
    since_ns = stand.clock.now_ns()
    stand.rig.reset()
    took_ms = stand.expect_down(1000, "a reset", since_ns)
    stand.keep(None)
    now_ns = stand.clock.now_ns()
    stand.write(old.lease(decision, 500, releasing=False, now_ns=now_ns))
    stand.expect_stays(False, SETTLE_MS, "a lease for the boot before")
    stand.new_session()
    stand.link()
    stand.permit()
    return took_ms


def floors_outlive_a_reset(stand: Stand) -> None:
    """What the board was told of log and policy still holds after a reset, and never falls."""
    stand.link()
    before = _floors(stand, Floors(0, 0))
    high = Floors(before.log_size + 42, before.policy_version + 7)
    for raised in (high, Floors(1, 1)):
        _expect_floors(stand, raised, high)
    stand.rig.reset()
    stand.new_session()
    stand.pump(100)
    stand.link()
    _expect_floors(stand, Floors(0, 0), high)


def _expect_floors(stand: Stand, raised: Floors, expected: Floors) -> None:
    found = _floors(stand, raised)
    if found != expected:
        raise CheckFailed(f"expected {expected} after {raised}, the board keeps {found}")


def _floors(stand: Stand, raised: Floors) -> Floors:
    """Raise the floors; what the board answers to the second of the two packets."""
    stand.floors.clear()
    stand.write(stand.session.floors(raised, stand.clock.now_ns()))
    stand.expect(lambda: len(stand.floors) >= 2, "an answer to the floors")
    return stand.floors[-1]


def unplugged(stand: Stand) -> float:
    """With the line cut the board inhibits and the host says the link is lost."""
    stand.link()
    stand.permit()
    stand.to_board = faults.drop()
    stand.to_host = faults.drop()
    took_ms = stand.expect_down(stand.life_ms + SLACK_MS, "the line was cut")
    stand.pump(SETTLE_MS)
    if stand.session.up(stand.clock.now_ns()):
        raise CheckFailed("the host still believes in a board it cannot hear")
    stand.to_board = stand.to_host = faults.none()
    stand.link()
    stand.permit()
    return took_ms


def sequence_used_up(stand: Stand) -> None:
    """After the last sequence number nothing is accepted until a reset."""
    stand.link()
    stand.write(exhaust(stand.session))
    stand.pump(100)
    stand.new_session()
    stand.keep(stand.new_decision())
    stand.expect_stays(False, SETTLE_MS, "no sequence number left")
    stand.rig.reset()
    stand.keep(None)
    stand.new_session()
    stand.pump(100)
    stand.link()
    stand.permit()


def other_version(stand: Stand) -> None:
    """A host of another version gets no link and is told why."""
    stand.new_session(versions=(2, 9))
    stand.expect(
        lambda: Trouble.VERSION in stand.session.troubles(stand.clock.now_ns()),
        "word of another version",
        3000,
    )
    if stand.session.up(stand.clock.now_ns()) or stand.line():
        raise CheckFailed("a host of another version got a link")


def wrong_key(stand: Stand) -> None:
    """A host with another key gets no link and is told why."""
    stand.new_session(root=bytes(byte ^ 0x55 for byte in stand.root))
    stand.expect(
        lambda: Trouble.KEY in stand.session.troubles(stand.clock.now_ns()),
        "word of a wrong key",
        3000,
    )
    if stand.session.up(stand.clock.now_ns()) or stand.line():
        raise CheckFailed("a host with the wrong key got a link")


def held_back_lease_is_refused(stand: Stand) -> None:
    """A lease delayed by a third of a second does nothing."""
    stand.link()
    late = stand.lease(stand.new_decision())
    stand.pump(20)
    late = stand.lease(stand.new_decision())
    start_ns = stand.clock.now_ns()
    while stand.clock.now_ns() - start_ns < 330_000_000:
        stand.port.read()
        stand.pump(0)
    stand.write(late)
    stand.expect_stays(False, 150, "a lease held back for 330 ms")


def bad_line_drops(fault: Callable[[], faults.LineFault]) -> Check:
    """With this fault on the line to the board, the line drops within one lease."""

    def check(stand: Stand) -> float:
        stand.link()
        stand.permit()
        stand.to_board = fault()
        took_ms = stand.expect_down(stand.life_ms + SLACK_MS, f"{fault.__name__} began")
        stand.expect_stays(False, SETTLE_MS, fault.__name__)
        return took_ms

    check.__doc__ = f"With '{fault.__name__}' on the line, the interlock drops."
    return check


def bad_line_holds(fault: Callable[[], faults.LineFault]) -> Check:
    """With this fault whole packets still come, so the permit stays."""

    def check(stand: Stand) -> None:
        stand.link()
        stand.to_board = fault()
        stand.permit()
        stand.expect_stays(True, 500, fault.__name__)

    check.__doc__ = f"With '{fault.__name__}' on the line, whole packets still permit."
    return check


def watchdog_bites(command: str, what: str) -> Check:
    """A hung main loop drops the line, and the board comes back inhibited."""

    def check(stand: Stand) -> float:
        stand.link()
        stand.permit()
        stand.rig.bench(command)
        took_ms = stand.expect_down(1000 + SLACK_MS, what)
        stand.keep(None)
        stand.pump(600)
        stand.new_session()
        stand.link()
        if stand.status.permitted:
            raise CheckFailed("the board came back permitting")
        stand.permit()
        return took_ms

    check.__doc__ = f"With {what}, the line drops and the watchdog resets the board."
    return check


CHECKS: tuple[tuple[str, Check, tuple[Needs, ...]], ...] = (
    ("boots silent", boots_silent, (Needs.RESET,)),
    ("permits while renewed", permits_while_renewed, ()),
    ("lease ends by itself", lease_ends_by_itself, ()),
    ("longest lease is 500 ms", longest_lease_is_half_a_second, ()),
    ("revocation", revocation_drops_the_line, ()),
    ("undocking vetoes", undocking_vetoes, (Needs.SENSORS,)),
    ("motion vetoes", motion_vetoes, (Needs.SENSORS,)),
    ("silent sensors veto", silent_sensors_veto, (Needs.SENSORS,)),
    ("tamper latches", tamper_latches, (Needs.SENSORS,)),
    ("false claims latch", false_claims_latch, ()),
    ("replayed lease", replayed_lease_is_refused, ()),
    ("held back lease", held_back_lease_is_refused, ()),
    ("damaged lease", damaged_lease_is_refused, ()),
    ("unknown command", unknown_command_is_refused, ()),
    ("garbage at line rate", garbage_at_line_rate, ()),
    ("half a packet", half_a_packet, ()),
    ("reset in the middle", reset_in_the_middle, (Needs.RESET,)),
    ("floors outlive a reset", floors_outlive_a_reset, (Needs.RESET,)),
    ("unplugged", unplugged, ()),
    ("sequence used up", sequence_used_up, (Needs.RESET,)),
    ("other version", other_version, ()),
    ("wrong key", wrong_key, ()),
    ("hung main loop", watchdog_bites("w", "the main loop hung"), (Needs.WATCHDOG, Needs.SENSORS)),
    ("hung processor", watchdog_bites("x", "interrupts off too"), (Needs.WATCHDOG, Needs.SENSORS)),
    *((f"line: {f.__name__}", bad_line_drops(f), ()) for f in (*faults.DEADLY, faults.delay)),
    *((f"line: {f.__name__}", bad_line_holds(f), ()) for f in faults.HARMLESS[1:]),
    ("line: line_noise", bad_line_holds(faults.line_noise), ()),
)


def _settle(stand: Stand) -> None:
    """Let the lease of the check before come to its end."""
    end_ns = stand.clock.now_ns() + 600_000_000
    while stand.clock.now_ns() < end_ns and (stand.line() or not stand.rig.watches_line):
        stand.port.flush_input()
        time.sleep(0.01)


def run(name: str, check: Check, needs: tuple[Needs, ...], rig: Rig, root: bytes) -> Result:
    """Run one check on `rig`, or say why it cannot be run there."""
    has = {
        Needs.SENSORS: rig.plays_sensors,
        Needs.RESET: rig.plays_sensors,
        Needs.LINE: rig.watches_line,
        Needs.WATCHDOG: rig.has_watchdog,
    }
    missing = next((need for need in needs if not has[need]), None)
    if missing is not None:
        return Result(name, skipped=f"needs {missing.value}")
    stand = Stand(rig, root)
    try:
        _settle(stand)
        return Result(name, measured_ms=check(stand))
    except CheckFailed as err:
        return Result(name, failure=str(err))
    finally:
        stand.close()
