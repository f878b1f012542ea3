"""With another implementation of the protocol, in both directions, where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.audit.cosignature import Witness, cosignatures
from edge.audit.note import Signer, Verifier
from edge.fleet.witness import Status, answer
from edge.fleet.witness_store import SqliteStore
from tests.fleet.histories import forked, honest

other = pytest.importorskip("witness_log", reason="the package witness-log is not installed")
LOG, EYE = Signer.generate("framegate-0001/log"), Signer.generate("witness.example/w1")


def test_another_witness_cosigns_our_log_and_notices_a_fork(tmp_path: Path) -> None:
    theirs = other.WitnessService.new("witness.example/other", b"\x07" * 32)
    theirs.add_log(LOG.name, LOG.verifier.text)
    witness, history = Witness.parse(theirs.vkey()), honest(LOG, 40)

    for old, size in [(0, 5), (5, 6), (6, 40)]:
        status, lines = theirs.handle_add_checkpoint(history.request(old, size).decode())
        assert status == 200
        note = history.note(size) + lines.encode()
        assert [found.witness for found in cosignatures(note, (witness,))] == [witness]
    status, _ = theirs.handle_add_checkpoint(forked(LOG, 44, 3).request(40, 44).decode())
    assert status == 422


def test_our_witness_cosigns_anothers_log(tmp_path: Path) -> None:
    theirs = other.WitnessLog.generate()
    origin = theirs.canonical_origin()
    SqliteStore.create(tmp_path / "w.db")
    store = SqliteStore(tmp_path / "w.db", [Verifier.parse(theirs.c2sp_vkey(origin))])
    old = 0
    for size in (1, 2, 7, 40):
        while theirs.tree_size() < size:
            theirs.append_memory(b"entry %d" % theirs.tree_size())
        body = theirs.add_checkpoint_body(old).encode()
        assert answer(body, store, EYE, 1_790_000_000).status is Status.COSIGNED
        old = size
    assert store.head(origin).size == 40
    assert store.head(origin).root.hex() == theirs.root_hex()
