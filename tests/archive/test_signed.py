"""Recordings signed by the camera: a small signer of our own, and each way to break its stream."""

from __future__ import annotations

import datetime
import hashlib
import random
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from edge import cli
from edge.archive.signed.nal import SIGNING
from edge.archive.signed.verify import Signed, signature_of, verify

_START = b"\0\0\0\1"


def _certificate(
    name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
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


ROOT = _certificate("root", None)
CAMERA = _certificate("camera", ROOT)
OTHER = _certificate("other", _certificate("other root", None))


def _escaped(data: bytes) -> bytes:
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


def _sei(
    group: list[bytes], counter: int, linked: bytes, *, escaped: bool, listed: bool = True
) -> tuple[bytes, bytes]:
    """The SEI of a group, and the hash that the next one links to."""
    first, *others = (hashlib.sha256(one).digest() for one in group)
    hashes = [first, *(hashlib.sha256(first + one).digest() for one in others)]
    total = b"".join(hashes)
    general = bytes([2, 0, 0, 1, 0]) + bytes(16) + counter.to_bytes(4, "big")
    general += len(hashes).to_bytes(2, "big")
    assert len(general) == 27  # version, three of the software, trigger, two times, two counters
    general += hashlib.sha256(total).digest() + linked
    body = _field(6, b"\1\0" + CAMERA[0].public_bytes(Encoding.PEM)) + _field(1, general)
    body += _field(2, b"\1" + total) if listed else b""
    size = 17 + len(body) + 3 + 3 + 72
    head = b"\6\5" + b"\xff" * (size // 255) + bytes([size % 255]) + SIGNING
    before = head + bytes([0x40 if escaped else 0]) + body
    signature = CAMERA[1].sign(_escaped(before) if escaped else before, ec.ECDSA(SHA256()))
    field = b"\1" + len(signature).to_bytes(2, "big") + signature.ljust(72, b"\1")
    return _escaped(before + _field(3, field) + b"\x80"), first


def _units(*, escaped: bool = True, groups: int = 3, listed: bool = True) -> list[bytes]:
    """A signed stream of synthetic slices: parameter sets, then each group and its SEI."""
    chance = random.Random(7)
    slices = [
        [_escaped(bytes([kind, 0x88]) + chance.randbytes(40)) + b"\x80" for kind in (0x65, 65, 65)]
        for _ in range(groups)
    ]
    linked, out = bytes(32), [b"\x67\x42\x80", b"\x68\xce\x80"]
    for number, group in enumerate(slices, 1):
        sei, linked = _sei(group, number, linked, escaped=escaped, listed=listed)
        out += [*group, sei]
    return out


def _stream(units: list[bytes]) -> bytes:
    return b"".join(_START + unit for unit in units)


# 0 SPS, 1 PPS, then for each group: 3 slices and its SEI
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_a_stream_as_the_camera_signed_it_is_valid(escaped: bool, listed: bool) -> None:
    stream = _stream(_units(escaped=escaped, listed=listed))
    assert verify(stream, [ROOT[0]]).signed is Signed.VALID
    assert verify(stream).signed is Signed.UNTRUSTED
    assert verify(stream, [OTHER[0]]).signed is Signed.UNTRUSTED


def _changed(units: list[bytes], at: int, offset: int) -> list[bytes]:
    unit = bytearray(units[at])
    unit[offset] ^= 0x10
    return [*units[:at], bytes(unit), *units[at + 1 :]]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        pytest.param(lambda u: _changed(u, 3, 12), "group 1 is not what was signed", id="changed"),
        pytest.param(lambda u: u[:3] + u[4:], "2 slices, 3 were signed", id="dropped"),
        pytest.param(lambda u: [*u[:3], u[4], u[3], *u[5:]], "not what was", id="reordered"),
        pytest.param(lambda u: u[:6] + u[10:], "does not follow", id="group cut out"),
        pytest.param(lambda u: u[:5] + u[6:9] + u[10:], "3 groups of pictures, 1", id="unsigned"),
        pytest.param(lambda u: _changed(u, 9, -40), "does not belong", id="signature"),
        pytest.param(lambda u: _changed(u, 9, 600), "", id="certificate"),
        pytest.param(lambda u: [*u[:9], u[9][:-30], *u[10:]], "damaged", id="SEI cut"),
    ],
)
def test_a_changed_stream_is_not_valid(damage, why: str) -> None:  # type: ignore[no-untyped-def]
    found = verify(_stream(damage(_units())), [ROOT[0]])
    assert found.signed is Signed.INVALID
    assert why in found.why


def test_another_certificate_does_not_fit_the_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "CAMERA", (OTHER[0], CAMERA[1]))
    assert verify(_stream(_units()), [ROOT[0], OTHER[0]]).signed is Signed.INVALID


def test_what_is_not_signed_or_not_read_is_never_called_valid() -> None:
    plain = [unit for unit in _units() if SIGNING not in unit]
    assert verify(_stream(plain)).signed is Signed.NONE
    assert verify(b"\0\0\0\x18ftypmp42").signed is Signed.UNKNOWN
    assert verify(b"").signed is Signed.UNKNOWN


def test_no_single_changed_byte_of_pictures_or_signatures_stays_valid() -> None:
    chance, units = random.Random(1), _units()
    for _ in range(150):
        at = chance.randrange(2, len(units))
        offset = chance.randrange(len(units[at]))
        found = verify(_stream(_changed(units, at, offset)), [ROOT[0]])
        # behind the signature stand filling bytes, which nothing covers
        filling = at in (5, 9, 13) and offset >= len(units[at]) - 5
        assert filling or found.signed is not Signed.VALID, (at, offset)


def test_extract_names_signers_that_are_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, signers = tmp_path / "a.jsonl", tmp_path / "signers.pem"
    manifest.write_text(
        '{"clip": "a", "sha256": "' + "0" * 64 + '", "device": "D", "session": "S"}\n'
    )
    words = ["archive", "extract", str(manifest), "--store", str(tmp_path / "store")]
    signers.write_text("nothing")
    assert cli.main([*words, "--signers", str(signers)]) == 2
    assert "expected certificates in PEM" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_a_file_is_verified_by_the_named_signers(tmp_path: Path) -> None:
    clip = tmp_path / "a.h264"
    clip.write_bytes(_stream(_units()))
    assert signature_of(clip, ROOT[0].public_bytes(Encoding.PEM)).signed is Signed.VALID
    assert signature_of(clip, OTHER[0].public_bytes(Encoding.PEM)).signed is Signed.UNTRUSTED
    assert signature_of(tmp_path / "none", b"").signed is Signed.UNKNOWN
