"""No byte of a log or of a proof is unaccounted for, and each has one spelling."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import pytest

from edge.audit.log import AuditLog
from edge.audit.note import NoteError, Signer, decoded, read_note, sign_note
from edge.audit.proofs.export import export_log
from edge.audit.proofs.proof import ProvenSpan, prove_entry, prove_span, verify_proof
from edge.audit.proofs.verify import verify_log
from edge.audit.schema import canonical
from edge.errors import AuditError
from tests.support.audit_helpers import DAY, NOON_NS

KEY = Signer.generate("framegate-test/log")
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@pytest.fixture
def where(tmp_path: Path) -> Path:
    log = AuditLog.create_or_open(tmp_path / "log", KEY, segment_entries=4)
    for entry in DAY:
        log.append(entry, durable=True)
    log.close()
    return tmp_path / "log"


@pytest.fixture
def handed_on(where: Path, tmp_path: Path) -> Path:
    export_log(where, tmp_path / "out", KEY.verifier)
    return tmp_path / "out"


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def good(folder: Path) -> bool:
    try:
        verify_log(folder, KEY.verifier)
    except AuditError:
        return False
    return True


@pytest.mark.slow
def test_a_changed_dropped_or_added_byte_anywhere_in_a_log_is_seen(handed_on: Path) -> None:
    assert good(handed_on)
    for path in files_of(handed_on):
        data = path.read_bytes()
        for at in sorted({*range(0, len(data), 127), *range(max(0, len(data) - 8), len(data))}):
            flipped = bytes([data[at] ^ (1 << at % 8)])
            path.write_bytes(data[:at] + flipped + data[at + 1 :])
            assert not good(handed_on), (path.name, at)
            path.write_bytes(data[:at] + data[at + 1 :])
            last = path.name == "000002.log" and at == len(data) - 1  # a torn last write
            assert last or not good(handed_on), (path.name, at)
        path.write_bytes(data + b"x\n")
        assert not good(handed_on), path.name
        path.write_bytes(data)
    assert good(handed_on)


def test_the_other_spellings_of_a_signature_are_refused(where: Path) -> None:
    path = where / "segments/000000.log"
    data = path.read_bytes()
    at = data.index(b"==\n") - 1
    meant = base64.b64decode(data[at - 85 : at + 3].strip())
    others = [
        c
        for c in ALPHABET
        if c != data[at] and base64.b64decode(data[at - 85 : at] + bytes([c]) + b"==") == meant
    ]

    assert len(others) == 15
    for other in others:
        path.write_bytes(data[:at] + bytes([other]) + data[at + 1 :])
        assert not good(where)
    path.write_bytes(data)
    assert good(where)


@pytest.mark.parametrize("text", ["QQ=", "QR==", "QQ==\n", "QQ", "Q Q=", "QQ==QQ=="])
def test_base64_has_one_spelling(text: str) -> None:
    with pytest.raises(NoteError):
        decoded(text, "it")
    assert decoded("QQ==", "it") == b"A"


@pytest.mark.parametrize(
    "name", ["000009.log", "notes.txt", "000000.log.bak", "0.log", "000004.cert.new.new"]
)
def test_a_stray_file_among_the_segments_is_named(where: Path, name: str) -> None:
    (where / "segments" / name).write_bytes(b"anything")

    with pytest.raises(AuditError, match=name):
        verify_log(where, KEY.verifier)


def test_what_a_crash_leaves_of_the_next_segment_is_no_stray(where: Path, tmp_path: Path) -> None:
    segments = len(list((where / "segments").glob("*.cert")))
    (where / f"segments/{segments:06d}.log").write_bytes(b"")
    (where / f"segments/{segments:06d}.cert.new").write_bytes(b"half a certi")

    assert good(where)
    export_log(where, tmp_path / "out", KEY.verifier)
    assert not list((tmp_path / "out").rglob("*.new"))


def test_export_takes_only_what_verifies(where: Path, tmp_path: Path) -> None:
    last = max((where / "segments").glob("*.log"))
    last.write_bytes(last.read_bytes() + b"half an entry")
    (where / "tile/entries/000.p/9999").write_bytes(b"not of the log")
    (where / "readme").write_bytes(b"not of the log")

    export_log(where, tmp_path / "out", KEY.verifier)

    assert verify_log(tmp_path / "out", KEY.verifier).torn_bytes == 0
    carried = b"".join(path.read_bytes() for path in files_of(tmp_path / "out"))
    assert b"half an entry" not in carried
    assert b"not of the log" not in carried


def test_times_that_run_back_within_a_boot_are_seen(where: Path, tmp_path: Path) -> None:
    """A log that a guard with the keys could have signed, but none that keeps its word."""
    from edge.audit.proofs.verify import _Walk

    walk = _Walk(None)
    early, late = DAY[1].fields(), DAY[2].fields()
    early["mono_ns"], late["mono_ns"] = "2", "1"
    walk.step(0, canonical(early))
    with pytest.raises(AuditError, match="earlier time since boot"):
        walk.step(1, canonical(late))
    late["boot_id"] = "ff" * 16  # another boot begins anew
    walk.step(1, canonical(late))


@pytest.mark.slow
def test_a_changed_byte_of_a_proof_is_seen(where: Path) -> None:
    entries: list[bytes] = []
    verify_log(where, KEY.verifier, on_entry=lambda index, entry, fields: entries.append(entry))
    note = (where / "checkpoint").read_bytes()
    span = prove_span(entries, note, KEY.verifier, NOON_NS + 125 * 10**9, NOON_NS + 360 * 10**9)
    for proof in (span, prove_entry(entries, note, KEY.verifier, 3)):
        shown = verify_proof(proof, KEY.verifier)
        data = proof.encode()
        for at in range(0, len(data), 3):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            try:
                found = verify_proof(changed.decode(errors="replace"), KEY.verifier)
            except AuditError:
                continue
            # only the span that is claimed may differ: then the entries show that one
            assert isinstance(found, ProvenSpan)
            assert isinstance(shown, ProvenSpan)
            assert found.span != shown.span


def test_a_note_signed_twice_or_by_strangers_is_closed_to_them() -> None:
    other = Signer.generate("witness")
    note = sign_note(b"text\n", [KEY, other])

    assert read_note(note, [KEY.verifier])[0] == b"text\n"
    assert len(read_note(note, [KEY.verifier, other.verifier], closed=True)[1]) == 2
    for trusted, bad in (
        ([KEY.verifier], note),
        ([other.verifier, KEY.verifier], note),
        ([KEY.verifier], sign_note(b"text\n", [KEY, KEY])),
    ):
        with pytest.raises(NoteError):
            read_note(bad, trusted, closed=True)


def test_a_copy_of_an_export_is_an_export(handed_on: Path, tmp_path: Path) -> None:
    shutil.copytree(handed_on, tmp_path / "again")

    assert good(tmp_path / "again")
