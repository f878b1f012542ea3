"""A small camera that signs (ONVIF Media Signing, H.264 and H.265), with its own certificates."""

from __future__ import annotations

import datetime
import hashlib
import random
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from edge.archive.signed.nal import SIGNING, Codec, Kind, kind_of

Owner = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
_START = b"\0\0\0\1"


def certificate(name: str, issuer: Owner | None) -> Owner:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    day = datetime.datetime(2026, 1, 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(day)
        .not_valid_after(day + datetime.timedelta(3650))
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .sign(issuer[1] if issuer else key, SHA256())
    )
    return made, key


ROOT = certificate("root", None)
CAMERA = certificate("camera", ROOT)
OTHER = certificate("other", certificate("other root", None))


def pem(owner: Owner) -> bytes:
    return owner[0].public_bytes(Encoding.PEM)


def escaped(data: bytes) -> bytes:
    out, zeros = bytearray(), 0
    for byte in data:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def _field(tag: int, value: bytes) -> bytes:
    return bytes([tag]) + len(value).to_bytes(2, "big") + value


class Signer:
    """Signs one group after the other."""

    def __init__(
        self,
        codec: Codec,
        camera: Owner = CAMERA,
        *,
        escaped: bool = True,
        listed: bool = True,
        claims: Owner = CAMERA,
    ) -> None:
        """
        Args:
            escaped: whether the signature is over the emulation prevention bytes too.
            listed: whether the hash of each slice is listed.
            claims: whose certificate it brings.
        """
        self._codec, self._camera, self._claims = codec, camera, claims
        self._escaped, self._listed = escaped, listed
        self._linked, self._counter = bytes(32), 0

    def sei(self, group: Sequence[bytes]) -> bytes:
        """The unit that signs the slices of a group."""
        self._counter += 1
        first, *others = (hashlib.sha256(one).digest() for one in group)
        hashes = [first, *(hashlib.sha256(first + one).digest() for one in others)]
        total = b"".join(hashes)
        general = bytes([2, 0, 0, 1, 0]) + bytes(16) + self._counter.to_bytes(4, "big")
        general += len(hashes).to_bytes(2, "big")
        assert len(general) == 27  # version, software, trigger, two times, two counters
        general += hashlib.sha256(total).digest() + self._linked
        body = _field(6, b"\1\0" + pem(self._claims)) + _field(1, general)
        body += _field(2, b"\1" + total) if self._listed else b""
        size = 17 + len(body) + 3 + 3 + 72
        # of H.265 one that follows the picture, so that it stays with it in any container
        head = b"\6" if self._codec is Codec.H264 else b"\x50\1"
        head += b"\5" + b"\xff" * (size // 255) + bytes([size % 255]) + SIGNING
        before = head + bytes([0x40 if self._escaped else 0]) + body
        over = escaped(before) if self._escaped else before
        signature = self._camera[1].sign(over, ec.ECDSA(SHA256()))
        field = b"\1" + len(signature).to_bytes(2, "big") + signature.ljust(72, b"\1")
        self._linked = first
        return escaped(before + _field(3, field) + b"\x80")


def synthetic(signer: Signer, codec: Codec, groups: int = 3) -> list[bytes]:
    """Two parameter sets, then for each group three slices, a picture each, and its SEI."""
    chance = random.Random(7)
    key, other = (b"\x65", b"\x41") if codec is Codec.H264 else (b"\x26\1", b"\x02\1")
    out = [b"\x67\x42\x80", b"\x68\xce\x80"]
    if codec is Codec.H265:
        out = [b"\x42\1\x80", b"\x44\1\x80"]
    for _ in range(groups):
        group = [
            escaped(kind + b"\x88" + chance.randbytes(40)) + b"\x80" for kind in (key, other, other)
        ]
        out += [*group, signer.sei(group)]
    return out


def signed(units: Sequence[bytes], signer: Signer, codec: Codec) -> list[bytes]:
    """The units of a real stream with a SEI behind the last slice of each group.

    That of the last group of H.264 would begin a picture that never comes: it has none.
    """
    out: list[bytes] = []
    group: list[bytes] = []
    behind = 0  # where the group's last slice is
    for unit in units:
        kind = kind_of(unit, codec)
        if kind is Kind.OPENS and group:
            out.insert(behind, signer.sei(group))
            group = []
        out.append(unit)
        if kind in (Kind.OPENS, Kind.SLICE):
            group.append(unit)
            behind = len(out)
    if codec is Codec.H265:
        out.insert(behind, signer.sei(group))
    return out


def stream(units: Sequence[bytes]) -> bytes:
    return b"".join(_START + unit for unit in units)
