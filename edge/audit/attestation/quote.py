"""A quote beside a checkpoint: this machine's TPM, in this state, had seen this tree head.

The nonce is the SHA-256 of the checkpoint's text, so of the log's name, size and root: a quote
of an older head, or of another log with the same entries, has another nonce. The file carries
the checkpoint it is of, the TPM's statement and signature, and the register values. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from edge.audit.attestation.attest import (
    AttestationKey,
    Attested,
    Pcrs,
    QuoteError,
    check_pcrs,
    check_signature,
    parse_attest,
)
from edge.audit.note import NoteError, Verifier, decoded, read_note
from edge.audit.segment import parse_checkpoint
from edge.errors import meaning, wrong_in

QUOTE = "checkpoint.quote"  # beside the checkpoint
MAX_QUOTE_BYTES = 256 * 1024
_FORMAT = "framegate/quote/v1"
_FIELDS = {"format", "checkpoint", "attest", "signature", "pcrs"}
BANK_BYTES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
_REGISTERS = 32
_NUMBERS = {str(number) for number in range(_REGISTERS)}


@dataclass(frozen=True, slots=True)
class Quote:
    """What a quote file holds, not yet checked."""

    checkpoint: bytes  # as the log signed it
    attest: bytes
    signature: bytes
    pcrs: Pcrs

    def to_bytes(self) -> bytes:
        """The file: JSON with one field a line."""
        fields = {
            "format": _FORMAT,
            "checkpoint": self.checkpoint.decode(),
            "attest": base64.b64encode(self.attest).decode(),
            "signature": base64.b64encode(self.signature).decode(),
            "pcrs": pcrs_text(self.pcrs),
        }
        return json.dumps(fields, indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Quote:
        """The quote in a file.

        Raises:
            QuoteError: another form.
        """
        fields = _object(data, "a quote")
        if fields.keys() != _FIELDS or fields["format"] != _FORMAT:
            raise QuoteError(f"expected a quote with the fields {', '.join(sorted(_FIELDS))}")
        texts = [fields[name] for name in ("checkpoint", "attest", "signature")]
        if not all(isinstance(text, str) for text in texts):
            raise QuoteError("expected text as checkpoint, attest and signature of a quote")
        with wrong_in("", NoteError, as_=QuoteError):
            attest, signature = (decoded(text, "a field of the quote") for text in texts[1:])
        return cls(texts[0].encode(errors="replace"), attest, signature, read_pcrs(fields["pcrs"]))


@dataclass(frozen=True, slots=True)
class Proven:
    """A quote that holds."""

    size: int  # of the tree that it is of
    root: bytes
    pcrs: Pcrs
    attested: Attested


def nonce_of(checkpoint_text: bytes) -> bytes:
    """What a TPM is asked to sign for this tree head: 32 bytes."""
    return hashlib.sha256(checkpoint_text).digest()


def verify_quote(quote: Quote, key: AttestationKey, device: Verifier) -> Proven:
    """See that the TPM with `key` quoted a tree head that the log's key signed.

    Raises:
        QuoteError: not of this log, of another head, not by this TPM, or with other registers.
    """
    hash_name = check_signature(quote.attest, quote.signature, key)
    found = parse_attest(quote.attest)
    with wrong_in("the quote's checkpoint is not of this log", NoteError, as_=QuoteError):
        text, _ = read_note(quote.checkpoint, [device])
        size, root = parse_checkpoint(text, device.name)
    if found.nonce != nonce_of(text):
        raise QuoteError(
            f"the quote's nonce is not that of its checkpoint (size {size}): it was made for "
            "another tree head or another log"
        )
    check_pcrs(found, quote.pcrs, hash_name)
    return Proven(size, root, quote.pcrs, found)


def check_expected(pcrs: Pcrs, expected: Pcrs) -> None:
    """See that each expected register was quoted with its value.

    Raises:
        QuoteError: names the first that was not.
    """
    for bank, values in expected.items():
        for number, value in values.items():
            got = pcrs.get(bank, {}).get(number)
            if got != value:
                came = "it was not quoted" if got is None else f"got {got.hex()}"
                raise QuoteError(f"PCR {bank}:{number}: expected {value.hex()}, {came}")


def expected_pcrs(data: bytes) -> Pcrs:
    """The register values in a file: `{"sha256": {"0": "HEX"}}`, or those of an earlier quote.

    Raises:
        QuoteError: neither.
    """
    fields = _object(data, "PCR values")
    pcrs = read_pcrs(fields.get("pcrs", fields))
    if not any(pcrs.values()):
        raise QuoteError("expected at least one PCR value, got none")
    return pcrs


def read_pcrs(found: object) -> Pcrs:
    """Register values from JSON.

    Raises:
        QuoteError: another form.
    """
    if not isinstance(found, dict):
        raise QuoteError('expected PCR values as {"sha256": {"0": "HEX"}}')
    return {bank: _bank(bank, values) for bank, values in found.items()}


def _bank(bank: str, values: object) -> dict[int, bytes]:
    if bank not in BANK_BYTES or not isinstance(values, dict):
        raise QuoteError(f"PCR values: expected a bank of {', '.join(BANK_BYTES)}, got {bank[:40]}")
    read = {}
    for number, text in values.items():
        try:
            value = bytes.fromhex(text) if isinstance(text, str) else b""
        except ValueError:
            value = b""
        if number not in _NUMBERS or len(value) != BANK_BYTES[bank]:
            raise QuoteError(
                f"PCR values: expected {bank}:0 to {_REGISTERS - 1} with {BANK_BYTES[bank]} bytes "
                f"in hexadecimal, got {bank}:{number[:40]}"
            )
        read[int(number)] = value
    return read


def pcrs_text(pcrs: Pcrs) -> dict[str, dict[str, str]]:
    """Register values for JSON."""
    return {b: {str(n): v.hex() for n, v in values.items()} for b, values in pcrs.items()}


def _object(data: bytes, what: str) -> dict[str, Any]:
    if len(data) > MAX_QUOTE_BYTES:
        raise QuoteError(f"expected {what} of at most {MAX_QUOTE_BYTES} bytes, got {len(data)}")
    with meaning(f"expected {what} in JSON", ValueError, RecursionError, as_=QuoteError):
        found = json.loads(data)
    if not isinstance(found, dict):
        raise QuoteError(f"expected {what} as a JSON object")
    return found
