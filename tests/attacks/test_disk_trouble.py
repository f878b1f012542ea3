"""A log that cannot be written permits nothing; one that is well again permits again."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from edge.audit.clerk import Clerk
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.schema import Context, Deny, Stamp
from edge.clock import MS, S
from edge.decision.judge import Action, Tell, Write
from edge.errors import AuditError
from edge.evidence.readings import Source
from edge.lease import Lease
from edge.reasons import Reason
from tests.support.audit_disk import Disk
from tests.support.judging import SETUP, World, leases

WHERE = Path("/log")
KEY = Signer.generate("framegate-test/log")


class Logged(World):
    """A judge whose entries go to a log on a disk that can fail."""

    def __init__(self) -> None:
        super().__init__(replace(SETUP, interlocked=False))
        self.disk = Disk()
        self.clerk = Clerk(AuditLog.create_or_open(WHERE, KEY, files=self.disk))

    def step(self) -> None:
        well = self.clerk.tend(self.now_ns)
        self.silent = () if well else (Reason.AUDIT_UNAVAILABLE,)
        super().step()

    def carry_out(self, action: Action) -> None:
        if not isinstance(action, Write):
            super().carry_out(action)
            return
        self.done.append(action)
        stamp = Stamp(bytes(16), self.now_ns, self.now_ns, bytes(16), bytes(32))
        try:
            index = self.clerk.write(action.entry(stamp), action.durable)
        except AuditError:
            return
        if action.durable:
            self.judge.recorded(index, self.now_ns)


def fails(*calls: str, times: int = 1_000_000):
    left = [times]

    def fault(count: int, name: str) -> None:
        if name in calls and left[0] > 0:
            left[0] -= 1
            raise OSError(errno.EIO, "input/output error")

    return fault


def full(world: Logged) -> None:
    world.disk.room = 0


def broken(world: Logged) -> None:
    world.disk.fault = fails("write", "sync", "begin", "overwrite", "truncate")


def well(world: Logged) -> None:
    world.disk.room = None
    world.disk.fault = None


@pytest.mark.parametrize("trouble", [full, broken], ids=lambda f: f.__name__)
def test_a_disk_that_takes_no_record_gets_no_permit_until_it_is_well(trouble) -> None:
    world = Logged()
    world.run(500 * MS)

    trouble(world)
    during = world.run(5 * S)
    reasons = world.judge.outlook.reasons
    well(world)
    after = world.run(5 * S)

    assert leases(during) == []
    assert reasons == (Reason.AUDIT_UNAVAILABLE,)
    assert leases(after)
    assert world.judge.outlook.permitted


@pytest.mark.parametrize("trouble", [full, broken], ids=lambda f: f.__name__)
@pytest.mark.parametrize("late_ms", [40, 1500], ids=["soon", "later"])
def test_trouble_with_an_entry_of_a_blocked_guard_does_not_outlast_the_trouble(
    trouble, late_ms: int
) -> None:
    world = Logged()
    world.run(3 * S)
    world.bad[Source.PEOPLE] = Reason.PEOPLE_CROWD
    world.run(late_ms * MS)

    trouble(world)
    world.bad[Source.PEOPLE] = Reason.PEOPLE_SMALL
    world.run(3 * S)
    world.bad.clear()
    during = world.run(3 * S)
    well(world)
    after = world.run(5 * S)

    assert leases(during) == []
    assert leases(after)
    assert world.judge.outlook.permitted


def test_one_failed_sync_costs_the_dwell_although_it_was_mended_at_once() -> None:
    world = Logged()
    world.run(1010 * MS)
    world.disk.fault = fails("sync", times=1)

    during = world.run(900 * MS)
    after = world.run(3 * S)

    assert Reason.AUDIT_UNAVAILABLE in reasons_sent(world)
    assert leases(during) == []
    assert leases(after)


def reasons_sent(world: Logged) -> set[Reason]:
    """Every reason that the gate was told to block for."""
    messages = [action.message for action in world.done if isinstance(action, Tell)]
    return {r for m in messages if not isinstance(m, Lease) for r in m.reasons}


@pytest.mark.slow
def test_a_permit_that_can_never_be_recorded_is_tried_again_without_filling_the_log() -> None:
    world = Logged()
    late_ns = 4_000_000_000 * S  # a clock that stood in the future for one moment
    world.clerk.write(
        Deny(
            Stamp(bytes(16), world.now_ns, late_ns, bytes(16), bytes(32)),
            Context.UNCONTROLLED,
            (Reason.NO_LEASE,),
            (),
        ),
        durable=True,
    )
    world.run(30 * S)
    size = world.clerk.log.size
    tries = world.run(130 * S)

    assert world.clerk.log.size == size < 12
    assert world.judge.outlook.reasons == (Reason.AUDIT_UNAVAILABLE,)
    permits = [a for a in tries if isinstance(a, Write) and a.durable]
    assert 1 <= len(permits) <= 5
    assert leases(world.done) == []
