"""A TPM's quote beside a checkpoint: what holds, and each way in which one does not."""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from edge.audit.attestation.attest import QuoteError, parse_attest
from edge.audit.attestation.quote import Quote, nonce_of, verify_quote
from edge.audit.log import AuditLog
from edge.audit.note import Signer, read_note
from edge.cli import main
from tests.support import tpm
from tests.support.audit_helpers import deny, start

KEY = Signer.generate("framegate-test/log")
TPM = ec.generate_private_key(ec.SECP256R1())
PCRS = {"sha256": {0: b"\x01" * 32, 7: b"\x02" * 32}, "sha1": {4: b"\x03" * 20}}


def grow(where: Path, count: int = 1, key: Signer = KEY) -> bytes:
    """Write `count` entries, one of them that the last run did not stop; returns the checkpoint."""
    log = AuditLog.create_or_open(where, key)
    count -= log.unclean
    for number in range(count):
        log.append(deny(log.size + number) if log.size else start(), durable=True)
    log.close()
    return (where / "checkpoint").read_bytes()


def quote_of(checkpoint: bytes, key=TPM, pcrs=PCRS, signer: Signer = KEY, **changes) -> Quote:
    text, _ = read_note(checkpoint, [signer.verifier])
    statement = tpm.attest(nonce_of(text), pcrs, **changes)
    return Quote(checkpoint, statement, tpm.sign(key, statement), pcrs)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    grow(tmp_path / "audit")
    (tmp_path / "log.pub").write_text(KEY.verifier.text + "\n")
    write_pem(tmp_path / "ak.pem", TPM)
    return tmp_path


def write_pem(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.write_bytes(pem)


def verify(place: Path, quote: Quote, *more: str) -> int:
    (place / "q").write_bytes(quote.to_bytes())
    named = ["--key", f"{place}/log.pub", "--quote", f"{place}/q", "--ak", f"{place}/ak.pem"]
    return main(["audit", "verify", f"{place}/audit", *named, *more])


def newest(place: Path) -> bytes:
    return (place / "audit/checkpoint").read_bytes()


@pytest.mark.parametrize("kind", ["ecc", "rsa"])
def test_a_good_quote_of_the_newest_checkpoint_is_accepted(
    kind: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = TPM if kind == "ecc" else rsa.generate_private_key(65537, 2048)
    write_pem(place / "ak.pem", key)
    expected = place / "expected.json"
    expected.write_text(json.dumps({"sha256": {"7": "02" * 32}}))

    assert verify(place, quote_of(newest(place), key), "--pcrs", str(expected)) == 0

    printed = capsys.readouterr().out
    assert "quoted at size 1" in printed
    assert f"PCR sha256:0 {'01' * 32}" in printed
    assert "PCR values as expected" in printed


def test_without_expected_values_the_registers_are_shown_and_not_called_good(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(place, quote_of(newest(place))) == 0
    assert "not compared: give --pcrs" in capsys.readouterr().out

    assert verify(place, quote_of(newest(place)), "--json") == 0
    assert json.loads(capsys.readouterr().out)["quote"]["pcrs"]["sha256"]["0"] == "01" * 32


def refused(place: Path, quote: Quote, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert verify(place, quote, *more) == 1
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1
    assert printed.out == ""
    return lines[0]


def test_a_quote_of_an_older_head_is_refused_or_accepted_by_number(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = quote_of(newest(place))
    grow(place / "audit", 3)

    assert "is of size 1, 3 behind the checkpoint of size 4" in refused(place, old, capsys)
    assert verify(place, old, "--quote-behind", "2") == 1
    assert verify(place, old, "--quote-behind", "3") == 0
    assert verify(place, quote_of(newest(place))) == 0


def test_an_old_statement_under_a_new_checkpoint_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = quote_of(newest(place))
    grow(place / "audit", 3)

    replayed = dataclasses.replace(old, checkpoint=newest(place))

    assert "the quote's nonce is not that of its checkpoint" in refused(place, replayed, capsys)


def test_a_quote_of_another_log_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = Signer.generate("framegate-other/log")
    theirs = quote_of(grow(place / "theirs", key=stranger), signer=stranger)
    fork = quote_of(grow(place / "fork", 2))  # the same key, another history

    assert "checkpoint is not of this log" in refused(place, theirs, capsys)
    grow(place / "audit", 3)
    assert "are not those of the checkpoint" in refused_log(place, fork, capsys)


def refused_log(place: Path, quote: Quote, capsys: pytest.CaptureFixture[str]) -> str:
    assert verify(place, quote, "--quote-behind", "9") == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("stranger", "why"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "was not signed by the attestation key given"),
        (rsa.generate_private_key(65537, 2048), "another kind of key"),
    ],
    ids=["ecc", "rsa"],
)
def test_a_quote_by_another_key_is_refused(
    stranger, why: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why in refused(place, quote_of(newest(place), stranger), capsys)


def test_another_register_value_is_refused_by_its_name(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = place / "before.quote"
    before.write_bytes(quote_of(newest(place)).to_bytes())  # an earlier quote may be the yardstick
    changed = {**PCRS, "sha256": {0: b"\x01" * 32, 7: b"\x09" * 32}}
    less = {"sha256": {0: b"\x01" * 32}}

    assert verify(place, quote_of(newest(place)), "--pcrs", str(before)) == 0
    capsys.readouterr()
    printed = refused(place, quote_of(newest(place), pcrs=changed), capsys, "--pcrs", str(before))
    assert f"PCR sha256:7: expected {'02' * 32}, got {'09' * 32}" in printed
    printed = refused(place, quote_of(newest(place), pcrs=less), capsys, "--pcrs", str(before))
    assert "PCR sha256:7: " in printed and "it was not quoted" in printed
    lied = dataclasses.replace(quote_of(newest(place), pcrs=changed), pcrs=PCRS)
    assert "not those that the TPM signed" in refused(place, lied, capsys)
    lied = dataclasses.replace(quote_of(newest(place)), pcrs=less)
    assert "not of the registers it names" in refused(place, lied, capsys)


@pytest.mark.parametrize("change", [{"magic": 0xFF544348}, {"kind": 0x8017}])
def test_a_statement_that_is_no_quote_is_refused(change: dict[str, int], place: Path) -> None:
    with pytest.raises(QuoteError, match="is no quote"):
        verify_quote(quote_of(newest(place), **change), TPM.public_key(), KEY.verifier)


def test_no_byte_of_a_quote_can_be_changed_cut_or_added(place: Path) -> None:
    good = quote_of(newest(place))
    assert verify_quote(good, TPM.public_key(), KEY.verifier).size == 1

    for name in ("attest", "signature"):
        data = getattr(good, name)
        spoilt = [data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :] for i in range(len(data))]
        for bad in (*spoilt, *(data[:i] for i in range(len(data))), data + b"\0"):
            with pytest.raises(QuoteError):
                verify_quote(
                    dataclasses.replace(good, **{name: bad}), TPM.public_key(), KEY.verifier
                )


def test_a_statement_of_any_length_is_read_without_a_crash(place: Path) -> None:
    data = quote_of(newest(place)).attest

    for cut in range(len(data)):
        with pytest.raises(QuoteError):
            parse_attest(data[:cut])
    with pytest.raises(QuoteError, match="1 bytes follow it"):
        parse_attest(data + b"\0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        "{}",
        '{"format": "framegate/quote/v2"}',
        '{"format":"framegate/quote/v1","checkpoint":"\\ud800","attest":"","signature":"","pcrs":1}',
        '{"format":"framegate/quote/v1","checkpoint":"x","attest":"?","signature":"","pcrs":{}}',
        '{"format":"framegate/quote/v1","checkpoint":"x","attest":"","signature":"",'
        '"pcrs":{"sha256":{"32":""}}}',
    ],
)
def test_a_file_that_is_no_quote_is_refused_in_one_line(
    text: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "q").write_text(text)
    named = ["--key", f"{place}/log.pub", "--quote", f"{place}/q", "--ak", f"{place}/ak.pem"]

    assert main(["audit", "verify", f"{place}/audit", *named]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def certificate(key, name: str, issuer, issuer_name: str) -> bytes:
    def called(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.timezone.utc)
    built = x509.CertificateBuilder(called(issuer_name), called(name), key.public_key(), 1)
    built = built.not_valid_before(now - datetime.timedelta(days=1))
    built = built.not_valid_after(now + datetime.timedelta(days=1))
    return built.sign(issuer, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_certified_attestation_key_is_taken_and_another_issuer_is_not(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maker, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (place / "ak.pem").write_bytes(certificate(TPM, "till 2", maker, "maker"))
    for name, key in (("maker", maker), ("other", other)):
        (place / name).write_bytes(certificate(key, "maker", key, "maker"))
    quote = quote_of(newest(place))

    assert verify(place, quote, "--ak-ca", str(place / "maker")) == 0
    assert verify(place, quote, "--ak-ca", str(place / "other")) == 2
    assert "was not certified by" in capsys.readouterr().err
    write_pem(place / "ak.pem", TPM)
    assert verify(place, quote, "--ak-ca", str(place / "maker")) == 2
    assert "expects a certificate" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--ak", "x"], "belong to --quote"),
        (["--pcrs", "x"], "belong to --quote"),
        (["--quote", "x"], "--quote needs --ak"),
        (["--quote", "x", "--ak", "y", "--checkpoint", "z"], "expected one of"),
        (["--quote", "x", "--ak", "y", "--quote-behind", "-1"], "count of entries"),
        (["--quote", "x", "--ak", "/nowhere"], "cannot read /nowhere"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    more: list[str], why: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "z").write_bytes(newest(place))
    more = [str(place / "z") if word == "z" else word for word in more]

    assert main(["audit", "verify", f"{place}/audit", "--key", f"{place}/log.pub", *more]) == 2
    assert why in capsys.readouterr().err


def test_a_simulated_tpm_quotes_the_log_and_tells_when_the_machine_changed(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tpm.simulated(place / "tpm", monkeypatch) as pem:
        ask = ["audit", "quote", f"{place}/audit", "--ak", tpm.HANDLE, "--pcrs", "sha256:0,16"]
        assert main(ask) == 0
        made = place / "audit/checkpoint.quote"
        first = Quote.parse(made.read_bytes())
        (place / "ak.pem").write_bytes(pem.read_bytes())
        (place / "expected").write_bytes(made.read_bytes())

        assert verify(place, first, "--pcrs", f"{place}/expected") == 0

        extended = f"16:sha256={'ab' * 32}"
        subprocess.run(["tpm2_pcrextend", extended], check=True, capture_output=True)
        assert main(ask) == 0
        capsys.readouterr()
        second = Quote.parse(made.read_bytes())
        assert verify(place, second) == 0
        capsys.readouterr()
        assert "PCR sha256:16" in refused(place, second, capsys, "--pcrs", f"{place}/expected")

    assert main(["audit", "verify", f"{place}/audit", "--key", f"{place}/log.pub"]) == 0
    capsys.readouterr()
    assert main(ask) == 2  # the TPM is gone
    assert "tpm2_quote: ERROR" in capsys.readouterr().err


def test_without_the_tools_and_with_odd_registers_one_line_says_so(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    ask = ["audit", "quote", f"{place}/audit", "--ak", tpm.HANDLE]

    assert main(ask) == 2
    assert "install tpm2-tools" in capsys.readouterr().err
    assert main([*ask, "--pcrs", "sha256:24"]) == 2
    assert "expected registers as sha256:0,1,7" in capsys.readouterr().err
    assert not (place / "audit/checkpoint.quote").exists()
