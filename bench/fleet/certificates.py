"""A certificate authority for a trial fleet: the broker's certificate, and one for each client.

    python -m bench.fleet.certificates DIR localhost framegate-0001 framegate-0002 fleet-watch

The first name is the broker's, whose certificate also names 127.0.0.1. The other names
become the clients' common names. Keys are P-256, certificates last 30 days. For a
trial only: all keys are made in one place.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.files import write_whole

_DAYS = 30
CA = "ca"


def make_certificates(folder: Path, broker: str, clients: Sequence[str]) -> None:
    """Write `ca.pem`, and NAME.pem and NAME.key for the broker and each client."""
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = _named("framegate trial fleet")
    ca = (
        _begun(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    write_whole(folder / f"{CA}.pem", ca.public_bytes(serialization.Encoding.PEM), 0o644)
    for name in (broker, *clients):
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = (
            ExtendedKeyUsageOID.SERVER_AUTH if name == broker else ExtendedKeyUsageOID.CLIENT_AUTH
        )
        made = (
            _begun(_named(name), ca_name, key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()),
                critical=False,
            )
        )
        if name == broker:
            here: list[x509.GeneralName] = [x509.DNSName(broker)]
            here.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
            made = made.add_extension(x509.SubjectAlternativeName(here), critical=False)
        signed = made.sign(ca_key, hashes.SHA256())
        write_whole(folder / f"{name}.pem", signed.public_bytes(serialization.Encoding.PEM), 0o644)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_whole(folder / f"{name}.key", secret, 0o600)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("broker", help="its host name")
    parser.add_argument("clients", nargs="+", help="their common names")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    make_certificates(args.folder, args.broker, args.clients)
    return 0


if __name__ == "__main__":
    sys.exit(main())
