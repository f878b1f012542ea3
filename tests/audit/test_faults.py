"""The log on storage that fails: what was acknowledged stays, what was not is told.

Every file operation of a run fails once, and an append is cut at every byte; with
FRAMEGATE_FAULTS_EVERY=4 at every fourth.
"""

import errno
import json
import os
import random
from pathlib import Path

import pytest

from edge.audit.journal import read_journal
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.schema import Kind, canonical
from edge.audit.store import RESERVE_BYTES
from edge.errors import AuditError, RollbackError
from tests.support.audit_disk import Disk, PowerCut, fail_once, power_cut_at, tear_once
from tests.support.audit_helpers import deny, end, permit, start, stop

WHERE = Path("/log")
KEY = Signer.generate("framegate-test/log")

# (entry, durable): a run of the guard, long enough to begin another segment
RUN = [
    (start(0), True),
    (deny(1), False),
    (permit(4), True),
    (end(5), False),
    (deny(6), False),
    (permit(9, 2), True),
    (stop(14), True),
]


def open_log(disk):
    return AuditLog.create_or_open(WHERE, KEY, files=disk, segment_entries=4)


def stored(disk):
    """Every entry that verifies, in order, as bytes."""
    found = []
    read_journal(
        disk, WHERE, KEY.verifier, every_signature=True, on_entry=lambda i, e, t: found.append(e)
    )
    return found


def run_until_error(disk):
    """Write RUN; returns the acknowledged (entry, durable) and how many errors were told."""
    acknowledged, errors = [], 0
    log = None
    for entry, durable in RUN:
        try:
            log = log or open_log(disk)
            index = log.append(entry, durable=durable)
        except AuditError:
            errors += 1
        else:
            acknowledged.append((canonical(entry.fields()), durable, index))
    if log is not None:
        try:
            log.close()
        except AuditError:
            errors += 1
    return acknowledged, errors


def calls_in_a_run():
    """The names of a run's file operations, in order."""
    names = []
    disk = Disk(fault=lambda now, name: names.append(name))
    assert run_until_error(disk)[1] == 0
    return names


NAMES = calls_in_a_run()
EVERY = int(os.environ.get("FRAMEGATE_FAULTS_EVERY", "1"))
CHANGES = {"write", "truncate", "overwrite", "rename", "remove"}


def calls(*names):
    """The numbers of the operations with one of these names, or of all."""
    return [n for n, name in enumerate(NAMES, start=1) if not names or name in names][::EVERY]


def test_a_run_on_good_storage_is_stored_whole():
    disk = Disk()

    acknowledged, errors = run_until_error(disk)

    assert errors == 0
    assert stored(disk) == [entry for entry, _, _ in acknowledged]
    assert len(acknowledged) == len(RUN)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "at"),
    [
        (fail_once, calls()),
        (tear_once, calls("write")),
        (lambda call: fail_once(call, errno.ENOSPC), calls("write", "sync", "rename")),
    ],
    ids=["fails", "tears", "is full"],
)
def test_no_single_failed_call_loses_an_acknowledged_entry(fault, at):
    assert len(at) * EVERY > 20

    for call in at:
        disk = Disk(fault=fault(call))
        acknowledged, errors = run_until_error(disk)
        disk.fault = None

        assert len(acknowledged) + errors >= len(RUN), f"call {call}: an error was kept quiet"
        assert len(acknowledged) >= len(RUN) - 1, f"call {call}: the log did not mend itself"
        found = stored(disk)
        for entry, _, index in acknowledged:
            assert found[index] == entry, f"call {call}"
        kinds = [json.loads(entry)["kind"] for entry in found]
        assert kinds.count("permit") == sum(b'"permit"' in e for e, _, _ in acknowledged)
        open_log(disk).close()


@pytest.mark.slow
def test_no_power_cut_loses_a_durable_entry():
    for call in calls():
        rng = random.Random(call)
        disk = Disk(fault=power_cut_at(call))
        acknowledged = []
        try:
            log = open_log(disk)
            for entry, durable in RUN:
                index = log.append(entry, durable=durable)
                acknowledged.append((canonical(entry.fields()), durable, index))
        except PowerCut:
            pass
        after = disk.after_power_cut(rng)
        log = open_log(after)
        log.append(start(60, boot=2), durable=True)
        log.close()

        found = stored(after)
        durables = [index for _, durable, index in acknowledged if durable]
        kept = max(durables, default=-1) + 1
        assert found[:kept] == [e for e, _, i in acknowledged if i < kept], f"call {call}"


@pytest.mark.slow
def test_no_killed_process_loses_an_acknowledged_entry():
    for call in calls(*CHANGES):
        disk = Disk(fault=power_cut_at(call))
        acknowledged = []
        try:
            log = open_log(disk)
            for entry, durable in RUN:
                log.append(entry, durable=durable)
                acknowledged.append(canonical(entry.fields()))
        except PowerCut:
            pass
        after = disk.after_crash()
        log = open_log(after)
        log.close()

        assert stored(after)[: len(acknowledged)] == acknowledged, f"call {call}"


@pytest.mark.slow
def test_every_prefix_of_an_append_recovers_to_before_or_after_it():
    disk = Disk()
    log = open_log(disk)
    log.append(start(0), durable=True)
    before = disk.after_crash()
    journal = WHERE / "segments/000000.log"
    log.append(permit(4), durable=True)
    whole = disk.live[journal].data
    old = before.live[journal].data
    assert whole.startswith(old)

    for size in [*range(len(old), len(whole), EVERY), len(whole)]:
        cut = before.after_crash()
        cut.live[journal].data = whole[:size]
        again = open_log(cut)

        assert again.size == (2 if size == len(whole) else 1)
        torn = whole[len(old) : size] if size < len(whole) else b""
        aside = [i.data for p, i in cut.live.items() if p.parent.name == "aside"]
        assert aside == ([torn] if torn else [])
        if size % 7 and size < len(whole) - 2:
            continue  # what follows is the same for every kind of tail
        again.append(start(9, boot=2), durable=True)
        kinds = [json.loads(e)["kind"] for e in stored(cut)]
        assert kinds[0] == "start"
        assert kinds.count("recovered") == (1 if torn else 0)
        assert kinds[-1] == "start"


def test_a_failed_sync_ends_that_file_for_good():
    disk = Disk()
    log = open_log(disk)
    log.append(start(0), durable=True)
    log.append(deny(1), durable=False)
    first = disk.live[WHERE / "segments/000000.log"].data
    disk.fault = lambda now, name: (
        (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")) if (name == "sync") else None
    )

    with pytest.raises(AuditError):
        log.append(permit(4), durable=True)
    with pytest.raises(AuditError):
        log.append(permit(5), durable=True)
    disk.fault = None
    log.append(deny(6), durable=True)
    log.close()

    kinds = [json.loads(e)["kind"] for e in stored(disk)]
    assert kinds == ["start", "deny", "recovered", "deny"]
    failed = disk.live[WHERE / "segments/000000.log"].data
    assert first.startswith(failed)
    assert failed.count(b"\n") == 1  # what a sync has confirmed; the next segment has the rest


def fill(disk, left=0):
    disk.room = sum(len(i.data) for i in disk.live.values()) + left


@pytest.mark.parametrize("left", [0, 1, 300])
def test_a_full_disk_refuses_the_permit_and_still_takes_the_entry_that_says_so(left):
    disk = Disk()
    log = open_log(disk)
    log.append(start(0), durable=True)
    fill(disk, left)

    with pytest.raises(AuditError, match="No space"):
        log.append(permit(4), durable=True)
    assert log.append(deny(5), durable=True) >= 1
    with pytest.raises(AuditError, match="No space left on device: no room is held"):
        log.append(permit(6), durable=True)
    log.append(stop(7), durable=True)
    log.close()

    kinds = [json.loads(e)["kind"] for e in stored(disk)]
    assert [k for k in kinds if k != "recovered"] == ["start", "deny", "stop"]


def test_after_a_full_disk_the_log_goes_on_and_says_what_happened():
    disk = Disk()
    log = open_log(disk)
    log.append(start(0), durable=True)
    fill(disk)
    log.append(deny(1), durable=True)
    disk.room = None

    log.append(permit(4), durable=True)
    log.close()

    entries = [json.loads(e) for e in stored(disk)]
    assert [e["kind"] for e in entries] == ["start", "deny", "recovered", "permit"]
    assert entries[2]["incident"] == "disk_full"
    assert len(disk.live[WHERE / "private/reserve"].data) == RESERVE_BYTES


def test_the_log_says_when_it_could_not_record_a_permit_and_recovers():
    disk = Disk()
    log = open_log(disk)
    assert log.ready
    log.append(start(0), durable=True)
    fill(disk)
    log.append(deny(1), durable=True)
    assert not log.ready
    assert not log.recover()

    disk.room = None

    assert log.recover()
    assert log.ready
    disk.fault = fail_once(disk.calls + 1)
    with pytest.raises(AuditError):
        log.append(deny(2), durable=False)
    assert not log.ready
    assert log.recover()
    log.close()
    assert not log.ready
    assert not log.recover()
    kinds = [json.loads(e)["kind"] for e in stored(disk)]
    assert kinds == ["start", "deny"]


def test_a_start_on_a_full_disk_still_records_that_it_happened():
    disk = Disk()
    log = open_log(disk)
    log.append(start(0), durable=True)
    log.close()
    fill(disk)

    log = open_log(disk)
    log.append(start(9, boot=2), durable=True)
    with pytest.raises(AuditError):
        log.append(permit(12), durable=True)

    kinds = [json.loads(e)["kind"] for e in stored(disk)]
    assert kinds[:2] == ["start", "unclean_stop"]
    assert kinds[-1] == "start"


def test_a_log_whose_synced_entries_are_gone_is_a_rollback():
    disk = Disk()
    log = open_log(disk)
    log.append(start(0), durable=True)
    log.append(deny(1), durable=True)
    log.close()
    journal = WHERE / "segments/000000.log"
    lines = disk.live[journal].data.splitlines(keepends=True)
    disk.live[journal].data = lines[0]

    with pytest.raises(RollbackError, match="checkpoint says 2"):
        open_log(disk)


def test_a_lost_segment_key_is_an_error_and_not_a_new_log():
    disk = Disk()
    log = open_log(disk)
    log.append(start(0), durable=True)
    log.close()
    del disk.live[WHERE / "private/000000.key"]

    with pytest.raises(AuditError, match="missing or spoilt"):
        open_log(disk)


def test_destroyed_keys_leave_no_bytes_behind():
    disk = Disk()
    log = open_log(disk)
    secret = disk.live[WHERE / "private/000000.key"]
    text = secret.data
    log.append(start(0), durable=True)
    log.rotate()

    assert text not in secret.data
    assert not any(text in inode.data for inode in disk.live.values())
    assert [p.name for p in disk.live if ".key" in p.name] == ["000001.key"]
    assert Kind.START.value in stored(disk)[0].decode()
