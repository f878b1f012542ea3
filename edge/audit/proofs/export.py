"""Copying a log to hand it on: what verifies, and nothing else.

The copy holds certificates, journals, the tiles that the checkpoint covers, the
checkpoint, receipts for pruned entries and the public key, each file by its name;
every byte of it is checked.
The segment key, the lock, the reserve, torn tails and strays stay on the device.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge.audit.files import Files
from edge.audit.journal import SEGMENTS, read_certificates, read_journal
from edge.audit.note import Verifier
from edge.audit.proofs.merkle import TILE_WIDTH, tile_path
from edge.audit.proofs.verify import Verified, verify_log
from edge.audit.pruning.receipt import RECEIPTS, newest_receipt
from edge.audit.publish import CHECKPOINT
from edge.audit.segment import certificate_name, journal_name, signed_head
from edge.audit.store import PUBLIC_KEY
from edge.errors import AuditError, UsageError, wrong_in
from edge.files import move_over, write_new


def export_log(directory: Path, out: Path, device: Verifier) -> Verified:
    """Copy the log to `out`, which must not exist, and verify the copy.

    Raises:
        AuditError: the copy does not verify; nothing is left at `out`.
        UsageError: `out` exists or cannot be written.
    """
    if out.exists():
        raise UsageError(f"{out} exists already; name a new directory")
    with wrong_in(f"cannot export to {out}", OSError):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as staging:
            copy = Path(staging) / "log"
            for path, data in _parts(directory, device):
                place = copy / path
                place.parent.mkdir(parents=True, exist_ok=True)
                write_new(place, data)
            found = verify_log(copy, device)
            move_over(copy, out)
    return found


def _parts(directory: Path, device: Verifier) -> Iterator[tuple[str, bytes]]:
    """Every file of the log by its name; the tiles first, for they are soon outgrown."""
    files = Files()
    note = files.read(directory / CHECKPOINT)
    receipt = newest_receipt(files, directory, device)
    for path in () if note is None else tile_paths(signed_head(note, device)[0]):
        data = files.read(directory / path)
        if data is None and receipt is not None and path in bundles_below(receipt.entries):
            continue  # every entry of this bundle was pruned
        if data is None:
            raise AuditError(f"{path} of the log is missing")
        yield path, data
    # the newest segment may begin and grow meanwhile: take what is signed by now
    certs = read_certificates(files, directory, device)
    good = read_journal(
        files, directory, device, every_signature=False, on_entry=lambda index, entry, tree: None
    )
    for cert in certs:
        name = f"{SEGMENTS}/{certificate_name(cert.number)}"
        yield name, files.read(directory / name) or b""
        name = f"{SEGMENTS}/{journal_name(cert.number)}"
        journal = files.read(directory / name)
        if journal is None and receipt is not None and cert.number < receipt.segments:
            continue
        whole = cert != good.certificates[-1]
        yield name, (journal or b"")[: None if whole else good.good_bytes]
    for name in files.names(directory / RECEIPTS):
        if name.endswith(".receipt"):
            yield f"{RECEIPTS}/{name}", files.read(directory / RECEIPTS / name) or b""
    if note is not None:
        yield CHECKPOINT, note
    yield PUBLIC_KEY, device.text.encode() + b"\n"


def bundles_below(entries: int) -> list[str]:
    """The bundles that hold nothing but the first `entries` entries."""
    return [tile_path("entries", number, TILE_WIDTH) for number in range(entries // TILE_WIDTH)]


def tile_paths(size: int) -> Iterator[str]:
    """Every tile and bundle of the published tree of `size` entries."""
    for level in ("entries", *range(8)):
        shift = 0 if level == "entries" else 8 * int(level)
        whole, rest = divmod(size >> shift, TILE_WIDTH)
        yield from (tile_path(level, number, TILE_WIDTH) for number in range(whole))
        if rest:
            yield tile_path(level, whole, rest)
