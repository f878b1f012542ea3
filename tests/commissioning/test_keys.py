"""The local key store: made once, read by the owner alone, signs by kind."""

import os
import stat

import pytest

from edge.cli import main
from edge.commissioning.keys import KeyStore, RecordKind
from edge.errors import SignatureError, UsageError


@pytest.fixture
def store(tmp_path):
    return KeyStore.init(tmp_path / "keys")


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "device.toml"
    path.write_text('camera = "fixed"\n')
    return path


def test_secret_keys_may_be_read_by_the_owner_alone(store):
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in store.directory.iterdir()}

    assert modes == {
        "record.key": 0o600,
        "log.key": 0o600,
        "board.key": 0o600,
        "record.pub": 0o644,
        "log.pub": 0o644,
    }


def test_a_secret_key_that_others_may_read_is_not_used(store):
    os.chmod(store.directory / "board.key", 0o640)

    with pytest.raises(UsageError, match="may be read by others"):
        store.board_key()


def test_init_never_overwrites_a_key(store):
    before = {p.name: p.read_bytes() for p in store.directory.iterdir()}

    with pytest.raises(UsageError, match="never overwritten"):
        KeyStore.init(store.directory)

    assert {p.name: p.read_bytes() for p in store.directory.iterdir()} == before


def test_two_stores_share_no_key(store, tmp_path):
    other = KeyStore.init(tmp_path / "other")

    assert store.board_key() != other.board_key()
    assert len(store.board_key()) == 32
    assert store.log_key().verifier != other.log_key().verifier
    assert store.log_key().verifier == KeyStore.open(store.directory).log_verifier()


def test_a_signed_record_verifies_with_the_public_key_alone(store, record):
    store.sign_file(record, RecordKind.DEVICE)
    for name in ("record.key", "log.key", "log.pub", "board.key"):
        (store.directory / name).unlink()

    KeyStore.open(store.directory).read_verified(record, RecordKind.DEVICE)

    assert store.read_verified(record, RecordKind.DEVICE) == record.read_bytes()


def _unsign(record, store):
    record.with_name("device.toml.sig").unlink()


def _change(record, store):
    record.write_text(record.read_text() + "\n")


def _garble(record, store):
    record.with_name("device.toml.sig").write_text("not a note")


def _sign_by_stranger(record, store):
    stranger = KeyStore.init(store.directory.with_name("stranger"))
    stranger.sign_file(record, RecordKind.DEVICE)


def _sign_as_session(record, store):
    store.sign_file(record, RecordKind.SESSION)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_unsign, "unsigned"),
        (_change, "changed after"),
        (_garble, "expected a signed note"),
        (_sign_by_stranger, "expected a signature by"),
        (_sign_as_session, "signed as session, expected device"),
    ],
)
def test_a_record_that_is_not_what_was_signed_is_refused(store, record, spoil, says):
    store.sign_file(record, RecordKind.DEVICE)
    spoil(record, store)

    with pytest.raises(SignatureError, match=says) as refusal:
        store.read_verified(record, RecordKind.DEVICE)

    assert str(record) in str(refusal.value)


def test_the_command_makes_signs_and_checks(tmp_path, record, capsys):
    keys = ["--keys", str(tmp_path / "mine")]

    assert main(["keys", "init", *keys]) == 0
    assert main(["keys", "sign", str(record), "--kind", "device", *keys]) == 0
    assert main(["keys", "verify", str(record), "--kind", "device", *keys]) == 0
    assert "good device signature" in capsys.readouterr().out
    _change(record, None)
    assert main(["keys", "verify", str(record), "--kind", "device", *keys]) == 1
    assert main(["keys", "init", *keys]) == 2
    assert main(["keys", "verify", str(tmp_path / "none"), "--kind", "device", *keys]) == 2
    assert main(["keys", "show", "--keys", str(tmp_path / "nowhere")]) == 2


def test_the_command_never_prints_a_secret(store, capsys):
    main(["keys", "show", "--keys", str(store.directory)])

    printed = "".join(capsys.readouterr())
    for name in ("record.key", "log.key", "board.key"):
        text = (store.directory / name).read_text().strip()
        secret = text.split("+", 4)[-1]  # it may hold a + itself
        assert len(secret) > 30 and secret not in printed


def test_a_receipt_takes_no_other_ones_place(tmp_path, capsys):
    out, keys = tmp_path / "r-17.token", ["--keys", str(tmp_path / "keys")]
    words = ["--lane", "verify_1_1", "--site", "till-2", "--days", "90", "--out", str(out), *keys]
    assert main(["keys", "init", *keys]) == 0
    assert main(["keys", "receipt", "--number", "r-17", "--person", "a" * 64, *words]) == 0
    first = out.read_bytes()
    capsys.readouterr()

    assert main(["keys", "receipt", "--number", "r-18", "--person", "b" * 64, *words]) == 2

    assert f"{out} is there already: nothing is overwritten" in capsys.readouterr().err
    assert out.read_bytes() == first
