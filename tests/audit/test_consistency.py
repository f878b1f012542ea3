"""A log continues an older checkpoint: proven and checked against the standard's own words."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from pathlib import Path

import pytest

from edge.audit.log import AuditLog
from edge.audit.note import Signer, sign_note
from edge.audit.paths import root_of
from edge.audit.proofs.consistency import (
    MAX_REQUEST_BYTES,
    Inconsistent,
    Request,
    check_consistency,
    consistency_path,
    read_request,
    shows_fork,
    verify_consistency,
    written,
)
from edge.audit.proofs.merkle import EMPTY_ROOT, leaf_hash
from edge.audit.segment import checkpoint_text
from edge.cli import main
from edge.errors import AuditError
from tests.audit.test_merkle import CT_LEAVES
from tests.support.audit_helpers import start

KEY = Signer.generate("framegate-test/log")
# Of the reference tests of Certificate Transparency, over the leaves of `test_merkle`.
CT_PROOFS = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def mth(entries: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, word for word."""
    n = len(entries)
    if n == 0:
        return hashlib.sha256(b"").digest()
    if n == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return hashlib.sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def proof(m: int, entries: list[bytes], whole: bool = True) -> list[bytes]:
    """SUBPROOF of RFC 6962, 2.1.2, word for word; PROOF with `whole`."""
    n = len(entries)
    if m == n:
        return [] if whole else [mth(entries)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*proof(m, entries[:k], whole), mth(entries[k:])]
    return [*proof(m - k, entries[k:], False), mth(entries[:k])]


def path_of(entries: list[bytes], old: int) -> list[bytes]:
    leaves = [leaf_hash(entry) for entry in entries]
    return consistency_path(old, len(entries), lambda low, high: root_of(leaves[low:high]))


def entries(count: int, salt: str = "") -> list[bytes]:
    return [f"entry {i}{salt}".encode() for i in range(count)]


def test_paths_are_those_of_the_published_vectors() -> None:
    leaves = [bytes.fromhex(leaf) for leaf in CT_LEAVES]

    for (old, size), hashes in CT_PROOFS.items():
        assert [found.hex() for found in path_of(leaves[:size], old)] == hashes


@pytest.mark.slow
def test_paths_are_those_of_the_standards_own_recursion_and_each_is_good() -> None:
    for size in range(1, 71):
        some = entries(size)
        for old in range(1, size + 1):
            path = path_of(some, old)
            assert path == proof(old, some)
            check_consistency(old, mth(some[:old]), size, mth(some), path)


@pytest.mark.slow
def test_a_path_proves_nothing_but_what_it_is_for() -> None:
    rng = random.Random(6962)
    for _ in range(300):
        size = rng.randint(2, 300)
        old = rng.randint(1, size - 1)
        some, others = entries(size), entries(size, "x")
        path = path_of(some, old)
        good = (old, mth(some[:old]), size, mth(some), path)
        spoilt = [
            (old, mth(others[:old]), *good[2:]),
            (*good[:3], mth(others), path),
            (old - 1, *good[1:]),
            (*good[:2], size + size, *good[3:]),
            (*good[:4], path[:-1]),
            (*good[:4], [*path, path[-1]]),
            (*good[:4], [*path[1:], path[0]] if path[1:] and path[0] != path[-1] else path[1:]),
        ]
        for case in spoilt:
            with pytest.raises(Inconsistent):
                check_consistency(*case)  # type: ignore[arg-type]
        check_consistency(*good)


def test_a_path_shows_a_fork_only_if_it_leads_to_the_newer_root_and_to_another_older_one() -> None:
    """Of a second history; none of a history that goes on, and none by a path that is made up."""
    rng = random.Random(9162)
    for size in range(2, 24):
        some = entries(size)
        for old in range(1, size):
            at = rng.randrange(old)
            other = [*some[:at], b"another", *some[at + 1 :]]
            fork = (old, mth(some[:old]), size, mth(other), path_of(other, old))
            shown = bool(old & (old - 1))  # if not, the path holds nothing of the older tree
            assert shows_fork(*fork) is shown
            good = (old, mth(some[:old]), size, mth(some), path_of(some, old))
            assert not shows_fork(*good)
            for path in ([], [*good[4], good[3]], [rng.randbytes(32) for _ in good[4]], fork[4]):
                assert not shows_fork(*good[:4], path)
    root = mth(entries(5))
    assert shows_fork(5, mth(entries(5, "x")), 5, root, [])
    assert not shows_fork(5, root, 5, root, [root])
    assert not shows_fork(0, EMPTY_ROOT, 5, root, [root])
    assert not shows_fork(6, mth(entries(6)), 5, root, [])


def test_the_ends_need_no_path_and_take_none() -> None:
    root = mth(entries(5))

    check_consistency(0, EMPTY_ROOT, 5, root, [])
    check_consistency(5, root, 5, root, [])
    for case in [
        (0, EMPTY_ROOT, 5, root, [root]),
        (0, root, 5, root, []),
        (5, root, 5, root, [root]),
        (5, mth(entries(5, "x")), 5, root, []),
        (6, root, 5, root, []),
        (3, mth(entries(3)), 5, root, []),
    ]:
        with pytest.raises(Inconsistent):
            check_consistency(*case)  # type: ignore[arg-type]


NOTE = sign_note(checkpoint_text(KEY.name, 5, mth(entries(5))), [KEY])


def test_a_request_is_read_as_it_was_written() -> None:
    request = Request(3, tuple(path_of(entries(5), 3)), NOTE)

    assert read_request(written(request)) == request
    assert read_request(written(dataclasses.replace(request, old=0, path=()))).path == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 3\n",
        b"3\n\n" + NOTE,
        b"old  3\n\n" + NOTE,
        b"old 03\n\n" + NOTE,
        b"old -1\n\n" + NOTE,
        b"old 3.0\n\n" + NOTE,
        b"old 3\nhash\n\n" + NOTE,
        b"old 3\nAAAA\n\n" + NOTE,
        b"old 3\n" + b"A" * 43 + b"=\n" * 64 + b"\n" + NOTE,
        b"old 3\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + NOTE,
        b"old 3\n\n" + b"x" * MAX_REQUEST_BYTES,
        b"\xff\xfe\n\n" + NOTE,
    ],
    ids=[str(number) for number in range(13)],  # the key is a new one in each worker
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(AuditError):
        read_request(body)


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, Path]:
    """A log of 700 entries (so that tiles are full), and its checkpoint of 300."""
    log = AuditLog.create_or_open(tmp_path / "audit", KEY)
    old = tmp_path / "kept"
    for number in range(700):
        log.append(start(float(number)), durable=False)
        if number == 299:
            log.sync()

            old.write_bytes((tmp_path / "audit" / "checkpoint").read_bytes())
    log.close()
    (tmp_path / "log.pub").write_text(KEY.verifier.text + "\n")
    return tmp_path, old


def test_the_commands_make_a_proof_from_the_tiles_and_check_it_alone(
    kept: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, old = kept
    proof_file, key = folder / "continues", ["--key", str(folder / "log.pub")]
    seen = ["--checkpoint", str(old), *key]

    assert main(["audit", "prove", str(folder / "audit"), *seen, "--out", str(proof_file)]) == 0
    assert main(["audit", "verify-proof", str(proof_file), *seen]) == 0
    assert "proven: the 700 entries" in capsys.readouterr().out
    assert verify_consistency(proof_file.read_bytes(), old.read_bytes(), KEY.verifier) == (300, 700)
    assert main(["audit", "verify-proof", str(proof_file), *key]) == 2  # without the older one


@pytest.mark.slow
def test_a_log_that_was_changed_proves_nothing(
    kept: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, old = kept
    fork = AuditLog.create_or_open(folder / "fork", KEY)
    for number in range(700):
        fork.append(start(float(number + (number == 150))), durable=False)
    fork.close()
    seen = ["--checkpoint", str(old), "--key", str(folder / "log.pub")]

    assert main(["audit", "prove", str(folder / "fork"), *seen]) == 1
    assert "does not continue that of 300" in capsys.readouterr().err
    good = folder / "continues"
    main(["audit", "prove", str(folder / "audit"), *seen, "--out", str(good)])
    forged = (
        good.read_bytes().split(b"\n\n")[0] + b"\n\n" + (folder / "fork/checkpoint").read_bytes()
    )
    good.write_bytes(forged)
    assert main(["audit", "verify-proof", str(good), *seen]) == 1
    stranger = folder / "stranger.pub"
    stranger.write_text(Signer.generate("other/log").verifier.text + "\n")
    args = ["--checkpoint", str(old), "--key", str(stranger)]
    assert main(["audit", "verify-proof", str(good), *args]) == 2
