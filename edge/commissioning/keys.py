"""The local key store: who signs records, who signs the log, what the board shares.

One directory holds three secrets, each in its own file that only the owner may
read: `record.key` signs commissioning records, session claims and views;
`log.key` certifies the audit log's segments; `board.key` is the 32-byte root
that the board is provisioned with. `record.pub` and `log.pub` are public. A
device that only verifies needs no more than `record.pub`.

`trust/OFFICE/*.pub` are the public keys of others, each trusted in one role (see
`Office`) and in no other.

A key file may hold a PKCS#11 URI in place of a key: then the key is in a hardware token, and
signs there (`edge.commissioning.token`). So may `record.pub` and `log.pub`.

A signed file `X` has `X.sig` beside it: a signed note that names the kind of
record and the SHA-256 of the file, so a session cannot pass for a device.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from edge.audit.note import NoteError, Signer, Verifier, read_note, sign_note
from edge.commissioning import token
from edge.commissioning.token_uri import TokenUri, is_token
from edge.errors import SignatureError, UsageError, wrong_in
from edge.files import (
    named_by_user,
    read_named,
    read_secret,
    read_trusted,
    sync_directory,
    write_given,
    write_new,
)

DEFAULT_DIR = Path("~/.config/framegate")
BOARD_KEY_BYTES = 32
_MAX_RECORD_BYTES = 16 * 1024 * 1024
_NAMES = ("record.key", "record.pub", "log.key", "log.pub", "board.key")


class RecordKind(Enum):
    """What a signed file is; a signature holds for one kind only."""

    DEVICE = "device"
    SESSION = "session"
    VIEW = "view"


class Office(Enum):
    """What somebody else's signature counts for on this device."""

    OVERRIDE = "override"  # a second signature under a view that looks public
    DESK = "desk"  # receipts of consent
    AUTHORITY = "authority"  # authorisations by courts and authorities


class KeyStore:
    """The keys in one directory, read when they are needed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @classmethod
    def init(
        cls,
        directory: Path | None = None,
        *,
        record_token: TokenUri | None = None,
        log_token: TokenUri | None = None,
    ) -> KeyStore:
        """Make a new set of keys; a directory that already holds one is refused.

        Args:
            record_token: the token in which the record key is made; None: in a file.
            log_token: the same for the log key.

        Raises:
            UsageError: a key is there already, or the directory cannot be written.
        """
        where = store_folder(directory)
        device = f"framegate-{secrets.token_hex(4)}"
        with named_by_user("make keys in", where):
            where.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name in _NAMES:
                if (where / name).exists():
                    raise UsageError(f"{where / name} exists already; keys are never overwritten")
            texts = {"board.key": secrets.token_hex(BOARD_KEY_BYTES)}
            for key, place in (("record", record_token), ("log", log_token)):
                secret, public = _made(f"{device}/{key}", place)
                texts |= {f"{key}.key": secret, f"{key}.pub": public.text}
            with tempfile.TemporaryDirectory(prefix=".new-", dir=where) as staging:
                for name, text in texts.items():
                    write_new(
                        Path(staging) / name,
                        f"{text}\n".encode(),
                        0o600 if name.endswith(".key") else 0o644,
                    )
                for name in _NAMES:
                    os.link(Path(staging) / name, where / name)  # never overwrites
            sync_directory(where)
        return cls(where)

    @classmethod
    def open(cls, directory: Path | None = None) -> KeyStore:
        """The keys in `directory`, which must hold at least `record.pub`."""
        where = store_folder(directory)
        if not _is_file(where / "record.pub"):
            raise UsageError(
                f"no keys in {where} (expected record.pub); make them with `framegate keys init`"
            )
        return cls(where)

    def trust(self, role: Office, public: Path) -> Path:
        """Trust the key in the file `public` in `role`; returns where it is kept.

        Raises:
            UsageError: no public key, or another one is kept under its name.
        """
        key = read_verifier(public)
        place = self.directory / "trust" / role.value / f"{key.name.replace('/', '-')}.pub"
        with named_by_user("write", place):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not place.exists():
                write_new(place, f"{key.text}\n".encode())
        if read_verifier(place).text != key.text:
            raise UsageError(f"{place} holds another key; remove it to stop trusting that one")
        return place

    def trusted(self, role: Office) -> tuple[Verifier, ...]:
        """The keys trusted in `role`, by file name."""
        folder = self.directory / "trust" / role.value
        return tuple(_trusted(path) for path in sorted(folder.glob("*.pub")))

    def check_override(self, view: bytes, path: Path) -> None:
        """See that a second holder signed a view that does not look like a private interior.

        Raises:
            SignatureError: there is no such signature, or none by a trusted key.
        """
        own = self.record_verifier().text
        seconds = [key for key in self.trusted(Office.OVERRIDE) if key.text != own]
        beside = path.with_name(f"{path.name}.override.sig")
        if not beside.is_file():
            raise SignatureError(
                f"{path} was enrolled by an override: expected {beside.name} beside it"
            )
        try:
            text, _ = read_note(_read(beside), seconds)
        except NoteError as err:
            raise SignatureError(
                f"{beside}: {err}; expected a key of {self.directory / 'trust' / 'override'} "
                "(`framegate keys trust override FILE.pub`)"
            ) from err
        if text != _statement(view, RecordKind.VIEW):
            raise SignatureError(f"{path} was changed after {beside.name} was signed")

    def record_signer(self) -> Signer:
        return self._signer("record.key")

    def record_verifier(self) -> Verifier:
        return _trusted(self.directory / "record.pub")

    def log_key(self) -> Signer:
        """The device's log key; its name is the log's origin."""
        return self._signer("log.key")

    def log_verifier(self) -> Verifier:
        return _trusted(self.directory / "log.pub")

    def token_of(self, name: str) -> TokenUri | None:
        """Where the secret of the file `name` is, if that is a token; None for a file or none."""
        if not _is_file(self.directory / name):
            return None
        text = self._secret(name)
        return TokenUri.parse(text) if is_token(text) else None

    def board_key(self) -> bytes:
        """The root key shared with the board, 32 bytes."""
        text = self._secret("board.key")
        try:
            key = bytes.fromhex(text.strip())
        except ValueError:
            key = b""
        if len(key) != BOARD_KEY_BYTES:
            raise UsageError(f"{self.directory / 'board.key'}: expected 64 hexadecimal digits")
        return key

    def sign_file(
        self, path: Path, kind: RecordKind, check: Callable[[bytes, Path], object] | None = None
    ) -> Path:
        """Write the signature of `path` beside it, as PATH.sig, and return where.

        Args:
            check: raises for content that is not to be signed; it sees the bytes that are.
        """
        data = _read(path)
        if check is not None:
            check(data, path)
        note = sign_note(_statement(data, kind), [self.record_signer()])
        target = path.with_name(path.name + ".sig")
        write_given(target, note)
        return target

    def read_verified(self, path: Path, kind: RecordKind) -> bytes:
        """The bytes of `path`, read once and verified against PATH.sig: do not read again.

        Raises:
            SignatureError: unsigned, changed, of another kind, or by another key.
        """
        data = _read(path)
        beside = path.with_name(path.name + ".sig")
        if not _is_file(beside):
            raise SignatureError(f"{path} is unsigned: expected {beside.name} beside it")
        self.verify_bytes(data, _read(beside), kind, str(path))
        return data

    def verify_bytes(self, data: bytes, signature: bytes, kind: RecordKind, name: str) -> None:
        """Check a signature note over bytes in hand; `name` is for the message."""
        trusted = self.record_verifier()
        with wrong_in(name, NoteError, as_=SignatureError):
            text, _ = read_note(signature, [trusted])
        if text == _statement(data, kind):
            return
        for other in RecordKind:
            if text == _statement(data, other):
                raise SignatureError(f"{name} is signed as {other.value}, expected {kind.value}")
        raise SignatureError(f"{name} was changed after {trusted.name} signed it as {kind.value}")

    def _signer(self, name: str) -> Signer:
        text = self._secret(name)
        with wrong_in(self.directory / name, NoteError, UsageError):
            if is_token(text):
                return token.signer(TokenUri.parse(text))
            return Signer.parse(text)

    def _secret(self, name: str) -> str:
        return _read(self.directory / name, read_secret).decode(errors="replace")


def read_verifier(path: Path) -> Verifier:
    """The public key in a file, or in the token that the file names."""
    return _public(path, _read(path))


def store_folder(directory: Path | None) -> Path:
    """Where the keys are: `directory`, or the usual place."""
    return (directory or DEFAULT_DIR).expanduser()


def _statement(data: bytes, kind: RecordKind) -> bytes:
    return f"framegate/{kind.value}/v1\n{hashlib.sha256(data).hexdigest()}\n".encode()


def _is_file(path: Path) -> bool:
    """Whether a file is there; one that may not be looked at is neither there nor absent.

    Raises:
        UsageError: this user may not know.
    """
    with named_by_user("read", path):
        try:
            return stat.S_ISREG(path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False


def _trusted(path: Path) -> Verifier:
    return _public(path, _read(path, read_trusted))


def _public(path: Path, data: bytes) -> Verifier:
    text = data.decode(errors="replace")
    with wrong_in(path, NoteError, UsageError):
        if is_token(text):
            return token.verifier(TokenUri.parse(text))
        return Verifier.parse(text)


def _made(name: str, place: TokenUri | None) -> tuple[str, Verifier]:
    """A new key: what its secret file holds, and its public half."""
    if place is None:
        made = Signer.generate(name)
        return made.secret_text, made.verifier
    uri = place if place.object else place.named(name)
    return uri.text, token.generate(uri).verifier


def _read(path: Path, way: Callable[[Path, int], bytes] = read_named) -> bytes:
    with named_by_user("read", path):
        data = way(path, _MAX_RECORD_BYTES + 1)
    if len(data) > _MAX_RECORD_BYTES:
        raise UsageError(f"{path} is larger than {_MAX_RECORD_BYTES} bytes")
    return data
