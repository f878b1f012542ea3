"""What a board must do, as checks that run on any rig: process, emulator, real port.

`framegate board test` prints them as a table; the project's own tests run the
same ones. Each check gets a fresh `Harness` and returns the milliseconds it
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

from edge.clock import MS
from edge.evidence.board_link import Fault, Floors
from edge.reasons import Reason
from firmware_bridge.checks import faults
from firmware_bridge.checks.harness import CheckFailed, Harness, NotInTime, exhaust
from firmware_bridge.checks.rigs import Rig
from firmware_bridge.packets import Refusal

SETTLE_MS = 300
SLACK_MS = 250  # a busy machine's own delay, on top of the board's
LATE_MS = 100  # so late, two renewals of a lease are missing: the board is right to drop the line
TRIES = 3  # of a check that failed while this machine itself was late


class Needs(Enum):
    """What a check needs of the rig beyond a port."""

    SENSORS = "sensors that can be played"
    RESET = "a reset that can be pulled"
    WATCHDOG = "a watchdog"


Check = Callable[[Harness], float | None]


@dataclass(frozen=True, slots=True)
class Result:
    """How one check went; `failure` is empty if it passed."""

    name: str
    failure: str = ""
    skipped: str = ""
    measured_ms: float | None = None


def boots_silent(harness: Harness) -> None:
    """After a reset the line is down, and nothing is sent before a hello."""
    harness.rig.reset()
    time.sleep(SETTLE_MS / 1000)  # what it was telling a host before is out by then
    harness.rig.reset()
    harness.port.flush_input()
    for _ in harness.during(SETTLE_MS):
        if harness.port.read():
            raise CheckFailed("the board spoke before it was greeted")
        if harness.line():
            raise CheckFailed("the line was up after a reset")


def permits_while_renewed(harness: Harness) -> None:
    """A fresh lease raises the line, and renewal keeps it up."""
    harness.permit()
    harness.expect_stays(True, 1000, "leases renewed")


def lease_ends_by_itself(harness: Harness) -> float:
    """The line drops when no lease comes any more."""
    harness.permit(renewed=False)
    return harness.expect_down(harness.life_ms + SLACK_MS, "the last lease")


def longest_lease_is_half_a_second(harness: Harness) -> float:
    """A lease that asks for a minute gets 500 ms."""
    harness.life_ms = 60_000
    harness.permit(renewed=False)
    return harness.expect_down(500 + SLACK_MS, "a lease that asked for a minute")


def revocation_drops_the_line(harness: Harness) -> float:
    """A revocation drops the line at once."""
    harness.permit(renewed=False)
    since_ns = harness.clock.now_ns()
    harness.write(harness.lease(0, life_ms=0))
    return harness.expect_down(SLACK_MS // 2, "a revocation", since_ns)


def latches(on: str, off: str, fault: Fault, what: str) -> Check:
    """The line drops with no help from the host, and `fault` stays until a new decision.

    Args:
        on: the bench letter that begins `what`; `off` ends it.
    """

    def check(harness: Harness) -> float:
        named = fault.name.lower()
        decision = harness.permit()
        since_ns = harness.clock.now_ns()
        harness.rig.bench(on)
        took_ms = harness.expect_down(SLACK_MS, what, since_ns)
        harness.expect(lambda: harness.status.fault is fault, f"a latched {named}")
        harness.rig.bench(off)
        harness.keep(None)
        harness.pump(50)
        harness.keep(decision)
        harness.expect_stays(False, SETTLE_MS, f"the old decision after a {named}")
        if harness.status.fault is not fault:
            raise CheckFailed(f"expected a latched {named}, got {harness.status.fault}")
        harness.permit()
        return took_ms

    return check


def false_claims_latch(harness: Harness) -> None:
    """Three leases that claim a release the line does not permit latch it off."""
    harness.link()
    decision = harness.new_decision()
    for _ in range(3):
        harness.write(harness.lease(decision, releasing=True))
        harness.pump(30)
    harness.expect(lambda: harness.status.fault is Fault.CLAIM, "a latched claim fault")
    harness.keep(decision)
    harness.expect_stays(False, SETTLE_MS, "the decision that was claimed falsely")
    harness.permit()


def replayed_lease_is_refused(harness: Harness) -> None:
    """A recorded lease, sent again and again, renews nothing."""
    decision = harness.permit()
    recorded = harness.lease(decision, releasing=True)
    harness.keep(None)
    harness.write(recorded)
    for _ in harness.during(harness.life_ms + SLACK_MS):
        harness.write(recorded)
        harness.pump(20)
    if harness.line():
        raise CheckFailed("a replayed lease kept the line up")
    if harness.session.counters.refused == 0:
        raise CheckFailed("replays were not reported as refused")


def damaged_lease_is_refused(harness: Harness) -> None:
    """No lease with one flipped bit raises the line; the whole one does."""
    harness.link()
    good = harness.lease(harness.new_decision())
    rng = random.Random(1)
    for bit in rng.sample(range((len(good) - 1) * 8), 64):
        changed = bytearray(good)
        changed[bit // 8] ^= 1 << bit % 8
        harness.write(bytes(changed) + b"\0")
        harness.pump(4)
        if harness.line():
            raise CheckFailed(f"a lease with bit {bit} flipped raised the line")
    harness.permit()


def garbage_at_line_rate(harness: Harness) -> float:
    """Random bytes as fast as the line takes them drop the line; after them it recovers."""
    harness.permit()
    harness.to_board = faults.replace_with_garbage()
    rng = random.Random(2)
    took_ms = None
    for gone_ms in harness.during(1000):
        if took_ms is None and not harness.line():
            took_ms = gone_ms
        harness.port.write(rng.randbytes(115))  # ten milliseconds at 115200 baud
        harness.pump(10)
    if took_ms is None or harness.line():
        raise CheckFailed("the line stayed up through garbage")
    harness.to_board = lambda chunk: [b"\0" + chunk]
    harness.permit()
    return took_ms


def half_a_packet(harness: Harness) -> None:
    """A packet that never ends raises nothing, and the next whole one is understood."""
    harness.link()
    whole = harness.lease(harness.new_decision())
    harness.write(whole[: len(whole) // 2])
    harness.expect_stays(False, SETTLE_MS, "half a lease")
    harness.permit()


def unknown_command_is_refused(harness: Harness) -> None:
    """Commands outside the allow-list are refused, and reported as refused."""
    harness.link()
    for kind in (0x00, 0x06, 0x42, 0x7F, 0x81, 0x82, 0xFF):
        harness.write(harness.session.packet(kind, bytes(8), harness.clock.now_ns()))
        harness.expect(partial(_refused, harness, kind), f"a refusal of {kind:#04x}")
    harness.expect_stays(False, 100, "unknown commands")


def _refused(harness: Harness, kind: int) -> bool:
    last = harness.session.last_refused
    return last is not None and last.kind == kind and last.refusal is Refusal.KIND


def reset_in_the_middle(harness: Harness) -> float:
    """A reset during a permit drops the line; leases for the old boot do nothing."""
    decision = harness.permit()
    old = harness.session
    since_ns = harness.clock.now_ns()
    harness.rig.reset()
    took_ms = harness.expect_down(1000, "a reset", since_ns)
    harness.keep(None)
    now_ns = harness.clock.now_ns()
    harness.write(old.lease(decision, 500, releasing=False, now_ns=now_ns))
    harness.expect_stays(False, SETTLE_MS, "a lease for the boot before")
    harness.new_session()
    harness.permit()
    return took_ms


def floors_outlive_a_reset(harness: Harness) -> None:
    """What the board was told of log and policy still holds after a reset, and never falls."""
    harness.link()
    before = _floors(harness, Floors(0, 0))
    high = Floors(before.log_size + 42, before.policy_version + 7)
    for raised in (high, Floors(1, 1)):
        _expect_floors(harness, raised, high)
    harness.rig.reset()
    harness.new_session()
    harness.pump(100)
    harness.link()
    _expect_floors(harness, Floors(0, 0), high)


def _expect_floors(harness: Harness, raised: Floors, expected: Floors) -> None:
    found = _floors(harness, raised)
    if found != expected:
        raise CheckFailed(f"expected {expected} after {raised}, the board keeps {found}")


def _floors(harness: Harness, raised: Floors) -> Floors:
    """Raise the floors; what the board answers to the second of the two packets."""
    harness.floors.clear()
    harness.write(harness.session.floors(raised, harness.clock.now_ns()))
    harness.expect(lambda: len(harness.floors) >= 2, "an answer to the floors")
    return harness.floors[-1]


def unplugged(harness: Harness) -> float:
    """With the line cut the board inhibits and the host says the link is lost."""
    harness.permit()
    harness.to_board = faults.drop()
    harness.to_host = faults.drop()
    took_ms = harness.expect_down(harness.life_ms + SLACK_MS, "the line was cut")
    harness.pump(SETTLE_MS)
    if harness.session.up(harness.clock.now_ns()):
        raise CheckFailed("the host still believes in a board it cannot hear")
    harness.to_board = harness.to_host = faults.none()
    harness.permit()
    return took_ms


def sequence_used_up(harness: Harness) -> None:
    """After the last sequence number nothing is accepted until a reset."""
    harness.link()
    harness.write(exhaust(harness.session))
    harness.pump(100)
    harness.new_session()
    harness.keep(harness.new_decision())
    harness.expect_stays(False, SETTLE_MS, "no sequence number left")
    harness.rig.reset()
    harness.keep(None)
    harness.new_session()
    harness.pump(100)
    harness.permit()


def other_version(harness: Harness) -> None:
    """A host of another version gets no link and the reason."""
    harness.new_session(versions=(2, 9))
    _expect_no_link(harness, Reason.LINK_VERSION, "another version")


def wrong_key(harness: Harness) -> None:
    """A host with another key gets no link and the reason."""
    harness.new_session(root=bytes(byte ^ 0x55 for byte in harness.root))
    _expect_no_link(harness, Reason.LINK_KEY, "the wrong key")


def _expect_no_link(harness: Harness, trouble: Reason, what: str) -> None:
    def reported() -> bool:
        return trouble in harness.session.troubles(harness.clock.now_ns())

    harness.expect(reported, f"word of {what}", 3000)
    if harness.session.up(harness.clock.now_ns()) or harness.line():
        raise CheckFailed(f"a host with {what} got a link")


def held_back_lease_is_refused(harness: Harness) -> None:
    """A lease delayed by a third of a second does nothing."""
    harness.link()
    late = harness.lease(harness.new_decision())
    harness.pump(20)
    late = harness.lease(harness.new_decision())
    for _ in harness.during(330):
        harness.port.read()
        harness.pump(0)
    harness.write(late)
    harness.expect_stays(False, 150, "a lease held back for 330 ms")


def bad_line_drops(fault: Callable[[], faults.LineFault]) -> Check:
    """With this fault on the line to the board, the line drops within one lease."""

    def check(harness: Harness) -> float:
        harness.permit()
        harness.to_board = fault()
        took_ms = harness.expect_down(harness.life_ms + SLACK_MS, f"{fault.__name__} began")
        harness.expect_stays(False, SETTLE_MS, fault.__name__)
        return took_ms

    return check


def bad_line_holds(fault: Callable[[], faults.LineFault]) -> Check:
    """With this fault whole packets still come, so the permit stays."""

    def check(harness: Harness) -> None:
        harness.link()
        harness.to_board = fault()
        harness.permit()
        harness.expect_stays(True, 500, fault.__name__)

    return check


def watchdog_bites(command: str, what: str) -> Check:
    """A hung main loop drops the line, and the board comes back inhibited."""

    def check(harness: Harness) -> float:
        harness.permit()
        harness.rig.bench(command)
        took_ms = harness.expect_down(1000 + SLACK_MS, what)
        harness.keep(None)
        harness.pump(600)
        harness.new_session()
        harness.link()
        if harness.status.permitted:
            raise CheckFailed("the board came back permitting")
        harness.permit()
        return took_ms

    return check


CHECKS: tuple[tuple[str, Check, tuple[Needs, ...]], ...] = (
    ("boots silent", boots_silent, (Needs.RESET,)),
    ("permits while renewed", permits_while_renewed, ()),
    ("lease ends by itself", lease_ends_by_itself, ()),
    ("longest lease is 500 ms", longest_lease_is_half_a_second, ()),
    ("revocation", revocation_drops_the_line, ()),
    ("undocking vetoes", latches("u", "d", Fault.VETO, "undocking"), (Needs.SENSORS,)),
    ("motion vetoes", latches("m", "r", Fault.VETO, "a turn"), (Needs.SENSORS,)),
    ("silent sensors veto", latches("q", "p", Fault.VETO, "100 ms of silence"), (Needs.SENSORS,)),
    ("tamper latches", latches("t", "s", Fault.TAMPER, "the tamper switch"), (Needs.SENSORS,)),
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


def _settle(harness: Harness) -> None:
    """Let the lease of the check before come to its end."""
    for _ in harness.during(600):
        if harness.rig.watches_line and not harness.line():
            return
        harness.port.flush_input()
        time.sleep(0.01)


def run(name: str, check: Check, needs: tuple[Needs, ...], rig: Rig, root: bytes) -> Result:
    """Run one check on `rig`, or say why it cannot be run there.

    A line that goes down while this machine itself is late says nothing about the board, which
    must drop it when no lease comes. The check is repeated then. A failure in time is final, and
    so is a line that is up where it must be down.
    """
    has = {
        Needs.SENSORS: rig.plays_sensors,
        Needs.RESET: rig.plays_sensors,
        Needs.WATCHDOG: rig.has_watchdog,
    }
    missing = next((need for need in needs if not has[need]), None)
    if missing is not None:
        return Result(name, skipped=f"needs {missing.value}")
    known = 0
    for _ in range(TRIES):
        harness = Harness(rig, root, known)
        try:
            _settle(harness)
            return Result(name, measured_ms=check(harness))
        except CheckFailed as err:
            failure, known, late_ms = str(err), harness.decision, harness.late_ns / MS
            if not isinstance(err, NotInTime) or late_ms <= LATE_MS:
                return Result(name, failure=failure)
        finally:
            harness.close()
    why = f"this machine left the board alone for {late_ms:.0f} ms, in {TRIES} tries: end programs"
    return Result(name, failure=f"{failure}; {why}")
