"""Trust: whose signatures make a bundle count, and how that may change.

A `Root` is a threshold of distinct Ed25519 keys. A key is identified by what it
is (the SHA-256 of its canonical form), never by what a file calls it, so a key
listed twice or a signature repeated under another id counts once or not at all.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.errors import PolicyError, meaning, wrong_in
from edge.policy.signed import strict_json
from edge.reasons import Reason

if TYPE_CHECKING:  # it brings every way there is to sign: loaded where there is an envelope
    from securesystemslib.dsse import Envelope

PAYLOAD_TYPE = "application/vnd.framegate.policy+json"
MAX_BYTES = 256 * 1024  # of an envelope; the shipped packs make about 44,000
MIN_THRESHOLD = 2
MAX_KEYS = 16
_ENVELOPE_KEYS = {"payload", "payloadType", "signatures"}


class BundleError(PolicyError):
    """A bundle is refused, with the code an operator can look up."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason.value}: {message}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Root:
    """The keys that count, by name, and how many of them must sign."""

    version: int  # rises by one at each change of keys
    threshold: int
    keys: Mapping[str, bytes]  # name to public key, 32 bytes

    def data(self) -> dict[str, Any]:
        keys = {name: public.hex() for name, public in self.keys.items()}
        return {"version": self.version, "threshold": self.threshold, "keys": keys}

    @classmethod
    def parse(cls, found: object) -> Root:
        """The root in a JSON value.

        Raises:
            BundleError: not a root, or its keys cannot reach its threshold.
        """
        if not isinstance(found, dict) or set(found) != {"version", "threshold", "keys"}:
            raise malformed("root: expected exactly the keys version, threshold, keys")
        version, threshold, keys = found["version"], found["threshold"], found["keys"]
        if type(version) is not int or version < 1:
            raise malformed(f"root: expected a version of 1 or more, got {version!r}")
        if not isinstance(keys, dict) or len(keys) > MAX_KEYS:
            raise malformed(f"root: expected at most {MAX_KEYS} keys by name")
        public = {name: _public(name, text) for name, text in keys.items()}
        if len(set(public.values())) != len(public):
            raise too_few("root: one key is listed twice")
        if type(threshold) is not int or not MIN_THRESHOLD <= threshold <= len(public):
            raise too_few(
                f"root: expected a threshold of {MIN_THRESHOLD} to {len(public)} of the "
                f"{len(public)} keys, got {threshold!r}"
            )
        return cls(version, threshold, public)


def malformed(message: str) -> BundleError:
    return BundleError(Reason.POLICY_MALFORMED, message)


def too_few(message: str) -> BundleError:
    """Of the keys that must sign."""
    return BundleError(Reason.POLICY_THRESHOLD, message)


def _public(name: str, text: object) -> bytes:
    try:
        key = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        key = b""
    if len(key) != 32:
        raise malformed(f"root: key {name[:40]!r} is not 64 hexadecimal digits")
    return key


def seal(payload: bytes) -> bytes:
    """An unsigned envelope around `payload`."""
    from securesystemslib.dsse import Envelope

    return _dump(Envelope(payload, PAYLOAD_TYPE, {}))


def sign(envelope: bytes, key: Ed25519PrivateKey) -> bytes:
    """The envelope with one more signature; signing again changes nothing."""
    from securesystemslib.signer import CryptoSigner

    opened = _read(envelope)
    opened.sign(CryptoSigner(key))
    return _dump(opened)


def signers(envelope: bytes, root: Root) -> tuple[str, ...]:
    """Names of the root's keys whose signature holds, whatever the threshold."""
    opened = _read(envelope)
    return tuple(name for name, public in root.keys.items() if _signed_by(opened, public))


def open_envelope(envelope: bytes, root: Root) -> bytes:
    """The payload, if enough of the root's keys signed it; nothing of it is parsed.

    Raises:
        BundleError: not an envelope, unsigned, or signed by too few.
    """
    opened = _read(envelope)
    good = {public for public in root.keys.values() if _signed_by(opened, public)}
    if not good:
        raise BundleError(Reason.POLICY_UNSIGNED, "no trusted key signed it")
    if len(good) < root.threshold:
        raise too_few(f"{len(good)} of {root.threshold} needed keys signed it")
    return bytes(opened.payload)


def peek(envelope: bytes) -> bytes:
    """The payload, without a check of its signatures: for display, never for decisions."""
    return bytes(_read(envelope).payload)


def _signed_by(opened: Envelope, public: bytes) -> bool:
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import SSlibKey

    key = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(public))
    try:
        opened.verify([key], 1)
    except VerificationError:
        return False
    return True


def _read(envelope: bytes) -> Envelope:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import Signature

    with wrong_in("not an envelope", ValueError, as_=malformed):
        found = strict_json.load(envelope, max_bytes=MAX_BYTES, max_depth=4)
    if not isinstance(found, dict):
        raise malformed("not an envelope: expected a mapping")
    if "signatures" not in found:
        raise BundleError(Reason.POLICY_UNSIGNED, "it carries no signatures")
    if set(found) != _ENVELOPE_KEYS or not isinstance(found["signatures"], list):
        raise malformed("not an envelope: expected exactly payload, payloadType, signatures")
    if found["payloadType"] != PAYLOAD_TYPE:
        raise malformed(f"expected payload type {PAYLOAD_TYPE}")
    signatures: dict[str, Signature] = {}
    for item in found["signatures"]:
        if not isinstance(item, dict) or set(item) != {"keyid", "sig"}:
            raise malformed("expected exactly keyid and sig in each signature")
        if not isinstance(item["keyid"], str):
            raise malformed("expected text as keyid")
        if item["keyid"] in signatures:
            raise BundleError(Reason.POLICY_THRESHOLD, "one key id signed twice")
        signatures[item["keyid"]] = Signature(item["keyid"], _decoded(item["sig"]).hex())
    return Envelope(_decoded(found["payload"]), PAYLOAD_TYPE, signatures)


def _decoded(text: object) -> bytes:
    with meaning("payload or signature is not base64", ValueError, as_=malformed):
        return base64.b64decode(text if isinstance(text, str) else "?", validate=True)


def _dump(envelope: Envelope) -> bytes:
    return rfc8785.dumps(envelope.to_dict()) + b"\n"
