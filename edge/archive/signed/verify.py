"""Whether a camera signed a recording (ONVIF Media Signing), as far as it can be verified here.

Information for a person: nothing of the gate reads it. H.264 byte streams with one signature
for each group of pictures, SHA-256 and ECDSA. The format is that of the ONVIF Media Signing
specification and of its public reference implementation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from edge.archive.signed import nal
from edge.errors import RecordError
from edge.files import open_named

MOST_BYTES = 1 << 28
_SIZE = 32  # of a hash, bytes
_MOST_CERTIFICATES = 8
_SHA256_OID = bytes.fromhex("608648016503040201")  # with or without tag and length before it
_UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)


class Signed(Enum):
    """What was found."""

    VALID = "signed and valid"
    UNTRUSTED = "signed and valid, but the key is not trusted"
    INVALID = "signed and NOT valid"
    NONE = "not signed"
    UNKNOWN = "signature not checked"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, and why or how much of it."""

    signed: Signed
    why: str = ""

    def __str__(self) -> str:
        return f"{self.signed.value}: {self.why}" if self.why else self.signed.value


class _Wrong(Exception):
    """Why a signature does not hold."""


class _Uncovered(Exception):
    """What of the specification is not checked here."""


def verify(data: bytes, roots: Sequence[x509.Certificate] = ()) -> Verdict:
    """The verdict on a whole file; `roots` are the certificates that are trusted."""
    if not nal.is_stream(data):
        return Verdict(Signed.UNKNOWN, "only H.264 byte streams are checked")
    if len(data) > MOST_BYTES:
        return Verdict(Signed.UNKNOWN, f"larger than {MOST_BYTES >> 20} MiB")
    try:
        groups, seis = _parts(nal.units(data))
        if not seis:
            return Verdict(Signed.NONE)
        chain = _chain(seis[0])
        _groups_hold(groups, [one for one in seis if not one.certificates_only], chain[0])
    except _Wrong as err:
        return Verdict(Signed.INVALID, str(err))
    except _Uncovered as err:
        return Verdict(Signed.UNKNOWN, str(err))
    held = sum(not one.certificates_only for one in seis)
    trusted = _trusted(chain, roots)
    part = f"{held} of {len(groups)} groups of pictures carry a signature"
    return Verdict(Signed.VALID if trusted else Signed.UNTRUSTED, part)


def signature_of(clip: Path, signers: bytes) -> Verdict:
    """The verdict on a file; `signers` are trusted certificates in PEM, or nothing."""
    try:
        with open_named(clip) as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as err:
        return Verdict(Signed.UNKNOWN, f"it cannot be read: {err.strerror or err}")
    return verify(data, roots_in(signers) if signers else ())


def roots_in(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM file.

    Raises:
        RecordError: it holds none.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except _UNREADABLE as err:
        raise RecordError("expected certificates in PEM") from err


def _parts(units: Iterable[bytes]) -> tuple[list[list[bytes]], list[nal.SigningSei]]:
    """The slices of each group of pictures, and the signer's SEIs."""
    groups: list[list[bytes]] = []
    seis: list[nal.SigningSei] = []
    early = False
    for unit in units:
        try:
            sei = nal.signing_sei(unit)
        except ValueError as err:
            raise _Wrong(f"a signature unit is damaged: {err}") from err
        if sei is not None:
            seis.append(sei)
        elif nal.opens_group(unit):
            groups.append([unit])
        elif nal.is_picture(unit) and groups:
            groups[-1].append(unit)
        else:
            early |= nal.is_picture(unit)
            if unit[0] & 0x1F in (2, 3, 4, 20):
                raise _Uncovered("it has slices of a kind that is not signed")
    if seis and early:
        raise _Wrong("there are pictures before the first whole group")
    return groups, seis


def _groups_hold(
    groups: list[list[bytes]], seis: list[nal.SigningSei], leaf: x509.Certificate
) -> None:
    anchor, counter = b"", -1
    if not seis or not len(groups) - 1 <= len(seis) <= len(groups):
        raise _Wrong(f"{len(groups)} groups of pictures, {len(seis)} signatures")
    for number, (group, sei) in enumerate(zip(groups, seis, strict=False), 1):
        _signature_holds(sei, leaf)
        general = sei.tags.get(nal.GENERAL, b"")
        ahead = {1: 19, 2: 27}.get(general[0] if general else 0, 0)  # bytes before the hashes
        if not ahead or len(general) != ahead + 2 * _SIZE:
            raise _Uncovered("general information of an unknown version or hash")
        if general[4]:
            raise _Uncovered("signatures within a group of pictures")
        count = int.from_bytes(general[ahead - 2 : ahead], "big")
        found = _hashes(group)
        if number > 1 and int.from_bytes(general[ahead - 6 : ahead - 2], "big") != counter + 1:
            raise _Wrong(f"group {number} does not follow the one before it")
        if count != len(found):
            raise _Wrong(f"group {number} has {len(found)} slices, {count} were signed")
        if hashlib.sha256(b"".join(found)).digest() != general[ahead : ahead + _SIZE]:
            raise _Wrong(f"group {number} is not what was signed")
        if sei.tags.get(nal.HASHES, b"\1" + b"".join(found)) != b"\1" + b"".join(found):
            raise _Wrong(f"group {number} is not what its list of hashes says")
        if number > 1 and general[ahead + _SIZE :] != anchor:
            raise _Wrong(f"group {number} is not linked to the one before it")
        anchor = found[0]
        counter = int.from_bytes(general[ahead - 6 : ahead - 2], "big")


def _hashes(group: list[bytes]) -> list[bytes]:
    """The hash of each slice; all but the first together with that of the first."""
    first, *others = (hashlib.sha256(unit).digest() for unit in group)
    return [first, *(hashlib.sha256(first + one).digest() for one in others)]


def _signature_holds(sei: nal.SigningSei, leaf: x509.Certificate) -> None:
    field = sei.tags.get(nal.SIGNATURE, b"")
    if not field:
        raise _Uncovered("one signature for several groups of pictures")
    crypto = sei.tags.get(nal.CRYPTO)
    if crypto is not None and not crypto[2:13].startswith((_SHA256_OID, b"\6\x09" + _SHA256_OID)):
        raise _Uncovered("another hash than SHA-256")
    if (own := sei.tags.get(nal.CERTIFICATES)) is not None and _certificates(own)[0] != leaf:
        raise _Wrong("the certificate changes within the recording")
    size = int.from_bytes(field[1:3], "big")
    try:
        key = leaf.public_key()
    except _UNREADABLE as err:
        raise _Wrong("the key of its certificate cannot be read") from err
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _Uncovered("another key than ECDSA")
    try:
        key.verify(field[3 : 3 + size], sei.signed, ec.ECDSA(SHA256()))
    except InvalidSignature as err:
        raise _Wrong("a signature does not belong to its content and certificate") from err


def _chain(sei: nal.SigningSei) -> list[x509.Certificate]:
    field = sei.tags.get(nal.CERTIFICATES)
    if field is None:
        raise _Uncovered("the first signature brings no certificate")
    return _certificates(field)


def _certificates(field: bytes) -> list[x509.Certificate]:
    if field.count(b"BEGIN CERTIFICATE") > _MOST_CERTIFICATES:
        raise _Wrong(f"more than {_MOST_CERTIFICATES} certificates")
    try:
        return x509.load_pem_x509_certificates(field[2:].rstrip(b"\0"))
    except _UNREADABLE as err:
        raise _Wrong("its certificates cannot be read") from err


def _trusted(chain: list[x509.Certificate], roots: Sequence[x509.Certificate]) -> bool:
    """Whether each is issued by the next, and the last by a root. Validity in time is not asked."""
    above = chain[1:]
    return any(_issued(chain, [*above, root]) for root in roots)


def _issued(chain: list[x509.Certificate], issuers: list[x509.Certificate]) -> bool:
    try:
        for one, issuer in zip(chain, issuers, strict=True):
            constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints)
            if not constraints.value.ca:
                return False
            one.verify_directly_issued_by(issuer)
    except (*_UNREADABLE, InvalidSignature, x509.ExtensionNotFound):
        return False
    return True
