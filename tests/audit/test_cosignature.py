"""A witness's line under a checkpoint: it signs a time, and can be taken for nothing else."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.audit.cosignature import (
    Witness,
    cosign,
    cosignatures,
    read_cosignature,
    witness_of,
)
from edge.audit.note import NoteError, Signer, read_note, sign_note
from edge.audit.segment import checkpoint_text

LOG = Signer("framegate-test/log", Ed25519PrivateKey.from_private_bytes(b"\x07" * 32))
EYE = Signer("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"\x08" * 32))
OTHER = Signer("witness.example/w2", Ed25519PrivateKey.from_private_bytes(b"\x09" * 32))
TEXT = checkpoint_text(LOG.name, 5, b"\x05" * 32)
NOTE = sign_note(TEXT, [LOG])
TIME_S = 1_679_315_147
# The example of the format's own text, whose key is not given there.
EXAMPLE = (
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2o"
    "yin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_a_cosignature_is_what_the_format_says_byte_for_byte() -> None:
    public = EYE.key.public_key().public_bytes_raw()
    message = b"cosignature/v1\ntime 1679315147\n" + TEXT
    key_id = hashlib.sha256(b"witness.example/w1\n\x04" + public).digest()[:4]
    raw = key_id + (1_679_315_147).to_bytes(8, "big") + EYE.key.sign(message)

    line = cosign(TEXT, EYE, TIME_S)

    assert line == "— witness.example/w1 ".encode() + base64.b64encode(raw) + b"\n"
    example = base64.b64decode(EXAMPLE.split(" ")[2])
    assert len(example) == len(raw)
    assert int.from_bytes(example[4:12], "big") == TIME_S


def test_it_is_found_under_the_checkpoint_and_only_there() -> None:
    line = cosign(TEXT, EYE, TIME_S)
    witness = witness_of(EYE)

    (found,) = cosignatures(NOTE + line, (witness, witness_of(OTHER)))

    assert (found.witness, found.time_s) == (witness, TIME_S)
    assert read_note(NOTE + line, [LOG.verifier])[1] == (LOG.verifier,)  # passed over by others
    assert cosignatures(NOTE, (witness,)) == ()
    with pytest.raises(NoteError, match="does not match the checkpoint"):
        read_cosignature(line, checkpoint_text(LOG.name, 6, b"\x05" * 32), witness)


def test_the_newest_of_a_witness_counts() -> None:
    lines = b"".join(cosign(TEXT, EYE, TIME_S + later) for later in (0, 9, 3))

    (found,) = cosignatures(NOTE + lines, (witness_of(EYE),))

    assert found.time_s == TIME_S + 9


def test_another_time_another_name_or_another_kind_of_signature_is_none() -> None:
    witness = witness_of(EYE)
    raw = base64.b64decode(cosign(TEXT, EYE, TIME_S).split(b" ")[2])

    def line(raw: bytes) -> bytes:
        return "— witness.example/w1 ".encode() + base64.b64encode(raw) + b"\n"

    later = raw[:4] + (TIME_S + 1).to_bytes(8, "big") + raw[12:]
    for spoilt in (later, raw[:-1], raw + b"\0", raw[:4] + b"\xff" * 8 + raw[12:]):
        with pytest.raises(NoteError):
            read_cosignature(line(spoilt), TEXT, witness)
    assert read_cosignature(line(b"\0" * 4 + raw[4:]), TEXT, witness) is None
    assert cosignatures(sign_note(TEXT, [EYE]), (witness,)) == ()  # a plain signature, type 1


def test_a_key_is_read_as_it_was_written_and_no_other_kind_is() -> None:
    witness = witness_of(EYE)

    assert Witness.parse(witness.text + "\n") == witness
    for text in (EYE.verifier.text, witness.text[:-4], "x", "", witness.text.replace("w1", "w2")):
        with pytest.raises(NoteError):
            Witness.parse(text)
