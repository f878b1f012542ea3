"""The audit log's writer and checker in good order."""

import os
import shutil
import threading
from dataclasses import replace

import pytest

from edge.audit.forms import SchemaError
from edge.audit.journal import BadEntry
from edge.audit.log import AuditLog
from edge.audit.note import Signer, read_note, sign_note
from edge.audit.proofs.merkle import Frontier, leaf_hash
from edge.audit.proofs.verify import verify_log
from edge.audit.schema import ClockReset, Floor
from edge.cli import main
from edge.errors import AuditError, RollbackError
from tests.support.audit_helpers import NOON_NS, deny, end, permit, read_all, stamp, start, stop

DAY_NS = 86_400 * 10**9


@pytest.fixture
def key():
    return Signer.generate("framegate-test/log")


@pytest.fixture
def where(tmp_path):
    return tmp_path / "audit"


def kinds(where, key):
    return [fields["kind"] for fields in read_all(where, key.verifier)]


def test_a_log_is_written_and_verifies(where, key):
    log = AuditLog.create_or_open(where, key)
    entries = (start(), permit(4), end(9), stop(10))
    indices = [log.append(entry, durable=True) for entry in entries]
    log.close()

    found = verify_log(where, key.verifier)

    assert indices == [0, 1, 2, 3]
    assert (found.entries, found.published, found.torn_bytes) == (4, 4, 0)
    assert kinds(where, key) == ["start", "permit", "end", "stop"]


def test_an_empty_log_verifies(where, key):
    AuditLog.create_or_open(where, key).close()

    assert verify_log(where, key.verifier).entries == 0


def test_a_durable_entry_is_synced_and_signed_before_append_returns(where, key):
    log = AuditLog.create_or_open(where, key)
    log.append(start(), durable=False)
    assert (log.size, log.floor) == (1, 0)

    log.append(permit(4), durable=True)

    assert (log.size, log.floor) == (2, 2)
    text, _ = read_note((where / "checkpoint").read_bytes(), [key.verifier])
    assert text.decode().split("\n")[:2] == [key.name, "2"]
    assert verify_log(where, key.verifier).entries == 2


def test_the_published_files_are_a_plain_tile_log(where, key):
    log = AuditLog.create_or_open(where, key)
    for i in range(300):
        log.append(deny(i), durable=False)
    log.close()

    bundles = (where / "tile/entries/000").read_bytes() + (
        where / "tile/entries/001.p/44"
    ).read_bytes()
    tree, hashes = Frontier(), b""
    while bundles:
        length = int.from_bytes(bundles[:2], "big")
        hashes += leaf_hash(bundles[2 : 2 + length])
        tree.append(hashes[-32:])
        bundles = bundles[2 + length :]

    assert tree.size == 300
    assert tree.root() == log.root
    assert (where / "tile/0/000").read_bytes() == hashes[:8192]
    assert (where / "tile/0/001.p/44").read_bytes() == hashes[8192:]
    assert len((where / "tile/1/000.p/1").read_bytes()) == 32
    assert not (where / "tile/0/001.p/42").exists()


def test_a_log_goes_on_where_it_stopped(where, key):
    with_stop = AuditLog.create_or_open(where, key)
    with_stop.append(start(), durable=True)
    with_stop.append(stop(1), durable=True)
    with_stop.close()

    log = AuditLog.create_or_open(where, key)
    assert not log.unclean
    log.append(start(2, boot=2), durable=True)
    log.close()

    assert kinds(where, key) == ["start", "stop", "start"]


def test_a_run_that_never_stopped_is_named_before_the_next_one(where, key):
    log = AuditLog.create_or_open(where, key)
    log.append(start(), durable=True)
    log.append(permit(4), durable=True)
    log.close()

    log = AuditLog.create_or_open(where, key)
    assert log.unclean
    assert log.append(start(5, boot=2), durable=True) == 3
    log.close()

    assert kinds(where, key) == ["start", "permit", "unclean_stop", "start"]


def test_an_entry_outside_the_schema_is_refused_and_leaves_the_log_usable(where, key):
    log = AuditLog.create_or_open(where, key)

    with pytest.raises(SchemaError):
        log.append({**start().fields(), "subject": "Jane"}, durable=True)
    log.append(start().fields(), durable=True)
    log.close()

    assert kinds(where, key) == ["start"]


def test_segments_rotate_and_only_the_live_key_is_left(where, key):
    log = AuditLog.create_or_open(where, key, segment_entries=3)
    for i in range(10):
        log.append(deny(i), durable=True)

    assert verify_log(where, key.verifier).segments == 4
    assert [p.name for p in (where / "private").glob("*.key")] == ["000003.key"]
    assert (where / "private/000003.key").stat().st_mode & 0o777 == 0o600
    log.close()


def test_two_writers_cannot_hold_one_log(where, key):
    log = AuditLog.create_or_open(where, key)

    with pytest.raises(AuditError, match="in use"):
        AuditLog.create_or_open(where, key)

    log.close()
    AuditLog.create_or_open(where, key).close()


def test_a_permit_dated_well_before_the_newest_entry_is_refused(where, key):
    log = AuditLog.create_or_open(where, key)
    log.append(start(100), durable=True)

    with pytest.raises(AuditError, match="the log has reached"):
        log.append(permit(90), durable=True)
    log.append(deny(90), durable=True)
    with pytest.raises(AuditError, match="since boot"):
        log.append(permit(99.5), durable=True)
    slewed = replace(stamp(101), wall_ns=stamp(99.5).wall_ns)
    log.append(replace(permit(101), stamp=slewed), durable=True)
    log.close()

    walls = [fields["wall"] for fields in read_all(where, key.verifier)]
    assert len(walls) == 3
    assert walls == sorted(walls)
    times = [int(fields["mono_ns"]) for fields in read_all(where, key.verifier)]
    assert times == sorted(times)


def test_a_log_shorter_than_its_floor_is_not_used(where, key):
    log = AuditLog.create_or_open(where, key)
    log.append(start(), durable=True)
    log.append(stop(1), durable=True)
    log.close()

    with pytest.raises(RollbackError):
        AuditLog.create_or_open(where, key, floor=3)
    AuditLog.create_or_open(where, key, floor=2).close()


def test_the_newest_policy_and_time_are_read_back_from_the_log(where, key):
    log = AuditLog.create_or_open(where, key)
    assert (log.policy_floor, log.time_floor_ns) == (0, 0)
    for seq, version, time_ns in ((1, 7, NOON_NS + DAY_NS), (2, 6, NOON_NS)):
        log.append(Floor(stamp(seq), version, time_ns), durable=True)
    assert (log.policy_floor, log.time_floor_ns) == (7, NOON_NS + DAY_NS)
    log.close()

    again = AuditLog.create_or_open(where, key)
    assert (again.policy_floor, again.time_floor_ns) == (7, NOON_NS + DAY_NS)
    again.close()


@pytest.mark.parametrize("mended", [True, False])
def test_a_reset_takes_a_wrong_time_away_for_good_and_stays_in_the_log(where, key, mended):
    wrong_ns = NOON_NS + 73 * 365 * DAY_NS
    log = AuditLog.create_or_open(where, key)
    log.append(start(), durable=True)
    late = replace(stamp(1), wall_ns=wrong_ns)
    log.append(Floor(late, 3, wrong_ns), durable=True)
    if mended:
        not_yet_ns, at_least_ns = NOON_NS + 400 * DAY_NS, NOON_NS + DAY_NS
        log.append(ClockReset(stamp(2), not_yet_ns, at_least_ns), durable=True)
    known = [log.time_floor_ns]
    log.append(deny(3), durable=True)
    log.close()

    again = AuditLog.create_or_open(where, key)
    known.append(again.time_floor_ns)
    again.append(Floor(stamp(4), 3, NOON_NS + 2 * DAY_NS), durable=True)
    known.append(again.time_floor_ns)
    assert again.policy_floor == 3  # the reset is of the clock alone
    again.close()

    right = [NOON_NS + DAY_NS, NOON_NS + DAY_NS, NOON_NS + 2 * DAY_NS]
    assert known == (right if mended else [wrong_ns] * 3)
    assert kinds(where, key).count("clock_reset") == int(mended)
    verify_log(where, key.verifier)


def test_without_a_floor_the_newest_entry_is_the_latest_time_known(where, key):
    log = AuditLog.create_or_open(where, key)
    log.append(start(), durable=True)
    log.close()

    again = AuditLog.create_or_open(where, key)
    assert (again.policy_floor, again.time_floor_ns) == (0, start().stamp.wall_ns)
    again.close()


def test_a_log_of_another_device_does_not_verify(where, key):
    AuditLog.create_or_open(where, key).close()

    with pytest.raises(AuditError, match="expected a signature by"):
        verify_log(where, Signer.generate(key.name).verifier)


def test_a_closed_log_takes_nothing_more(where, key):
    log = AuditLog.create_or_open(where, key)
    log.close()
    log.close()

    with pytest.raises(AuditError, match="is closed"):
        log.append(start(), durable=False)


def test_the_command_says_what_verified_or_what_is_bad(where, key, capsys, tmp_path):
    log = AuditLog.create_or_open(where, key)
    for entry in (start(), permit(4), end(9), stop(10)):
        log.append(entry, durable=True)
    log.close()
    pub = tmp_path / "log.pub"
    pub.write_text(key.verifier.text + "\n")

    assert main(["audit", "verify", str(where), "--key", str(pub)]) == 0
    printed = capsys.readouterr().out
    assert "4 entries" in printed
    assert log.root.hex() in printed
    journal = where / "segments/000000.log"
    journal.write_bytes(journal.read_bytes().replace(b'"released":30', b'"released":29', 1))
    assert main(["audit", "verify", str(where), "--key", str(pub)]) == 1
    assert "entry 2: not what was signed\n" in capsys.readouterr().err
    assert main(["audit", "verify", str(tmp_path / "none"), "--key", str(pub)]) == 2
    assert main(["audit", "verify", str(where), "--key", str(tmp_path / "none")]) == 2
    os.truncate(journal, 0)
    with pytest.raises(BadEntry):
        verify_log(where, key.verifier)


@pytest.mark.slow
def test_a_log_verifies_while_it_is_being_written(where, key):
    log = AuditLog.create_or_open(where, key, segment_entries=20)
    log.append(start(), durable=True)
    enough = threading.Event()

    def write():
        i = 0
        while not enough.is_set() and i < 2000:
            i += 1
            log.append(deny(i), durable=i % 2 == 0)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        sizes = [verify_log(where, key.verifier).entries for _ in range(15)]
    finally:
        enough.set()
        writer.join()
        log.close()

    assert sizes == sorted(sizes)
    assert verify_log(where, key.verifier).entries == log.size >= sizes[-1]


@pytest.mark.parametrize("name", ["x.cert", "00000².cert", "-00001.cert", "000000 .cert"])
def test_a_stray_file_among_the_segments_is_an_error_and_no_traceback(where, key, name):
    AuditLog.create_or_open(where, key).close()
    (where / "segments" / name).write_text("stray")

    with pytest.raises(AuditError, match="not the name of a certificate"):
        verify_log(where, key.verifier)


@pytest.mark.parametrize("size", ["9" * 5000, "²", "-1", "", "1.0", "01"])
def test_an_odd_checkpoint_is_an_error_and_no_traceback(where, key, size):
    AuditLog.create_or_open(where, key).close()
    text = f"{key.name}\n{size}\n{'A' * 43}=\n".encode()
    (where / "checkpoint").write_bytes(sign_note(text, [key]))

    with pytest.raises(AuditError, match="published checkpoint"):
        verify_log(where, key.verifier)


def test_a_long_log_is_read_back_and_its_lost_tiles_are_made_again(where, key, monkeypatch):
    monkeypatch.setattr("edge.audit.publish._MANY", 2)
    log = AuditLog.create_or_open(where, key)
    for i in range(600):
        log.append(deny(i), durable=False)
    log.close()
    shutil.rmtree(where / "tile")

    AuditLog.create_or_open(where, key).close()

    assert verify_log(where, key.verifier).published == 600
