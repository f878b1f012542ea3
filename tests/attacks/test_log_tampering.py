"""Someone edits the log: whatever is touched, the first bad entry is named."""

import base64
import hashlib
import json
import shutil

import pytest

from edge.audit.journal import BadEntry
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.proofs.verify import verify_log
from edge.audit.schema import canonical
from edge.audit.segment import Certificate
from edge.errors import AuditError
from tests.support.audit_helpers import deny, end, permit, start, stop

KEY = Signer.generate("framegate-test/log")
RUN = [
    start(0),
    deny(1),
    permit(4),
    end(5),
    deny(7),
    permit(9, 2),
    end(12, 2),
    deny(13),
    deny(15),
    stop(17),
]
PER_SEGMENT = 4


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    where = tmp_path_factory.mktemp("pristine") / "audit"
    log = AuditLog.create_or_open(where, KEY, segment_entries=PER_SEGMENT)
    for entry in RUN:
        log.append(entry, durable=True)
    log.close()
    return where


@pytest.fixture
def where(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "audit")


def first_bad(where):
    with pytest.raises(BadEntry) as found:
        verify_log(where, KEY.verifier)
    return found.value.index


def lines_of(where, index):
    path = where / f"segments/{index // PER_SEGMENT:06d}.log"
    return path, path.read_bytes().splitlines(keepends=True), index % PER_SEGMENT


def rebuild_published(where):
    """An attacker without keys can make new tiles, but not a new checkpoint."""
    shutil.rmtree(where / "tile")
    (where / "checkpoint").unlink()


def test_the_untouched_log_verifies(where):
    assert verify_log(where, KEY.verifier).entries == len(RUN)


@pytest.mark.parametrize("index", range(len(RUN)))
def test_a_deleted_entry_is_named(where, index):
    path, lines, place = lines_of(where, index)
    path.write_bytes(b"".join(lines[:place] + lines[place + 1 :]))

    bad = first_bad(where)

    # the last line of a journal leaves no successor to betray it but the gap itself
    assert bad == index


@pytest.mark.parametrize("index", range(len(RUN)))
def test_a_modified_entry_is_named(where, index):
    path, lines, place = lines_of(where, index)
    entry, _, signature = lines[place].rpartition(b"\t")
    fields = json.loads(entry)
    fields["camera"] = "0" * 32
    lines[place] = canonical(fields) + b"\t" + signature
    path.write_bytes(b"".join(lines))

    assert first_bad(where) == index


@pytest.mark.parametrize("index", range(len(RUN)))
def test_an_entry_signed_with_a_stolen_device_key_alone_is_named(where, index):
    path, lines, place = lines_of(where, index)
    entry, _, _ = lines[place].rpartition(b"\t")
    fields = json.loads(entry) | {"camera": "0" * 32}
    forged = canonical(fields)
    signature = base64.b64encode(KEY.sign(hashlib.sha256(forged).digest()))
    lines[place] = forged + b"\t" + signature + b"\n"
    path.write_bytes(b"".join(lines))

    assert first_bad(where) == index


@pytest.mark.parametrize("index", [i for i in range(len(RUN) - 1) if (i + 1) % PER_SEGMENT])
def test_two_entries_that_changed_places_are_named(where, index):
    path, lines, place = lines_of(where, index)
    lines[place], lines[place + 1] = lines[place + 1], lines[place]
    path.write_bytes(b"".join(lines))

    assert first_bad(where) == index


@pytest.mark.parametrize("index", range(len(RUN)))
def test_an_entry_put_in_twice_is_named(where, index):
    path, lines, place = lines_of(where, index)
    path.write_bytes(b"".join(lines[: place + 1] + lines[place:]))

    assert first_bad(where) == index + 1


@pytest.mark.parametrize("index", range(len(RUN)))
def test_a_changed_entry_in_the_published_files_is_named(where, index):
    bundle = where / f"tile/entries/000.p/{len(RUN)}"
    data = bytearray(bundle.read_bytes())
    at = 0
    for _ in range(index):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
    data[at + 10] ^= 1
    bundle.write_bytes(data)

    assert first_bad(where) == index


@pytest.mark.parametrize("index", range(len(RUN)))
def test_a_changed_hash_in_the_published_files_is_named(where, index):
    tile = where / f"tile/0/000.p/{len(RUN)}"
    data = bytearray(tile.read_bytes())
    data[32 * index] ^= 1
    tile.write_bytes(data)

    assert first_bad(where) == index


def test_a_missing_segment_is_noticed(where):
    (where / "segments/000001.cert").unlink()
    (where / "segments/000001.log").unlink()

    with pytest.raises(AuditError, match="segment 1"):
        verify_log(where, KEY.verifier)


def test_a_missing_checkpoint_is_noticed(where):
    rebuild_published(where)

    with pytest.raises(AuditError, match="no published checkpoint"):
        verify_log(where, KEY.verifier)


def test_a_thief_of_the_device_key_cannot_forge_a_segment_into_the_past(where):
    """The certificate needs the key of the segment before, which is destroyed."""
    device_only = Signer.generate(KEY.name)
    text = (where / "segments/000001.cert").read_bytes()
    before = Certificate.read((where / "segments/000000.cert").read_bytes(), KEY.verifier, None)
    good = Certificate.read(text, KEY.verifier, before.key)
    forged = Certificate(good.origin, 1, good.base_size, good.base_root, device_only.verifier)
    (where / "segments/000001.cert").write_bytes(forged.note([KEY]))

    with pytest.raises(AuditError, match="certificate of segment 1"):
        verify_log(where, KEY.verifier)


@pytest.mark.parametrize(("size", "index"), [(2, 1), (1, 1), (3, 2)])
def test_a_segment_cannot_start_from_another_tree_than_the_one_before(tmp_path, size, index):
    """Even with both keys that certify it: the entries say where it starts."""
    where = tmp_path / "audit"
    log = AuditLog.create_or_open(where, KEY)
    first = Signer.parse((where / "private/000000.key").read_text())
    log.append(start(0), durable=True)
    log.append(deny(1), durable=True)
    log.rotate()
    log.append(stop(2), durable=True)
    log.close()
    path = where / "segments/000001.cert"
    good = Certificate.read(path.read_bytes(), KEY.verifier, first.verifier)
    assert verify_log(where, KEY.verifier).entries == 3

    forged = Certificate(KEY.name, 1, size, bytes(32), good.key)
    path.write_bytes(forged.note([KEY, first]))

    assert first_bad(where) == (2 if size == 2 else index)


@pytest.mark.parametrize("index", range(len(RUN)))
def test_a_changed_log_is_not_continued_by_the_guard(where, index):
    path, lines, place = lines_of(where, index)
    lines[place] = lines[place].replace(b'"camera":"ca', b'"camera":"cb')
    path.write_bytes(b"".join(lines))

    with pytest.raises(AuditError):
        AuditLog.create_or_open(where, KEY)


def test_the_untouched_log_is_continued_by_the_guard(where):
    log = AuditLog.create_or_open(where, KEY)
    log.append(start(30, boot=2), durable=True)
    log.close()

    assert verify_log(where, KEY.verifier).entries == len(RUN) + 1


ROGUE = {
    "not JSON": b"hello",
    "too deep": b"[" * 5000,
    "no object": b"[]",
    "spaced": canonical(deny(3).fields()).replace(b'":', b'": '),
    "a field too many": canonical(deny(3).fields()).replace(b"{", b'{"box":"1",', 1),
    "dated before": canonical(deny(0.5).fields()),
}


@pytest.mark.parametrize("name", ROGUE)
def test_what_a_rogue_guard_signed_outside_the_rules_is_named(tmp_path, name):
    log = AuditLog.create_or_open(tmp_path / "audit", KEY)
    log.append(start(0), durable=True)
    log.append(deny(1), durable=True)
    log._write(ROGUE[name], may_use_reserve=False)  # past every check but the signature
    log.sync()

    assert first_bad(tmp_path / "audit") == 2


def test_the_same_entries_signed_within_the_rules_verify(tmp_path):
    log = AuditLog.create_or_open(tmp_path / "audit", KEY)
    for t_s in (0, 1, 3):
        log.append(deny(t_s), durable=True)

    assert verify_log(tmp_path / "audit", KEY.verifier).entries == 3


@pytest.mark.parametrize("index", range(len(RUN)))
def test_a_line_that_is_none_is_named(where, index):
    path, lines, place = lines_of(where, index)
    lines[place] = lines[place].replace(b"\t", b" ")
    path.write_bytes(b"".join(lines))

    assert first_bad(where) == index


def test_a_certificate_of_another_log_is_not_taken(where, tmp_path):
    """The same device, another log: both certificates are rightly signed."""
    other = AuditLog.create_or_open(tmp_path / "other", KEY, origin="framegate-test/spare")
    other.append(start(0), durable=True)
    other.close()
    shutil.copy(tmp_path / "other/segments/000000.cert", where / "segments/000000.cert")

    with pytest.raises(AuditError, match="segment 0"):
        verify_log(where, KEY.verifier)
    spare = Signer("framegate-test/spare", KEY.key)
    assert verify_log(tmp_path / "other", spare.verifier).entries == 1
