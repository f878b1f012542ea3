"""Signed notes: keys as text, signing, and what is refused."""

import pytest

from edge.audit.note import NoteError, Signer, Verifier, read_note, sign_note, signature_line

# The example of the note format's own documentation (Go, golang.org/x/mod/sumdb/note).
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
MESSAGE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    MESSAGE + "\n— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_made_by_another_implementation_verifies():
    key = Verifier.parse(NEUMANN)

    text, signed = read_note(NOTE.encode(), [key])

    assert text == MESSAGE.encode()
    assert signed == (key,)
    assert key.text == NEUMANN


def test_keys_survive_the_way_through_text():
    signer = Signer.generate("example.org/log")

    assert Signer.parse(signer.secret_text).verifier == signer.verifier
    assert Verifier.parse(signer.verifier.text) == signer.verifier


def test_a_note_may_carry_several_signatures_and_says_which_it_trusts():
    ours, theirs = Signer.generate("ours"), Signer.generate("theirs")
    note = sign_note(b"text\n", [ours, theirs])

    assert read_note(note, [ours.verifier])[1] == (ours.verifier,)
    assert read_note(note, [theirs.verifier, ours.verifier])[1] == (ours.verifier, theirs.verifier)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda n: n.replace(b"problem", b"Problem", 1),
        lambda n: n.replace(b"x08go/ZJ", b"x08go/ZK"),
        lambda n: n[:-1],
        lambda n: n.replace(b"\n\n", b"\n"),
        lambda n: n + b"not a signature\n",
        lambda n: n.replace(b"PeterNeumann x08g", b"PeterNeumann !08g"),
        lambda n: n.replace(b"If", b"\xff"),
        lambda n: b"",
        lambda n: n + b"x" * 70_000,
    ],
)
def test_a_spoilt_note_is_refused(spoil):
    with pytest.raises(NoteError):
        read_note(spoil(NOTE.encode()), [Verifier.parse(NEUMANN)])


def test_a_note_without_a_trusted_signature_is_refused():
    stranger = Signer.generate("PeterNeumann")  # the right name, another key

    with pytest.raises(NoteError, match="expected a signature by"):
        read_note(sign_note(MESSAGE.encode(), [stranger]), [Verifier.parse(NEUMANN)])


def test_a_bad_signature_that_claims_a_trusted_key_spoils_a_good_note():
    ours, theirs = Signer.generate("ours"), Signer.generate("theirs")
    note = sign_note(b"text\n", [ours]) + signature_line(theirs.verifier, bytes(64))

    assert read_note(note, [ours.verifier])[0] == b"text\n"
    with pytest.raises(NoteError, match="signature by theirs"):
        read_note(note, [ours.verifier, theirs.verifier])


@pytest.mark.parametrize(
    "text",
    ["", "a+b", "a b+00000000+AA==", NEUMANN.replace("c74f20a3", "c74f20a4"), NEUMANN[:-4]],
)
def test_a_malformed_public_key_is_refused(text):
    with pytest.raises(NoteError):
        Verifier.parse(text)


def test_a_spoilt_private_key_is_refused_without_being_repeated():
    secret = Signer.generate("name").secret_text

    with pytest.raises(NoteError) as refusal:
        Signer.parse(secret[:-8])

    assert secret[-20:-8] not in str(refusal.value)
