"""`framegate audit quote`, and what `verify --quote` asks of a quote."""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands._audit._log import log_key
from edge.commands._options import Actions, Options
from edge.errors import UsageError, meaning, wrong_in
from edge.files import read_given, write_given

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from edge.audit.attestation.attest import AttestationKey
    from edge.audit.attestation.quote import Proven
    from edge.audit.note import Verifier

_PEM_BYTES = 64 * 1024
_EXAMPLE = """\
example, on the device, with an attestation key that tpm2_createak made:
  framegate audit quote out/audit --ak 0x81010002 --pcrs sha256:0,1,2,3,4,5,7
and elsewhere:
  framegate audit verify out/audit --key log.pub --quote out/audit/checkpoint.quote \\
      --ak ak.pem --pcrs expected.json
"""


def register(actions: Actions, log: Options) -> None:
    parser = actions.add(
        "quote",
        "have the TPM sign the state of this machine for the newest checkpoint",
        run,
        parents=[log],
        description="Has this machine's TPM 2.0 quote its registers (PCRs), with the newest "
        "checkpoint as nonce, and writes DIR/checkpoint.quote. Needs tpm2-tools.",
        epilog=_EXAMPLE,
    )
    parser.text("--ak KEY", "the TPM's key: a handle or a context file", required=True)
    parser.text("--pcrs LIST", "registers (%(default)s)", default="sha256:0,1,2,3,4,5,7")
    parser.path("--out FILE", "instead of DIR/checkpoint.quote")


def add_options(verify: Options) -> None:
    """Add the options of `verify` that are about a quote."""
    verify.path("--quote FILE", "also check this TPM quote of a checkpoint")
    verify.path("--ak PEM", "the TPM's attestation key, or its certificate")
    verify.path("--ak-ca PEM", "who must have certified it")
    verify.path("--pcrs JSON", "expected register values, or an earlier quote")
    verify.number(
        "--quote-behind N",
        "accept a quote up to N entries older than the checkpoint (default %(default)s)",
        0,
    )


def run(args: argparse.Namespace) -> int:
    """Make a quote."""
    from edge.audit.attestation.quote import QUOTE
    from edge.audit.attestation.tpm import make_quote, registers
    from edge.audit.publish import CHECKPOINT

    key = log_key(args)
    note = _read(args.log / CHECKPOINT)
    quote = make_quote(note, key, args.ak, registers(args.pcrs))
    place = args.out or args.log / QUOTE
    write_given(place, quote.to_bytes())
    size = int(note.split(b"\n")[1])
    print(json.dumps({"quote": str(place), "size": size}) if args.json else f"{place}: size {size}")
    return 0


def check_options(args: argparse.Namespace) -> None:
    """See that the options about a quote go together.

    Raises:
        UsageError: they do not.
    """
    about = (args.ak, args.ak_ca, args.pcrs, args.quote_behind or None)
    if args.quote is None and any(option is not None for option in about):
        raise UsageError("verify: --ak, --ak-ca, --pcrs and --quote-behind belong to --quote")
    if args.quote is None:
        return
    if args.ak is None:
        raise UsageError("verify: --quote needs --ak PEM, the TPM's attestation key")
    if args.checkpoint is not None or args.witnesses is not None:
        raise UsageError("verify: expected one of --quote, --checkpoint and --witnesses, got two")
    if args.quote_behind < 0:
        raise UsageError(f"--quote-behind: expected a count of entries, got {args.quote_behind}")


def check(args: argparse.Namespace, key: Verifier) -> tuple[Proven, bytes]:
    """The quote, which holds, and its checkpoint, which the log must continue.

    Raises:
        QuoteError: it does not hold.
        UsageError: a file cannot be read or used.
    """
    from edge.audit.attestation.attest import QuoteError
    from edge.audit.attestation.quote import Quote, check_expected, expected_pcrs, verify_quote

    ak = _key(args.ak, args.ak_ca)
    with wrong_in(args.pcrs, QuoteError):
        expected = None if args.pcrs is None else expected_pcrs(_read(args.pcrs))
    quote = Quote.parse(_read(args.quote))
    proven = verify_quote(quote, ak, key)
    if expected is not None:
        check_expected(proven.pcrs, expected)
    return proven, quote.checkpoint


def check_age(args: argparse.Namespace, proven: Proven, published: int) -> None:
    """See that the quote is of the newest checkpoint, or of one that is old enough to accept.

    Raises:
        QuoteError: it is older.
    """
    from edge.audit.attestation.attest import QuoteError

    behind = published - proven.size
    if behind > args.quote_behind:
        raise QuoteError(
            f"the quote is of size {proven.size}, {behind} behind the checkpoint of "
            f"size {published}: have a new one made, or accept it by --quote-behind {behind}"
        )


def lines(args: argparse.Namespace, proven: Proven) -> list[str]:
    """What the quote says, for people."""
    tpm = proven.attested
    compared = "as expected" if args.pcrs is not None else "not compared: give --pcrs"
    return [
        f"quoted at size {proven.size} by the TPM of {args.ak}; its reset count is {tpm.resets}",
        *(
            f"PCR {bank}:{number} {value.hex()}"
            for bank, values in proven.pcrs.items()
            for number, value in values.items()
        ),
        f"PCR values {compared}",
    ]


def data(args: argparse.Namespace, proven: Proven) -> dict[str, object]:
    """The same as data."""
    from edge.audit.attestation.quote import pcrs_text

    return {
        "size": proven.size,
        "pcrs": pcrs_text(proven.pcrs),
        "compared": args.pcrs is not None,
        "resets": proven.attested.resets,
        "clock_ms": proven.attested.clock_ms,
    }


def _key(path: Path, issuer: Path | None) -> AttestationKey:
    """The attestation key in a PEM file, bare or certified.

    Raises:
        UsageError: neither, not certified by `issuer`, or out of its time.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path)
    key: object
    try:
        if b"BEGIN CERTIFICATE" in data:
            certificate = x509.load_pem_x509_certificate(data)
            key = certificate.public_key()
            now = datetime.datetime.now(datetime.timezone.utc)
            if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                raise UsageError(f"{path}: the certificate is not valid today")
            if issuer is not None:
                _see_issued(certificate, x509.load_pem_x509_certificate(_read(issuer)), path)
        elif issuer is not None:
            raise UsageError(f"{path}: --ak-ca expects a certificate, not a bare key")
        else:
            key = load_pem_public_key(data)
    except (ValueError, TypeError) as err:
        raise UsageError(f"{path}: expected a public key or a certificate in PEM form") from err
    if not isinstance(key, (rsa.RSAPublicKey, ec.EllipticCurvePublicKey)):
        raise UsageError(f"{path}: expected an RSA or ECC key, which TPMs have")
    return key


def _see_issued(certificate: Certificate, issuer: Certificate, path: Path) -> None:
    from cryptography.exceptions import InvalidSignature

    line = f"{path} was not certified by {issuer.subject.rfc4514_string()}"
    with meaning(line, InvalidSignature, ValueError, TypeError):
        certificate.verify_directly_issued_by(issuer)


def _read(path: Path) -> bytes:
    return read_given(path, _PEM_BYTES * 4 + 1)
