"""A pruned log: what is left proves what it proved, and a gap without a receipt is damage."""

import base64
import hashlib
import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.audit.files import Files
from edge.audit.forms import wall_ns
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.proofs.consistency import prove_consistency, verify_consistency
from edge.audit.proofs.export import export_log
from edge.audit.proofs.proof import prove_entry, prove_span, verify_proof
from edge.audit.proofs.span import NotProven
from edge.audit.proofs.tiled import prove_from_tiles, roots_of, size_of
from edge.audit.proofs.verify import verify_log
from edge.audit.pruning.prune import months_before, plan_pruning, prune
from edge.audit.schema import ClockReset, Floor
from edge.errors import AuditError, RollbackError
from tests.support.audit_disk import Disk, PowerCut, fail_once, power_cut_at
from tests.support.audit_helpers import NOON_NS, deny, stamp, start, stop

pytestmark = pytest.mark.slow

KEY = Signer.generate("framegate-test/log")
WHERE = Path("/log")
DAY = 86_400
LATER_NS = NOON_NS + 400 * DAY * 10**9
SEGMENT = 100  # entries
NOTES = (30, 256, 300, 700)  # sizes at which somebody kept the checkpoint


def write(files, where, count=720, days=200):
    """A log of `count` denials over so many days; the checkpoints kept, by size."""
    log = AuditLog.create_or_open(where, KEY, files=files, segment_entries=SEGMENT)
    kept = {}
    for index in range(count):
        t_s = index * days * DAY / count
        entry = Floor(stamp(t_s), 7, NOON_NS) if index == 3 else deny(t_s)
        log.append(entry, durable=False)
        if log.size in NOTES:
            log.sync()
            kept[log.size] = log.checkpoint.encode()
    log.append(stop(days * DAY), durable=True)
    log.close()
    return kept


def plan(where, files=None, months=3, **more):
    return plan_pruning(
        where, KEY.verifier, now_ns=LATER_NS, keep_months=months, files=files, **more
    )


def pruned(where, files=None, months=3, archive=None):
    found = plan(where, files, months)
    assert found is not None
    prune(where, KEY, found, files=files, archive=archive)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A log, and the checkpoints that others kept of it; not to be changed."""
    where = tmp_path_factory.mktemp("whole") / "audit"
    return where, write(Files(), where)


@pytest.fixture
def log(whole, tmp_path):
    """A log of its own, and the checkpoints kept."""
    shutil.copytree(whole[0], tmp_path / "audit")
    return tmp_path / "audit", whole[1]


def stored(where, archive=None):
    """The leaf hashes of what was pruned, and the entries after them."""
    hashes, entries = [], []
    verify_log(
        where,
        KEY.verifier,
        on_entry=lambda index, entry, fields: entries.append(entry),
        on_hash=lambda index, leaf: hashes.append(leaf),
        archive=archive,
    )
    return hashes, entries


def test_whole_old_segments_go_and_the_rest_verifies(log):
    where, _ = log
    before = verify_log(where, KEY.verifier)
    size_before = sum(p.stat().st_size for p in where.rglob("*") if p.is_file())

    found = pruned(where)

    after = verify_log(where, KEY.verifier)
    assert (after.entries, after.root) == (before.entries, before.root)
    assert after.pruned == found.receipt.entries == 300
    assert after.receipt == found.receipt
    assert "entries 0 to 299" in after.receipt.words
    assert not (where / "segments/000002.log").exists()
    assert (where / "segments/000003.log").exists()
    assert not (where / "tile/entries/000").exists()
    assert (where / "tile/entries/001").exists()  # it holds entries that were kept
    size_after = sum(p.stat().st_size for p in where.rglob("*") if p.is_file())
    assert size_before - size_after > 0.95 * found.bytes > 100_000  # the receipt is new
    assert plan(where) is None


def test_what_was_proven_before_is_proven_after(log):
    where, kept = log
    note = (where / "checkpoint").read_bytes()
    _, entries = stored(where)
    proofs = {i: prove_entry(entries, note, KEY.verifier, i) for i in (0, 299, 300, 511, 720)}

    pruned(where)

    hashes, rest = stored(where)
    assert (len(hashes), len(hashes) + len(rest)) == (300, 721)
    for index, proof in proofs.items():  # of pruned entries too: it stands alone
        assert verify_proof(proof, KEY.verifier).index == index
    for index in (300, 511, 720):
        again = prove_entry(rest, note, KEY.verifier, index, pruned=hashes)
        assert again == proofs[index] == prove_from_tiles(where / "tile", note.decode(), index)
    with pytest.raises(AuditError, match="entry 299 was pruned"):
        prove_entry(rest, note, KEY.verifier, 299, pruned=hashes)
    for size, old in kept.items():  # checkpoints from before, within and after what went
        root = roots_of(where / "tile", size_of(note.decode()))
        proof = prove_consistency(old, note, root, KEY.verifier)
        assert verify_consistency(proof, old, KEY.verifier) == (size, 721)
        verify_log(where, KEY.verifier, seen=old)


def test_a_span_in_what_is_left_is_proven_and_one_before_is_not(log):
    where, _ = log
    pruned(where)
    hashes, rest = stored(where)
    note = (where / "checkpoint").read_bytes()
    begin_ns = wall_ns(json.loads(rest[0])["wall"])

    inside = begin_ns + 10 * DAY * 10**9, begin_ns + 20 * DAY * 10**9
    proof = prove_span(rest, note, KEY.verifier, *inside, pruned=hashes)

    found = verify_proof(proof, KEY.verifier)
    assert found.first > 300
    assert found.span.permits == 0
    with pytest.raises(NotProven):
        prove_span(
            rest, note, KEY.verifier, NOON_NS + DAY * 10**9, begin_ns + DAY * 10**9, pruned=hashes
        )


def test_a_date_that_a_pruned_record_called_wrong_proves_nothing(log):
    where, _ = log
    pruned(where)
    hashes, rest = stored(where)
    note = (where / "checkpoint").read_bytes()
    begin_ns = wall_ns(json.loads(rest[0])["wall"])
    span = begin_ns + 10 * DAY * 10**9, begin_ns + 20 * DAY * 10**9
    assert prove_span(rest, note, KEY.verifier, *span, pruned=hashes)

    with pytest.raises(NotProven, match="clock was wrong"):
        prove_span(
            rest,
            note,
            KEY.verifier,
            *span,
            pruned=hashes,
            distrusted="2026-01-02T00:00:00.000Z",
        )


def test_the_guard_writes_on_and_the_log_is_pruned_again(log):
    where, kept = log
    first = pruned(where)

    again = AuditLog.create_or_open(where, KEY, segment_entries=SEGMENT)
    assert again.policy_floor == 7  # the entry that said so is gone
    assert not again.unclean
    for index in range(300):
        again.append(deny(300 * DAY + index * DAY / 4), durable=False)
    again.append(stop(390 * DAY), durable=True)
    again.close()
    verify_log(where, KEY.verifier, seen=kept[300])
    second = pruned(where, months=2)

    found = verify_log(where, KEY.verifier, seen=kept[300])
    assert found.entries == 1022
    assert found.pruned == second.receipt.entries > first.receipt.entries
    assert second.receipt.since == first.receipt.since
    assert second.receipt.carried.policy_floor == 7
    assert sorted(p.name for p in (where / "pruned").iterdir()) == [
        "000003.receipt",
        f"{second.receipt.segments:06d}.receipt",
    ]


def test_ratchets_and_an_unclean_end_outlive_their_entries(tmp_path):
    where = tmp_path / "audit"
    log = AuditLog.create_or_open(where, KEY, segment_entries=SEGMENT)
    log.append(start(0), durable=False)
    log.append(Floor(stamp(1), 9, NOON_NS), durable=False)
    log.append(ClockReset(stamp(2), NOON_NS + 10**18, NOON_NS - 10**9), durable=False)
    for index in range(520):  # nothing but the hour's floors: the run never stops
        log.append(Floor(stamp(3 + index * DAY / 2), 9, NOON_NS), durable=False)
    log.close()
    plain = AuditLog.create_or_open(shutil.copytree(where, tmp_path / "plain"), KEY)
    pruned(where)

    again = AuditLog.create_or_open(where, KEY)

    assert (again.unclean, again.policy_floor) == (plain.unclean, plain.policy_floor) == (True, 9)
    assert again.time_floor_ns == plain.time_floor_ns
    assert verify_log(where, KEY.verifier).receipt.carried.distrusted
    again.close()


# what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gone", "entry"),
    [("segments/000001.log", 100), ("segments/000003.log", 300)],
    ids=["old", "of the middle"],
)
def test_a_segment_that_is_gone_without_a_receipt_is_damage(log, gone, entry):
    where, _ = log
    (where / gone).unlink()

    with pytest.raises(AuditError, match=f"entry {entry}: missing from its segment"):
        verify_log(where, KEY.verifier)
    with pytest.raises(AuditError, match="missing"):
        AuditLog.create_or_open(where, KEY)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda at: (at / "segments/000003.log").unlink(), "entry 300: missing from its segment"),
        (lambda at: (at / "pruned/000003.receipt").unlink(), "entry 0: missing from its segment"),
        (lambda at: (at / "tile/0/000").unlink(), "entry 0: pruned, and its hash is missing"),
        (lambda at: (at / "segments/000001.cert").unlink(), "segment 1 of the log has no cert"),
        (lambda at: (at / "tile/entries/001").unlink(), "entry 256: tile/entries/001 does not"),
        (lambda at: flip(at / "tile/0/000", 70), "entry 100: segment 1 continues another tree"),
        (lambda at: flip(at / "tile/entries/001", 9), "entry 256: tile/entries/001 does not match"),
        (lambda at: flip(at / "pruned/000003.receipt", 60), "receipt 000003.receipt"),
        (lambda at: (at / "pruned/notes.txt").write_text("x"), "'notes.txt' is no receipt"),
        (
            lambda at: (at / "pruned/000003.receipt").rename(at / "pruned/000004.receipt"),
            "receipt 000004.receipt belongs to another place",
        ),
    ],
)
def test_a_spoilt_pruned_log_is_damage(log, spoil, says):
    where, _ = log
    pruned(where)
    verify_log(where, KEY.verifier)

    spoil(where)

    with pytest.raises(AuditError, match=says):
        verify_log(where, KEY.verifier)


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def test_a_receipt_that_another_key_signed_lets_nothing_go(log):
    where, _ = log
    found = plan(where)
    stranger = Signer.generate(KEY.name)
    prune(where, stranger, found)

    with pytest.raises(AuditError, match=r"receipt 000003\.receipt"):
        verify_log(where, KEY.verifier)


def test_a_receipt_that_says_other_than_the_entries_is_told_by_the_archive(log, tmp_path):
    where, _ = log
    found = plan(where)
    lower = replace(found.receipt.carried, policy_floor=1)
    prune(
        where,
        KEY,
        replace(found, receipt=replace(found.receipt, carried=lower)),
        archive=tmp_path / "kept",
    )

    with pytest.raises(AuditError, match="the receipt for the first 300 entries"):
        verify_log(where, KEY.verifier, archive=tmp_path / "kept")


def test_a_pruned_log_cut_back_is_a_rollback(log):
    where, _ = log
    pruned(where)
    for path in (where / "segments").glob("00000[7-9].*"):
        path.unlink()
    (where / "checkpoint").unlink()

    with pytest.raises((AuditError, RollbackError)):
        AuditLog.create_or_open(where, KEY)
    with pytest.raises(AuditError, match="missing"):
        verify_log(where, KEY.verifier)


# what stays -----------------------------------------------------------------------------


def test_retention_counts_whole_months(log):
    where, _ = log

    assert months_before(NOON_NS, 1) == "2025-12-01T00:00:00.000Z"
    assert months_before(NOON_NS, 13) == "2024-12-01T00:00:00.000Z"
    assert plan(where, months=7) is None
    for months in (1, 5):
        found = plan(where, months=months).receipt
        assert found.until < months_before(NOON_NS + 200 * DAY * 10**9, months)


def test_a_clock_that_runs_ahead_prunes_no_more(log):
    where, _ = log

    assert plan(where, months=12) is None
    far = plan_pruning(where, KEY.verifier, now_ns=LATER_NS * 2, keep_months=3)
    assert far.receipt.entries == plan(where).receipt.entries


def test_what_no_witness_has_seen_stays(log):
    where, kept = log

    assert plan(where, months=1).receipt.entries == 500
    assert plan(where, months=1, witnessed=kept[300]).receipt.entries == 300
    assert plan(where, months=1, witnessed=kept[256]).receipt.entries == 200
    assert plan(where, months=1, witnessed=kept[30]) is None


def test_a_short_log_and_the_last_entry_stay(tmp_path):
    where = tmp_path / "audit"
    write(Files(), where, count=120)

    assert plan(where, months=1) is None  # no bundle below any segment is full yet


# the archive ----------------------------------------------------------------------------


def test_the_archive_beside_the_log_is_read_as_if_it_were_there(log, tmp_path):
    where, _ = log
    whole = stored(where)[1]
    pruned(where, archive=tmp_path / "kept")
    assert len(stored(where)[1]) == 421

    hashes, entries = stored(where, archive=tmp_path / "kept")

    assert hashes == []
    assert entries == whole
    flip(tmp_path / "kept/segments/000001.log", 200)
    with pytest.raises(AuditError, match="entry 10"):
        stored(where, archive=tmp_path / "kept")


def test_what_was_archived_can_be_put_back(log, tmp_path):
    where, _ = log
    pruned(where, archive=tmp_path / "kept")

    shutil.copytree(tmp_path / "kept", where, dirs_exist_ok=True)

    found = verify_log(where, KEY.verifier)
    assert found.pruned == 0
    AuditLog.create_or_open(where, KEY).close()


def test_an_archive_in_the_log_or_of_another_log_is_refused(log, tmp_path):
    where, _ = log
    found = plan(where)
    (tmp_path / "kept/segments").mkdir(parents=True)
    (tmp_path / "kept/segments/000000.log").write_text("another log's")

    for archive in (where, where / "old", tmp_path / "kept"):
        with pytest.raises(AuditError, match="archive"):
            prune(where, KEY, found, archive=archive)

    assert verify_log(where, KEY.verifier).receipt is None


def test_an_export_of_a_pruned_log_verifies(log, tmp_path):
    where, kept = log
    pruned(where)

    export_log(where, tmp_path / "copy", KEY.verifier)

    found = verify_log(tmp_path / "copy", KEY.verifier, seen=kept[256])
    assert (found.entries, found.pruned) == (721, 300)


# crashes --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    """A log on a disk that can fail, and how many calls its pruning makes."""
    disk = Disk()
    kept = write(disk, WHERE, count=300)
    names = []
    copy = disk.after_crash()
    found = plan(WHERE, copy, 1)
    copy.fault = lambda now, name: names.append(name)
    prune(WHERE, KEY, found, files=copy, archive=Path("/kept"))
    return disk, kept, found, names


CHANGES = {"begin", "write", "sync", "truncate", "rename", "remove", "sync_directory"}


@pytest.mark.parametrize("kind", ["killed", "power cut", "error"])
@pytest.mark.parametrize("nth", [11, pytest.param(1, marks=pytest.mark.long)])
def test_no_moment_of_a_pruning_loses_anything(small, kind, nth):
    disk, kept, found, names = small
    changes = [call for call, name in enumerate(names, start=1) if name in CHANGES]
    assert len(changes) > 30
    first = {"killed": 0, "power cut": 4, "error": 8}[kind] % nth

    for call in changes[first::nth]:
        copy = durable_copy(disk)
        copy.fault = fail_once(call) if kind == "error" else power_cut_at(call)
        with pytest.raises((OSError, PowerCut)):
            prune(WHERE, KEY, found, files=copy, archive=Path("/kept"))
        copy.fault = None
        if kind == "power cut":
            copy = copy.after_power_cut(random.Random(call))
        else:
            copy = copy.after_crash()

        after = verify_log(WHERE, KEY.verifier, files=copy, archive=Path("/kept"), seen=kept[256])
        assert (after.entries, after.pruned) == (301, 0), f"call {call}: an entry is lost"
        again = plan(WHERE, copy, 1)
        if again is not None:
            prune(WHERE, KEY, again, files=copy, archive=Path("/kept"))
        assert Path("/log/segments/000001.log") not in copy.live, f"call {call}"
        last = verify_log(WHERE, KEY.verifier, files=copy)
        assert (last.entries, last.pruned) == (301, 200)


def durable_copy(disk):
    """The same disk, all of it on the storage."""
    copy = disk.after_crash()
    copy.durable_folders = {p for place in copy.live for p in place.parents}
    copy.folders = set(copy.durable_folders)
    return copy


# while the guard writes, and by other means -----------------------------------------------


def test_a_guard_that_runs_is_pruned_under_its_hands(log):
    where, kept = log
    running = AuditLog.create_or_open(where, KEY, segment_entries=SEGMENT)
    running.append(start(201 * DAY), durable=True)

    pruned(where)
    for index in range(300):
        running.append(deny(202 * DAY + index), durable=False)
    running.append(stop(203 * DAY), durable=True)
    running.close()

    found = verify_log(where, KEY.verifier, seen=kept[256])
    assert (found.entries, found.pruned) == (1023, 300)


def root_of(leaves):
    """RFC 6962 in its own words, with nothing of the product."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    both = root_of(leaves[:split]) + root_of(leaves[split:])
    return hashlib.sha256(b"\x01" + both).digest()


def test_plain_tools_prove_what_is_left_of_a_pruned_log(log):
    where, _ = log
    pruned(where)

    text, _, signatures = (where / "checkpoint").read_bytes().partition(b"\n\n")
    size, root = int(text.split(b"\n")[1]), base64.b64decode(text.split(b"\n")[2])
    public = base64.b64decode((where / "log.pub").read_text().split("+", 2)[2])[1:]
    raw = base64.b64decode(signatures.split(b"\n")[0].rpartition(b" ")[2])
    Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], text + b"\n")
    tiles = (where / "tile/0/000", where / "tile/0/001", where / f"tile/0/002.p/{size - 512}")
    hashes = b"".join(tile.read_bytes() for tile in tiles)
    leaves = [hashes[at : at + 32] for at in range(0, len(hashes), 32)]
    assert (len(leaves), root_of(leaves)) == (size, root)
    bundles = (where / "tile/entries/001", where / f"tile/entries/002.p/{size - 512}")
    rest, index = b"".join(bundle.read_bytes() for bundle in bundles), 256
    while rest:
        end = 2 + int.from_bytes(rest[:2], "big")
        assert hashlib.sha256(b"\x00" + rest[2:end]).digest() == leaves[index]
        rest, index = rest[end:], index + 1
    assert index == size
