"""With other implementations of the protocol, in both directions, and over HTTP as they are used.

The package `witness-log` (Rust) is a witness, a log and a client that submits. `litewitness`, the
reference in Go, is here by the requests of its own tests, which other tools signed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edge.audit.cosignature import Witness, cosignatures, witness_of
from edge.audit.log import AuditLog
from edge.audit.note import Signer, Verifier
from edge.cli import main
from edge.fleet.courier import COSIGNED, FORKED
from edge.fleet.witness import Status, answer
from edge.fleet.witness_server import WitnessServer
from edge.fleet.witness_store import SqliteStore
from tests.fleet.histories import forked, honest
from tests.support.audit_helpers import start

LOG, EYE = Signer.generate("framegate-0001/log"), Signer.generate("witness.example/w1")
NOW_S = 1_790_000_000


@pytest.fixture
def other() -> Any:
    return pytest.importorskip("witness_log", reason="the package witness-log is not installed")


def test_another_witness_cosigns_our_log_and_notices_a_fork(other: Any) -> None:
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


def test_our_witness_cosigns_anothers_log(tmp_path: Path, other: Any) -> None:
    theirs = other.WitnessLog.generate()
    origin = theirs.canonical_origin()
    SqliteStore.create(tmp_path / "w.db")
    store = SqliteStore(tmp_path / "w.db", [Verifier.parse(theirs.c2sp_vkey(origin))])
    old = 0
    for size in (1, 2, 7, 40):
        while theirs.tree_size() < size:
            theirs.append_memory(b"entry %d" % theirs.tree_size())
        body = theirs.add_checkpoint_body(old).encode()
        assert answer(body, store, EYE, NOW_S).status is Status.COSIGNED
        old = size
    assert store.head(origin).size == 40
    assert store.head(origin).root.hex() == theirs.root_hex()


@contextmanager
def served(service: Any) -> Iterator[str]:
    """The other witness behind HTTP, which its package leaves to whoever runs it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, kind, reply = service.handle_add_checkpoint_http(body)
            self.send_response(status if self.path == "/add-checkpoint" else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(reply.encode())))
            self.end_headers()
            self.wfile.write(reply.encode())

        def log_message(self, *_: object) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(server: Any) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def grow(log: Path, count: int, shift: float = 0.0) -> None:
    journal = AuditLog.create_or_open(log, LOG)
    for _ in range(count):
        journal.append(start(float(journal.size) + shift), durable=False)
    journal.close()


@pytest.mark.slow
def test_our_courier_takes_our_log_to_anothers_witness_and_our_verifier_accepts_the_quorum(
    tmp_path: Path, other: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = other.WitnessService.new("witness.example/other", b"\x07" * 32)
    stranger = other.WitnessService.new("witness.example/other", b"\x08" * 32)
    theirs.add_log(LOG.name, LOG.verifier.text)
    audit, policy = tmp_path / "audit", tmp_path / "policy"
    courier = ["fleet", "courier", "--once", "--log", str(audit), "--policy", str(policy)]
    verify = ["audit", "verify", str(audit), "--key", str(audit / "log.pub"), "--witnesses"]

    with served(theirs) as url:
        policy.write_text(f"witness other {theirs.vkey()} {url}\nquorum other\n")
        for count in (30, 270, 1):  # within a tile, over its end, one more
            grow(audit, count)
            assert main(courier) == 0, capsys.readouterr().err
            assert main([*verify, str(policy)]) == 0
        assert "cosigned by witness.example/other at " in capsys.readouterr().err

        # the twin: a quorum of another key does not stand, nor does a cosignature that was touched
        policy.write_text(f"witness other {stranger.vkey()} {url}\nquorum other\n")
        assert main([*verify, str(policy)]) == 1
        assert main(courier) == 1
        policy.write_text(f"witness other {theirs.vkey()} {url}\nquorum other\n")
        kept = (audit / COSIGNED).read_text()
        (audit / COSIGNED).write_text(kept[:-9] + ("A" if kept[-9] != "A" else "B") + kept[-8:])
        assert main([*verify, str(policy)]) == 1
        (audit / COSIGNED).write_text(kept)

        for file in sorted(audit.rglob("*"), reverse=True):  # the thief's second history
            if file.name != COSIGNED:
                file.rmdir() if file.is_dir() else file.unlink()
        grow(audit, 320, shift=0.5)
        capsys.readouterr()
        assert main(courier) == 1
        assert "LOG_FORKED" in capsys.readouterr().err
        assert (audit / FORKED).is_file()


@pytest.mark.slow
def test_anothers_client_submits_to_our_witness_and_accepts_its_cosignature(
    tmp_path: Path, other: Any
) -> None:
    theirs = other.WitnessLog.generate()
    origin, state = theirs.canonical_origin(), str(tmp_path / "state.json")
    SqliteStore.create(tmp_path / "w.db")
    store = SqliteStore(tmp_path / "w.db", [Verifier.parse(theirs.c2sp_vkey(origin))])
    server = WitnessServer(("127.0.0.1", 0), store, EYE, lambda _: None, lambda: NOW_S)

    def submitted(key: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{server.server_port}"
        entry = json.loads(other.witness_entry_independent(EYE.name, "ours", url, key))
        found: dict[str, Any] = theirs.submit(
            {"witnesses": [entry]}, want=1, min=1, state_path=state, timeout=30
        )
        return found

    with running(server):
        for size in (1, 6, 7, 40):
            while theirs.tree_size() < size:
                theirs.append_memory(b"entry %d" % theirs.tree_size())
            found = submitted(witness_of(EYE).public.hex())
            assert [one["status"] for one in found["outcomes"]] == [200], found
            assert (found["cosignatures"], found["tree_size"]) == (1, size)
            assert store.head(origin).root.hex() == theirs.root_hex()

        theirs.append_memory(b"one more")
        found = submitted(witness_of(Signer.generate(EYE.name)).public.hex())
        assert found["cosignatures"] == 0  # the twin: they take it for no other key's


# The requests of litewitness's own tests (Go, internal/witness/witness_test.go): a sigsum log that
# other tools signed, with the answers that litewitness is tested for.
_SIGSUM = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
_SIGSUM_KEY = "ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f"


def _sigsum(old: int, path: str, size: int, root: str, signature: str) -> bytes:
    lines = "".join(line + "\n" for line in path.split())
    note = f"{_SIGSUM}\n{size}\n{root}\n\n— {_SIGSUM} {signature}\n"
    return f"old {old}\n{lines}\n{note}".encode()


_ONE = (
    "KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=",
)
_THREE = (
    "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    3,
    "RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=",
    "UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=",
)
_FIVE = (
    "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= +fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI= "
    "KgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    5,
    "QrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=",
    "UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=",
)


def test_our_witness_answers_litewitness_requests_as_litewitness_is_tested_to(
    tmp_path: Path,
) -> None:
    SqliteStore.create(tmp_path / "w.db")
    key = Verifier(_SIGSUM, bytes.fromhex(_SIGSUM_KEY))
    store = SqliteStore(tmp_path / "w.db", [key])

    def asked(body: bytes) -> tuple[int, int]:
        found = answer(body, store, EYE, NOW_S)
        return int(found.status), store.head(_SIGSUM).size

    many = _sigsum(0, " ".join([_FIVE[0].split()[0]] * 64), 1, *_ONE)
    assert asked(many) == (400, 0)
    assert asked(_sigsum(0, "", 1, *_ONE)) == (200, 1)
    assert asked(_sigsum(1, *_FIVE)) == (200, 5)
    assert asked(_sigsum(1, *_THREE)) == (409, 5)  # it lost the race, and rolls nothing back
    assert asked(_sigsum(1, _FIVE[0], 5, _FIVE[2], _THREE[3])) == (403, 5)
    assert store.head(_SIGSUM).root.hex() == (
        "42bb57ad06420afa4882c4a63ac6a1ec77480b330b2f20dfc53a0caa5f564e36"
    )


def test_a_log_that_goes_on_from_the_three_that_lost_the_race_is_consistent(
    tmp_path: Path,
) -> None:
    """The twin: the same request for size 3 is cosigned where nothing came before it."""
    SqliteStore.create(tmp_path / "w.db")
    store = SqliteStore(tmp_path / "w.db", [Verifier(_SIGSUM, bytes.fromhex(_SIGSUM_KEY))])
    for body in (_sigsum(0, "", 1, *_ONE), _sigsum(1, *_THREE)):
        assert answer(body, store, EYE, NOW_S).status is Status.COSIGNED
