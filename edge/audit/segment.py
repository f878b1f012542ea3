"""The journal's segments: names, certificates and lines, as bytes.

The log is one tree; its entries are journalled in segments, each signed with
its own key. A segment's certificate is a signed note by the device key and,
after the first, by the key of the segment before, which is then destroyed:
whoever takes the device later cannot rewrite what earlier keys signed.

A line is one entry in canonical JSON, a tab, and the base64 signature of the
checkpoint that the tree has with that entry in it. Pure: no files.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from edge.audit.note import NoteError, Signer, Verifier, decoded, read_note, sign_note

_TITLE = "framegate/segment/v1"
SIGNATURE_CHARS = 88  # base64 of 64 bytes


def is_count(text: str) -> bool:
    """Whether `text` is a whole number of a size that a log can have."""
    return text.isascii() and text.isdigit() and len(text) <= 15


def checkpoint_text(origin: str, size: int, root: bytes) -> bytes:
    """The text of a checkpoint (C2SP tlog-checkpoint)."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()


def parse_checkpoint(text: bytes, origin: str) -> tuple[int, bytes]:
    """Size and root of a checkpoint's text.

    Raises:
        NoteError: not a checkpoint of this log.
    """
    lines = text.decode(errors="replace").split("\n")
    if len(lines) < 4 or lines[0] != origin or not is_count(lines[1]):
        raise NoteError(f"expected a checkpoint of {origin}: origin, size and root, a line each")
    root = decoded(lines[2], "the root of a checkpoint")
    if len(root) != 32 or checkpoint_text(origin, int(lines[1]), root) != text:
        raise NoteError("the checkpoint is not in its canonical form")
    return int(lines[1]), root


def signed_head(note: bytes, key: Verifier) -> tuple[int, bytes]:
    """Size and root of a checkpoint that the log's key signed.

    Raises:
        NoteError: not a checkpoint of this log, or not by this key.
    """
    text, _ = read_note(note, [key])
    return parse_checkpoint(text, key.name)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Who may sign a segment's lines, and the tree it continues."""

    origin: str
    number: int
    base_size: int  # entries before this segment
    base_root: bytes
    key: Verifier

    def note(self, signers: list[Signer]) -> bytes:
        return sign_note(self._text(), signers)

    def _text(self) -> bytes:
        root = base64.b64encode(self.base_root).decode()
        return (
            f"{_TITLE}\n{self.origin}\n{self.number}\n{self.base_size}\n{root}\n{self.key.text}\n"
        ).encode()

    @classmethod
    def read(cls, note: bytes, device: Verifier, before: Verifier | None) -> Certificate:
        """The certificate in `note`, signed by the device and by the key before.

        Raises:
            NoteError: malformed, or a signature is bad or missing.
        """
        needed = [device] if before is None else [device, before]
        text, signed = read_note(note, needed, closed=True)
        if len(signed) != len(needed):
            raise NoteError(
                "a segment's certificate lacks the device's or the last key's signature"
            )
        lines = text.decode().split("\n")
        if len(lines) != 7 or lines[0] != _TITLE or not all(map(is_count, lines[2:4])):
            raise NoteError("expected the certificate of a log segment")
        root = decoded(lines[4], "the root in a segment's certificate")
        found = cls(lines[1], int(lines[2]), int(lines[3]), root, Verifier.parse(lines[5]))
        if found._text() != text:
            raise NoteError("the certificate is not in its canonical form")
        return found


def line(entry: bytes, signature: bytes) -> bytes:
    """One journal line."""
    return entry + b"\t" + base64.b64encode(signature) + b"\n"


def split_line(raw: bytes) -> tuple[bytes, bytes] | None:
    """Entry and signature of a line without its newline; None if it is not one."""
    entry, tab, text = raw.rpartition(b"\t")
    if not tab or not entry or len(text) != SIGNATURE_CHARS:
        return None
    try:
        signature = decoded(text.decode(errors="replace"), "the signature")
    except NoteError:
        return None
    return (entry, signature) if len(signature) == 64 else None


def journal_name(number: int) -> str:
    return f"{number:06d}.log"


def certificate_name(number: int) -> str:
    return f"{number:06d}.cert"
