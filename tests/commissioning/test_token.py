"""Keys in a hardware token: they sign logs and records, and never leave it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.audit.log import AuditLog
from edge.audit.note import NoteError
from edge.audit.proofs.verify import verify_log
from edge.cli import main
from edge.commissioning.keys import KeyStore, RecordKind
from edge.commissioning.token import TokenError, TokenKey
from edge.commissioning.token_uri import TokenUri
from edge.errors import AuditError, SignatureError, UsageError
from tests.support.audit_helpers import permit, start
from tests.support.tokens import forget, token


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenUri:
    return token(tmp_path / "hsm", monkeypatch)


@pytest.fixture
def store(tmp_path: Path, place: TokenUri) -> KeyStore:
    return KeyStore.init(tmp_path / "keys", record_token=place, log_token=place)


def test_a_log_signed_by_a_token_verifies_with_the_public_key_alone(
    store: KeyStore, tmp_path: Path
) -> None:
    log = AuditLog.create_or_open(tmp_path / "audit", store.log_key())
    log.append(start(), durable=True)
    log.append(permit(1.0), durable=True)
    log.close()

    found = verify_log(tmp_path / "audit", store.log_verifier())

    assert (found.entries, found.published) == (2, 2)
    assert log.ready is False  # closed


def test_the_private_key_is_in_no_file_and_cannot_be_read_out(store: KeyStore) -> None:
    from pkcs11 import Attribute

    text = (store.directory / "log.key").read_text()
    key = store.log_key()
    held = key.key._key  # the token's own object

    assert text.startswith("pkcs11:token=")
    assert (held[Attribute.SENSITIVE], held[Attribute.EXTRACTABLE]) == (True, False)
    with pytest.raises(NoteError, match="stays in its token"):
        _ = key.secret_text


def test_records_are_signed_and_verified_through_a_token(store: KeyStore, tmp_path: Path) -> None:
    record = tmp_path / "device.toml"
    record.write_text('camera = "fixed"\n')
    secret = store.directory / "record.key"
    (store.directory / "record.pub").write_text(secret.read_text())  # read from the token, too
    store.sign_file(record, RecordKind.DEVICE)

    store.read_verified(record, RecordKind.DEVICE)

    record.write_text('camera = "carried"\n')
    with pytest.raises(SignatureError, match="was changed"):
        store.read_verified(record, RecordKind.DEVICE)


def test_while_the_token_is_away_no_permit_is_recorded_and_then_it_goes_on(
    store: KeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(key: TokenKey, data: bytes) -> bytes:
        raise TokenError("token till did not sign: away")

    log = AuditLog.create_or_open(tmp_path / "audit", store.log_key())
    log.append(start(), durable=True)
    assert log.ready

    with monkeypatch.context() as patch:
        patch.setattr(TokenKey, "_signed", away)
        log.append(start(), durable=True)  # what is no permit is recorded all the same
        assert not log.ready
        assert not log.recover()
        with pytest.raises(AuditError, match="did not sign"):
            log.append(permit(1.0), durable=True)

    assert log.recover()
    log.append(permit(1.0), durable=True)
    log.close()
    assert verify_log(tmp_path / "audit", store.log_verifier()).entries == log.size


def test_after_a_lost_session_the_key_logs_in_again(store: KeyStore) -> None:
    key = store.log_key()
    key.key._key.session.close()

    assert key.verifier.valid(b"text", key.sign(b"text"))


def test_each_missing_part_is_named_in_one_line(
    store: KeyStore, place: TokenUri, tmp_path: Path
) -> None:
    secret = store.directory / "log.key"
    good = secret.read_text()
    pin = tmp_path / "hsm/pin"
    wrong = tmp_path / "wrong"
    wrong.write_text("0000\n")
    wrong.chmod(0o600)
    for old, new, why in (
        (str(place.module), "/nowhere/lib.so", "/nowhere/lib.so: no such file"),
        (str(place.module), str(wrong), "behind"),
        (place.token, "other", "expected one token named other"),
        ("%2Flog", "%2Fnone", "expected one public Ed25519 key"),
        (str(pin), str(tmp_path / "gone"), "No such file"),
        (str(pin), str(wrong), "PIN in"),
        (f"&pin-source=file:{pin}", "", "expected pin-source"),
    ):
        secret.write_text(good.replace(old, new))
        forget(place)
        with pytest.raises(UsageError) as err:
            store.log_key()
        assert why in str(err.value)
        assert "\n" not in str(err.value)
    pin.chmod(0o644)
    secret.write_text(good)
    with pytest.raises(UsageError, match="may be read by others"):
        store.log_key()

    pin.chmod(0o600)
    assert store.log_key().verifier == store.log_verifier()


def test_the_command_makes_a_key_in_a_token_and_says_so(
    place: TokenUri, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys"

    assert (
        main(["keys", "init", "--keys", str(keys), "--log-token", place.named("till/log").text])
        == 0
    )
    made = capsys.readouterr().out
    again = main(
        ["keys", "init", "--keys", str(tmp_path / "b"), "--log-token", place.named("till/log").text]
    )

    assert f"in token {place.token}" in made.splitlines()[-1]
    assert "in token" not in made.splitlines()[-2]  # the record key is in its file
    assert again == 2
    assert "has a till/log already" in capsys.readouterr().err
    assert not (tmp_path / "b/log.key").exists()


def test_a_command_says_in_one_line_that_the_token_did_not_sign(
    store: KeyStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record = tmp_path / "session.toml"
    record.write_text('operation = "detect"\ngallery = "none"\nconsent = "none"\n')
    kind = ["--kind", "session", "--keys", str(store.directory)]
    signing = ["keys", "sign", str(record), *kind]

    def away(key: TokenKey, data: bytes) -> bytes:
        raise TokenError("token till did not sign: away")

    with monkeypatch.context() as patch:
        patch.setattr(TokenKey, "_signed", away)
        assert main(signing) == 2

    assert capsys.readouterr().err == "framegate: token till did not sign: away\n"
    assert not record.with_name("session.toml.sig").exists()
    assert main(signing) == 0
    assert main(["keys", "verify", str(record), *kind]) == 0
