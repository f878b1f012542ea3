"""Signed notes (C2SP signed-note): a short text with Ed25519 signatures under it.

A note is text ending in a newline, an empty line, and one line a signature:
an em dash, the key's name, and base64 of the key id (4 bytes) and signature.
Pure: bytes and keys in, bytes out. Keys travel as one line of text, in the
form that Go's `note` package and other transparency-log tools read. The library
for keys is large, and is loaded where one is used: the status process reads notes
without any.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from edge.errors import AuditError, meaning

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_ED25519 = b"\x01"  # algorithm byte of the note format
DASH = "— "  # em dash and space open a signature line
_NAME = re.compile(r"[^\s+]{1,128}")
_MAX_BYTES = 64 * 1024


class NoteError(AuditError):
    """The bytes are not a signed note, or no trusted key signed it."""


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise NoteError(f"key name {name[:40]!r} is empty, too long, or holds a space or plus sign")
    return name


def decoded(text: str, what: str) -> bytes:
    """The bytes that base64 `text` spells, in the one spelling that they have.

    Raises:
        NoteError: not base64, or one of the other spellings that decoders take, such
            as one with stray bits before the padding.
    """
    with meaning(f"{what} is not base64", ValueError, as_=NoteError):
        found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise NoteError(f"{what} is not in the one spelling that base64 has for it")
    return found


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A named public key of some kind; two keys of one name differ in their id."""

    kind: ClassVar[bytes]  # the note format's byte for what it signs, and how
    name: str
    public: bytes  # 32 bytes

    @property
    def key_id(self) -> bytes:
        named = self.name.encode() + b"\n" + self.kind + self.public
        return hashlib.sha256(named).digest()[:4]

    @property
    def text(self) -> str:
        """The key as one line (vkey): name, id and key."""
        key = base64.b64encode(self.kind + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


@dataclass(frozen=True, slots=True)
class Verifier(NamedKey):
    """A key that signs notes, such as a log's."""

    kind = _ED25519

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """The key in `text`.

        Raises:
            NoteError: not a line that `text` would give.
        """
        parts = text.strip().split("+", 2)
        if len(parts) != 3:
            raise NoteError("expected a public key as NAME+ID+KEY on one line")
        raw = decoded(parts[2], "public key")
        if len(raw) != 33 or raw[:1] != _ED25519:
            raise NoteError("expected an Ed25519 public key of 32 bytes")
        found = cls(_checked_name(parts[0]), raw[1:])
        if found.key_id.hex() != parts[1]:
            raise NoteError(f"id of public key {found.name} does not match its name and key")
        return found

    def valid(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) by this key stands under `text`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except InvalidSignature:
            return False
        return True


class SigningKey(Protocol):
    """An Ed25519 private key: in memory, or one that stays in a hardware token."""

    def sign(self, data: bytes, /) -> bytes:
        """The 64-byte signature; `OSError` if a token does not give it."""

    def public_key(self) -> Ed25519PublicKey: ...


@dataclass(frozen=True, slots=True)
class Signer:
    """A named private key."""

    name: str
    key: SigningKey

    @classmethod
    def generate(cls, name: str) -> Signer:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(_checked_name(name), Ed25519PrivateKey.generate())

    @classmethod
    def held(cls, name: str, key: SigningKey) -> Signer:
        """A key that somebody else holds, such as a hardware token."""
        return cls(_checked_name(name), key)

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self.key.public_key().public_bytes_raw())

    @property
    def secret_text(self) -> str:
        """The private key as one line; its holder can sign.

        Raises:
            NoteError: it is in a token, which does not give it.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if not isinstance(self.key, Ed25519PrivateKey):
            raise NoteError(f"the private key {self.name} stays in its token")
        key = base64.b64encode(_ED25519 + self.key.private_bytes_raw()).decode()
        return f"PRIVATE+KEY+{self.name}+{self.verifier.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, secret_text: str) -> Signer:
        """The key in `secret_text`; errors never repeat any part of it.

        Raises:
            NoteError: not a line that `secret_text` would give.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        parts = secret_text.strip().split("+", 4)
        if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
            raise NoteError("expected a private key as PRIVATE+KEY+NAME+ID+KEY on one line")
        raw = decoded(parts[4], "private key")
        if len(raw) != 33 or raw[:1] != _ED25519:
            raise NoteError("expected an Ed25519 private key of 32 bytes")
        found = cls(_checked_name(parts[2]), Ed25519PrivateKey.from_private_bytes(raw[1:]))
        if found.verifier.key_id.hex() != parts[3]:
            raise NoteError("id of the private key does not match its name and key")
        return found

    def sign(self, text: bytes) -> bytes:
        """The bare 64-byte signature of `text`."""
        return self.key.sign(text)


def signature_line(key: NamedKey, signature: bytes) -> bytes:
    """The line that carries `signature`."""
    body = base64.b64encode(key.key_id + signature).decode()
    return f"{DASH}{key.name} {body}\n".encode()


def sign_note(text: bytes, signers: Iterable[Signer]) -> bytes:
    """`text`, which must end in a newline, with a signature by each signer."""
    if not text.endswith(b"\n"):
        raise NoteError("a note's text must end in a newline")
    lines = [signature_line(s.verifier, s.sign(text)) for s in signers]
    return text + b"\n" + b"".join(lines)


def read_note(
    note: bytes, trusted: Iterable[Verifier], *, closed: bool = False
) -> tuple[bytes, tuple[Verifier, ...]]:
    """The text of `note`, and which of the trusted keys signed it (at least one).

    Signatures by unknown keys are passed over, as the format asks; a bad
    signature that claims to be by a trusted key spoils the note, and so does a
    second one by the same key.

    Args:
        closed: no signatures but those of trusted keys, in the order of `trusted`.

    Raises:
        NoteError: not a note, a bad signature, or none by a trusted key.
    """
    if len(note) > _MAX_BYTES:
        raise NoteError(f"expected a signed note of at most {_MAX_BYTES} bytes, got {len(note)}")
    split = note.rfind(b"\n\n")
    if split < 0 or not note.endswith(b"\n"):
        raise NoteError("expected a signed note: text, an empty line, signature lines")
    text = note[: split + 1]
    with meaning("a signed note must be UTF-8", UnicodeDecodeError, as_=NoteError):
        text.decode()
        lines = note[split + 2 :].decode().split("\n")[:-1]
    keys = {(v.name, v.key_id): v for v in trusted}
    signed: list[Verifier] = []
    strange = False
    for line in lines:
        name, _, body = line.removeprefix(DASH).partition(" ")
        raw = decoded(body, "signature")
        if not line.startswith(DASH) or not _NAME.fullmatch(name) or len(raw) < 5:
            raise NoteError("malformed signature line in a signed note")
        key = keys.get((name, raw[:4]))
        if key is None:
            strange = True
            continue
        if len(raw) != 68 or not key.valid(text, raw[4:]):
            raise NoteError(f"the signature by {key.name} does not match the text")
        if key in signed:
            raise NoteError(f"{key.name} signed twice with one key")
        signed.append(key)
    if not signed:
        wanted = ", ".join(f"{v.name}+{v.key_id.hex()}" for v in keys.values()) or "any key"
        raise NoteError(f"expected a signature by {wanted}, found none")
    if closed and strange:
        raise NoteError("a signature is by a key that is not expected in this note")
    if closed and signed != [key for key in keys.values() if key in signed]:
        raise NoteError("the signatures of the note are not in their order")
    return text, tuple(signed)


def first_signature_alone(note: str) -> str:
    """`note` with its first signature alone: in a log's checkpoint, the device's."""
    text, gap, signatures = note.rpartition("\n\n")
    return text + gap + "".join(signatures.splitlines(keepends=True)[:1])
