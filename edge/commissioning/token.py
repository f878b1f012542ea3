"""A key in a hardware token (PKCS#11): it signs there and never leaves it.

Ed25519 alone (CKM_EDDSA), for that is what signed notes and records are signed with. The
package `python-pkcs11` is needed only where a key file names a token (`framegate[pkcs11]`).
A token that fails later raises `TokenError`, which is an `OSError` like that of storage that fails:
the log then permits nothing until the token signs again.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.audit.note import NoteError, Signer, Verifier
from edge.commissioning.token_uri import TokenUri
from edge.errors import GuardError, UsageError, meaning, wrong_in
from edge.files import named_by_user, read_secret

_ED25519 = bytes.fromhex("06032b6570")  # DER of the curve's object identifier (RFC 8410)
_OCTETS = b"\x04\x20"  # DER header of 32 bytes, which some tokens put before the point
_PIN_BYTES = 256


class TokenError(OSError, GuardError):
    """The token did not sign: to the log like a disk that fails, to a command bad input."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EIO, why)

    def __str__(self) -> str:
        return str(self.strerror)


class TokenKey:
    """One private key in a token. Sessions are opened when needed, and again after a failure."""

    def __init__(self, uri: TokenUri) -> None:
        """Log in and find the key.

        Raises:
            UsageError: no package, library, token, PIN or key; the line says which.
        """
        self.uri = uri
        self._key: Any = None
        self._pid = 0  # a library's state does not survive a fork
        self._public = public_key(uri)
        self._open()

    def public_key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self._public)

    def sign(self, data: bytes) -> bytes:
        """The 64-byte signature, checked against the public key; one second try, after a new login.

        Raises:
            TokenError: the token did not sign.
        """
        try:
            return self._signed(data)
        except TokenError:
            self._key = None
        return self._signed(data)

    def _signed(self, data: bytes) -> bytes:
        from pkcs11 import Mechanism, PKCS11Error

        try:
            if self._key is None or self._pid != os.getpid():
                self._open()
            signature = bytes(self._key.sign(data, mechanism=Mechanism.EDDSA))
            self.public_key().verify(signature, data)
        except (PKCS11Error, UsageError) as err:
            raise TokenError(f"token {self.uri.token} did not sign: {_why(err)}") from err
        except InvalidSignature as err:
            raise TokenError(f"token {self.uri.token} gave a wrong signature") from err
        return signature

    def _open(self) -> None:
        again = self._pid not in (0, os.getpid()) or (self._pid != 0 and self._key is None)
        session = _session(self.uri, _pin(self.uri), again=again)
        self._key = _object(session, self.uri, private=True)
        self._pid = os.getpid()


def signer(uri: TokenUri) -> Signer:
    """The private key that `uri` names.

    Raises:
        UsageError: as `TokenKey`.
    """
    with wrong_in(f"key in token {uri.token}", NoteError):
        return Signer.held(uri.object, TokenKey(uri))


def verifier(uri: TokenUri) -> Verifier:
    """The public key that `uri` names, read from the token.

    Raises:
        UsageError: as `TokenKey`.
    """
    return Verifier(uri.object, public_key(uri))


def generate(uri: TokenUri) -> Signer:
    """Make an Ed25519 key in the token that cannot be read out of it.

    Raises:
        UsageError: a key of that name is there already, or the token makes none.
    """
    import pkcs11
    from pkcs11 import Attribute, KeyType, Mechanism, PKCS11Error

    session = _session(uri, _pin(uri), write=True)
    wanted = {Attribute.LABEL: uri.object}
    try:
        if any(True for _ in session.get_objects(wanted)):
            raise UsageError(f"token {uri.token} has a {uri.object} already; it is not overwritten")
        curve = session.create_domain_parameters(
            KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _ED25519}, local=True
        )
        curve.generate_keypair(
            mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
            mechanism_param=None,
            store=True,
            label=uri.object,
            capabilities=pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
            private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            public_template={Attribute.PRIVATE: False},
        )
    except PKCS11Error as err:
        raise UsageError(f"token {uri.token} makes no Ed25519 key: {_why(err)}") from err
    return signer(uri)


def public_key(uri: TokenUri) -> bytes:
    """The 32 bytes of the public key; asks for a PIN only where the URI names a PIN file.

    Raises:
        UsageError: as `TokenKey`, or it is no Ed25519 key.
    """
    from_token = _pin(uri) if uri.pin_file is not None else None
    session = _session(uri, from_token)
    from pkcs11 import Attribute, PKCS11Error

    with meaning(f"token {uri.token}: {uri.object} is no Ed25519 key", PKCS11Error):
        point = bytes(_object(session, uri, private=False)[Attribute.EC_POINT])
    raw = point.removeprefix(_OCTETS) if len(point) == 34 else point
    if len(raw) != 32:
        raise UsageError(f"token {uri.token}: {uri.object} is no Ed25519 key")
    return raw


def _session(uri: TokenUri, pin: str | None, *, write: bool = False, again: bool = False) -> Any:
    with meaning("a key file names a PKCS#11 token: pip install 'framegate[pkcs11]'", ImportError):
        import pkcs11
        from pkcs11 import exceptions

    if not uri.object:
        raise UsageError(f"PKCS#11 URI: expected object=KEY, the key in token {uri.token}")
    if not uri.module.is_file():
        raise UsageError(f"PKCS#11 library {uri.module}: no such file")
    try:
        library = pkcs11.lib(str(uri.module))
        if again:
            library.reinitialize()
        token = library.get_token(token_label=uri.token)
        return token.open(rw=write, user_pin=pin)
    except exceptions.UserAlreadyLoggedIn:
        return token.open(rw=write)
    except (exceptions.NoSuchToken, exceptions.MultipleTokensReturned) as err:
        raise UsageError(
            f"expected one token named {uri.token} behind {uri.module}, found "
            f"{'none' if isinstance(err, exceptions.NoSuchToken) else 'several'}"
        ) from err
    except (exceptions.PinIncorrect, exceptions.PinInvalid, exceptions.PinLenRange) as err:
        raise UsageError(f"token {uri.token}: the PIN in {uri.pin_file} is wrong") from err
    except exceptions.PinLocked as err:
        raise UsageError(f"token {uri.token}: too many wrong PINs locked it") from err
    except (exceptions.PKCS11Error, RuntimeError) as err:
        raise UsageError(f"token {uri.token} behind {uri.module}: {_why(err)}") from err


def _object(session: Any, uri: TokenUri, *, private: bool) -> Any:
    from pkcs11 import Attribute, KeyType, ObjectClass, PKCS11Error

    kind = ObjectClass.PRIVATE_KEY if private else ObjectClass.PUBLIC_KEY
    asked = {
        Attribute.CLASS: kind,
        Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
        Attribute.LABEL: uri.object,
    }
    try:
        found = list(session.get_objects(asked))
    except PKCS11Error as err:
        raise UsageError(f"token {uri.token}: {_why(err)}") from err
    if len(found) != 1:
        raise UsageError(
            f"token {uri.token}: expected one {'private' if private else 'public'} Ed25519 key "
            f"{uri.object}, found {len(found) or 'none'}"
        )
    return found[0]


def _pin(uri: TokenUri) -> str:
    if uri.pin_file is None:
        raise UsageError(
            f"key {uri.object} in token {uri.token}: expected pin-source=file:/PIN to sign with it"
        )
    with named_by_user("read", uri.pin_file):
        return read_secret(uri.pin_file, _PIN_BYTES).decode(errors="replace").strip("\r\n")


def _why(err: Exception) -> str:
    """The library's own name for what failed; most of its errors have no text."""
    return str(err) or type(err).__name__
