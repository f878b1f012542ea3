"""Cosignatures (C2SP tlog-cosignature, Ed25519): a witness saw this tree, and none that differs.

A cosignature is one more signature line under a checkpoint. It signs a time as
well, and its key has an id of its own kind (type 4), so that it can never be
taken for the log's. Pure: the time comes in.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.audit.note import DASH, NamedKey, NoteError, Signer, decoded, signature_line
from edge.errors import meaning

_TYPE = b"\x04"
_BYTES = 4 + 8 + 64  # key id, POSIX seconds, signature
MAX_TIME_S = 253_402_300_799  # the last second of the year 9999; the format allows 2^63 - 1


@dataclass(frozen=True, slots=True)
class Witness(NamedKey):
    """A witness's name and public key."""

    kind = _TYPE

    @classmethod
    def parse(cls, text: str) -> Witness:
        """The key in `text`.

        Raises:
            NoteError: not a line that `text` would give.
        """
        name, _, rest = text.strip().partition("+")
        raw = decoded(rest.partition("+")[2], "the witness's key")
        if len(raw) != 33 or raw[:1] != _TYPE:
            raise NoteError("expected a witness's key, NAME+ID+KEY of type 4 (Ed25519 cosignature)")
        found = cls(name, raw[1:])
        if not name or " " in name or found.text != text.strip():
            raise NoteError(f"the id of the witness's key {name[:40]} does not match it")
        return found


@dataclass(frozen=True, slots=True)
class Cosignature:
    """One that holds."""

    witness: Witness
    time_s: int  # POSIX, by the witness's clock
    line: bytes  # as it stands under a checkpoint


def witness_of(signer: Signer) -> Witness:
    """The public side of a witness's own key."""
    return Witness(signer.name, signer.key.public_key().public_bytes_raw())


def cosign(text: bytes, signer: Signer, time_s: int) -> bytes:
    """The signature line under the checkpoint whose text is `text`."""
    signature = signer.sign(_signed(text, time_s))
    return signature_line(witness_of(signer), time_s.to_bytes(8, "big") + signature)


def read_cosignature(line: bytes, text: bytes, witness: Witness) -> Cosignature | None:
    """The cosignature in a signature line; None if it is not by this witness's key.

    Raises:
        NoteError: it says it is, and does not hold.
    """
    with meaning("a signature line must be UTF-8", UnicodeDecodeError, as_=NoteError):
        name, _, body = line.decode().removesuffix("\n").removeprefix(DASH).partition(" ")
    raw = decoded(body, "a cosignature")
    if name != witness.name or raw[:4] != witness.key_id:
        return None
    if len(raw) != _BYTES:
        raise NoteError(f"a cosignature by {name} has {len(raw)} bytes, expected {_BYTES}")
    time_s = int.from_bytes(raw[4:12], "big")
    if time_s > MAX_TIME_S:
        raise NoteError(f"a cosignature by {name} has no time")
    with meaning(
        f"the cosignature by {name} does not match the checkpoint", InvalidSignature, as_=NoteError
    ):
        key = Ed25519PublicKey.from_public_bytes(witness.public)
        key.verify(raw[12:], _signed(text, time_s))
    return Cosignature(witness, time_s, line)


def cosignatures(note: bytes, witnesses: tuple[Witness, ...]) -> tuple[Cosignature, ...]:
    """Those under `note` that are by one of these witnesses, the newest of each.

    Raises:
        NoteError: not a note, or one of them does not hold.
    """
    text, gap, lines = note.rpartition(b"\n\n")
    if not gap:
        raise NoteError("expected a signed note: text, an empty line, signature lines")
    newest: dict[Witness, Cosignature] = {}
    for line in lines.splitlines(keepends=True):
        for witness in witnesses:
            found = read_cosignature(line, text + b"\n", witness)
            if found and (witness not in newest or found.time_s > newest[witness].time_s):
                newest[witness] = found
    return tuple(newest.values())


def _signed(text: bytes, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n".encode() + text
