"""Whether a camera signed the pictures of a recording (ONVIF Media Signing).

H.264 and H.265 with one signature for each group of pictures, SHA-256 and ECDSA. The format is
that of the ONVIF Media Signing specification and of its public reference implementation. Pure:
NAL units come in. A signature counts for the pictures that it covers, and for no others.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from edge.archive.signed import nal
from edge.archive.signed.nal import Codec, Kind

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm)  # of a certificate
_SIZE = 32  # of a hash, bytes
_MOST_CERTIFICATES = 8
_MOST_WAITING = 256  # groups without their signature, or the other way round
_SHA256_OID = bytes.fromhex("608648016503040201")  # with or without tag and length before it


class State(Enum):
    """What the signatures of a recording come to, whoever's key it is."""

    HOLDS = "every signature holds"
    INVALID = "one does not"
    NONE = "there is none"
    UNKNOWN = "they were not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """The same, with what it rests on."""

    state: State
    why: str = ""
    pictures: int = 0  # of the recording
    covered: int = 0  # of them, by a signature that holds
    chain: tuple[x509.Certificate, ...] = ()  # the signer's first


class _Wrong(Exception):
    """Why a signature does not hold."""


class _Uncovered(Exception):
    """What of the specification is not checked here."""


@dataclass(slots=True)
class _Group:
    """A group of pictures."""

    hashes: bytearray = field(default_factory=bytearray)  # of each slice; see `_add`
    pictures: int = 0


def verify(units: Iterable[bytes], codec: Codec) -> Finding:
    """Verify a whole recording, unit by unit; a signature belongs to the group of its number."""
    found = _Signatures(codec)
    try:
        for unit in units:
            found.take(unit)
        return found.end()
    except _Wrong as err:
        return Finding(State.INVALID, str(err), found.pictures, found.covered, found.chain)
    except _Uncovered as err:
        return Finding(State.UNKNOWN, str(err), found.pictures)


class _Signatures:
    """Groups and signatures as they come, and what was found so far."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._groups: deque[_Group] = deque()  # that wait for their signature
        self._seis: deque[nal.SigningSei] = deque()  # and the other way round
        self._counts = [0, 0]  # of both, ever
        self._early = self._unsigned = self._late = False
        self._fault: _Wrong | None = None  # the first; what follows is only counted
        self._anchor, self._counter, self._number = b"", -1, 0
        self.chain: tuple[x509.Certificate, ...] = ()
        self._some = False  # a unit of the signer was there
        self.pictures = self.covered = 0

    def take(self, unit: bytes) -> None:
        kind = nal.kind_of(unit, self._codec)
        if kind is Kind.SEI:
            self._sei(unit)
        elif kind is Kind.UNSIGNED:
            self._unsigned = True
        elif kind is not Kind.OTHER:
            self._slice(unit, kind)

    def end(self) -> Finding:
        if not self._some:
            return Finding(State.NONE, "", self.pictures)
        if self._unsigned:
            raise _Uncovered("it has slices of a kind that is not signed")
        if self._early:
            raise _Wrong("there are pictures before the first whole group")
        groups, seis = self._counts
        if not seis or not groups - 1 <= seis <= groups:
            raise _Wrong(f"{groups} groups of pictures, {seis} signatures")
        if self._late:
            raise _Uncovered(f"signatures that come more than {_MOST_WAITING} groups late")
        self._pairs(last=True)
        if self._fault is not None:
            raise self._fault
        return Finding(State.HOLDS, "", self.pictures, self.covered, self.chain)

    def _slice(self, unit: bytes, kind: Kind) -> None:
        self.pictures += nal.begins_picture(unit, self._codec)
        if kind is Kind.OPENS:
            self._pairs(last=True)
            self._counts[0] += 1
            self._late |= len(self._groups) >= _MOST_WAITING
            if not self._late:
                self._groups.append(_Group())
        if not self._counts[0]:
            self._early = True
        elif self._groups and not self._late and self._fault is None:
            _add(self._groups[-1], unit, begins=nal.begins_picture(unit, self._codec))

    def _sei(self, unit: bytes) -> None:
        try:
            sei = nal.signing_sei(unit, self._codec)
        except ValueError as err:
            raise _Wrong(f"a signature unit is damaged: {err}") from err
        if sei is None:
            return
        if not self._some:
            self._some, self.chain = True, _chain(sei)
        if not sei.certificates_only:
            self._counts[1] += 1
            self._late |= len(self._seis) >= _MOST_WAITING
            if not self._late:
                self._seis.append(sei)
            self._pairs(last=False)

    def _pairs(self, *, last: bool) -> None:
        """Verify each group that is whole with its signature."""
        while self._seis and len(self._groups) > (0 if last else 1) and self._fault is None:
            self._number += 1
            group = self._groups.popleft()
            try:
                self._holds(group, self._seis.popleft())
            except _Wrong as err:
                self._fault = err
            else:
                self.covered += group.pictures

    def _holds(self, group: _Group, sei: nal.SigningSei) -> None:
        _signature_holds(sei, self.chain[0])
        number, first = self._number, bytes(group.hashes[:_SIZE])
        general = sei.tags.get(nal.GENERAL, b"")
        ahead = {1: 19, 2: 27}.get(general[0] if general else 0, 0)  # bytes before the hashes
        if not ahead or len(general) != ahead + 2 * _SIZE:
            raise _Uncovered("general information of an unknown version or hash")
        if general[4]:
            raise _Uncovered("signatures within a group of pictures")
        signed = int.from_bytes(general[ahead - 2 : ahead], "big")
        counter = int.from_bytes(general[ahead - 6 : ahead - 2], "big")
        slices = len(group.hashes) // _SIZE
        if number > 1 and counter != self._counter + 1:
            raise _Wrong(f"group {number} does not follow the one before it")
        if signed != slices:
            raise _Wrong(f"group {number} has {slices} slices, {signed} were signed")
        if hashlib.sha256(group.hashes).digest() != general[ahead : ahead + _SIZE]:
            raise _Wrong(f"group {number} is not what was signed")
        if sei.tags.get(nal.HASHES, b"\1" + group.hashes) != b"\1" + group.hashes:
            raise _Wrong(f"group {number} is not what its list of hashes says")
        if number > 1 and general[ahead + _SIZE :] != self._anchor:
            raise _Wrong(f"group {number} is not linked to the one before it")
        self._anchor, self._counter = first, counter


def decoded(found: Finding, pictures: int) -> Finding:
    """The finding on a recording of which so many pictures were decoded.

    A signature of pictures that nobody sees says nothing of those that are seen.
    """
    if found.state is not State.HOLDS or found.pictures == pictures:
        return found
    why = f"it has {found.pictures} coded pictures, and {pictures} were decoded"
    return replace(found, state=State.UNKNOWN, why=why, covered=0)


def _add(group: _Group, unit: bytes, *, begins: bool) -> None:
    """Hash a slice; all but the first together with the hash of the first."""
    found = hashlib.sha256(unit).digest()
    if group.hashes:
        found = hashlib.sha256(group.hashes[:_SIZE] + found).digest()
    group.hashes += found
    group.pictures += begins


def _signature_holds(sei: nal.SigningSei, leaf: x509.Certificate) -> None:
    signature = sei.tags.get(nal.SIGNATURE, b"")
    if not signature:
        raise _Uncovered("one signature for several groups of pictures")
    crypto = sei.tags.get(nal.CRYPTO)
    if crypto is not None and not crypto[2:13].startswith((_SHA256_OID, b"\6\x09" + _SHA256_OID)):
        raise _Uncovered("another hash than SHA-256")
    own = sei.tags.get(nal.CERTIFICATES)
    if own is not None and _certificates(own)[0] != leaf:
        raise _Wrong("the certificate changes within the recording")
    size = int.from_bytes(signature[1:3], "big")
    try:
        key = leaf.public_key()
    except UNREADABLE as err:
        raise _Wrong("the key of its certificate cannot be read") from err
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _Uncovered("another key than ECDSA")
    try:
        key.verify(signature[3 : 3 + size], sei.signed, ec.ECDSA(SHA256()))
    except InvalidSignature as err:
        raise _Wrong("a signature does not belong to its content and certificate") from err


def _chain(sei: nal.SigningSei) -> tuple[x509.Certificate, ...]:
    found = sei.tags.get(nal.CERTIFICATES)
    if found is None:
        raise _Uncovered("the first signature brings no certificate")
    return tuple(_certificates(found))


def _certificates(data: bytes) -> list[x509.Certificate]:
    if data.count(b"BEGIN CERTIFICATE") > _MOST_CERTIFICATES:
        raise _Wrong(f"more than {_MOST_CERTIFICATES} certificates")
    try:
        return x509.load_pem_x509_certificates(data[2:].rstrip(b"\0"))
    except UNREADABLE as err:
        raise _Wrong("its certificates cannot be read") from err
