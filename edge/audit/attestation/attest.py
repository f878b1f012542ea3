"""Reads and checks what a TPM 2.0 signs: TPMS_ATTEST with a quote in it, TPMT_SIGNATURE.

Structures and numbers are those of the Trusted Computing Group's "TPM 2.0 Library, Part 2:
Structures". Every byte is read: nothing may follow, and no size may run over. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from edge.errors import AuditError, meaning

_GENERATED = 0xFF544347  # TPM_GENERATED_VALUE: a restricted key signs nothing else that begins so
_QUOTE = 0x8018  # TPM_ST_ATTEST_QUOTE
_RSASSA, _RSAPSS, _ECDSA = 0x0014, 0x0016, 0x0018
_BANKS = {0x0004: "sha1", 0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
_SIGNED_WITH = {0x000B: hashes.SHA256(), 0x000C: hashes.SHA384(), 0x000D: hashes.SHA512()}
_MOST_BANKS = 8
_SELECT_BYTES = 4  # of one bank's bitmap: TPMs have 24 registers

AttestationKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
Pcrs = Mapping[str, Mapping[int, bytes]]  # by bank, by number of the register


class QuoteError(AuditError):
    """A quote is malformed or does not hold; the line says what of it."""


@dataclass(frozen=True, slots=True)
class Attested:
    """A TPM's statement."""

    nonce: bytes
    selected: tuple[tuple[str, tuple[int, ...]], ...]  # bank and registers, in the TPM's order
    pcr_digest: bytes
    clock_ms: int  # the TPM's own, while it had power
    resets: int  # since it was made or cleared: starts of the machine
    restarts: int
    safe: bool  # whether the clock cannot have stood at this value before
    firmware: int


def parse_attest(data: bytes) -> Attested:
    """The quote in a TPMS_ATTEST.

    Raises:
        QuoteError: it is none.
    """
    reader = _Reader(data, "the TPM's statement")
    if reader.number(4) != _GENERATED or reader.number(2) != _QUOTE:
        raise QuoteError("the TPM's statement is no quote")
    reader.sized(68)  # the key's qualified name
    nonce = reader.sized(66)
    clock_ms, resets, restarts = reader.number(8), reader.number(4), reader.number(4)
    safe = reader.number(1)
    firmware = reader.number(8)
    banks = reader.number(4)
    if safe > 1 or not 1 <= banks <= _MOST_BANKS:
        raise QuoteError("the TPM's statement is malformed")
    selected = tuple(_selection(reader) for _ in range(banks))
    digest = reader.sized(64)
    reader.end()
    if len({bank for bank, _ in selected}) != banks:
        raise QuoteError("the TPM's statement names a bank twice")
    return Attested(nonce, selected, digest, clock_ms, resets, restarts, bool(safe), firmware)


def check_signature(attest: bytes, signature: bytes, key: AttestationKey) -> str:
    """See that `key` signed `attest`; returns the hash that it signed with.

    Raises:
        QuoteError: malformed, of another kind of key, or not by this key.
    """
    reader = _Reader(signature, "the TPM's signature")
    scheme, algorithm = reader.number(2), reader.number(2)
    if scheme not in (_RSASSA, _RSAPSS, _ECDSA) or algorithm not in _SIGNED_WITH:
        raise QuoteError(
            "the TPM's signature: expected RSASSA, RSAPSS or ECDSA with SHA-256 or longer, got "
            f"scheme {scheme:#06x} with hash {algorithm:#06x}"
        )
    with_ = _SIGNED_WITH[algorithm]
    parts = [reader.sized(512) for _ in range(2 if scheme == _ECDSA else 1)]
    reader.end()
    with meaning(
        "the quote was not signed by the attestation key given", InvalidSignature, as_=QuoteError
    ):
        if scheme == _ECDSA and isinstance(key, ec.EllipticCurvePublicKey):
            r, s = (int.from_bytes(part, "big") for part in parts)
            key.verify(encode_dss_signature(r, s), attest, ec.ECDSA(with_))
        elif scheme != _ECDSA and isinstance(key, rsa.RSAPublicKey):
            pss = padding.PSS(padding.MGF1(with_), padding.PSS.AUTO)
            key.verify(parts[0], attest, pss if scheme == _RSAPSS else padding.PKCS1v15(), with_)
        else:
            raise QuoteError("the quote was signed by another kind of key than the one given")
    return with_.name


def check_pcrs(attested: Attested, pcrs: Pcrs, hash_name: str) -> None:
    """See that these register values are those that the TPM quoted.

    Raises:
        QuoteError: others, more or fewer.
    """
    named = {(bank, number) for bank, numbers in attested.selected for number in numbers}
    if named != {(bank, number) for bank, values in pcrs.items() for number in values}:
        raise QuoteError("the PCR values beside the quote are not of the registers it names")
    digest = hashlib.new(hash_name)
    for bank, numbers in attested.selected:
        for number in numbers:
            digest.update(pcrs[bank][number])
    if digest.digest() != attested.pcr_digest:
        raise QuoteError("the PCR values beside the quote are not those that the TPM signed")


def _selection(reader: _Reader) -> tuple[str, tuple[int, ...]]:
    algorithm, size = reader.number(2), reader.number(1)
    if algorithm not in _BANKS or not 1 <= size <= _SELECT_BYTES:
        raise QuoteError("the TPM's statement is malformed")
    bitmap = int.from_bytes(reader.take(size), "little")
    return _BANKS[algorithm], tuple(n for n in range(8 * size) if bitmap >> n & 1)


class _Reader:
    """Big-endian fields, one after the other."""

    def __init__(self, data: bytes, what: str) -> None:
        self._rest = data
        self._what = what

    def take(self, count: int) -> bytes:
        if len(self._rest) < count:
            raise QuoteError(f"{self._what} ends early")
        taken, self._rest = self._rest[:count], self._rest[count:]
        return taken

    def number(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def sized(self, most: int) -> bytes:
        size = self.number(2)
        if size > most:
            raise QuoteError(f"{self._what} is malformed")
        return self.take(size)

    def end(self) -> None:
        if self._rest:
            raise QuoteError(f"{self._what} is malformed: {len(self._rest)} bytes follow it")
