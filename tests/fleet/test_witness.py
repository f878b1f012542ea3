"""A witness: every answer of the protocol, and no second history beside the first."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from edge.audit.cosignature import cosignatures, witness_of
from edge.audit.note import Signer, sign_note
from edge.audit.paths import root_of
from edge.audit.proofs.consistency import Request, written
from edge.audit.proofs.merkle import EMPTY_ROOT
from edge.audit.segment import checkpoint_text
from edge.errors import UsageError
from edge.fleet.witness import SIZE_TYPE, Answer, Head, Status, answer
from edge.fleet.witness_store import LogStatus, SqliteStore
from tests.fleet.histories import History, forked, honest

LOG, SECOND, STRANGER = (Signer.generate(f"framegate-{n}/log") for n in ("0001", "0002", "9999"))
EYE = Signer.generate("witness.example/w1")
NOW_S = 1_790_000_000
HISTORY = honest(LOG, 40)
FORK = forked(LOG, 40, 5)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return opened(tmp_path / "w.db")


def opened(path: Path) -> SqliteStore:
    if not path.exists():
        SqliteStore.create(path)
    return SqliteStore(path, [LOG.verifier, SECOND.verifier])


def ask(store: SqliteStore, body: bytes) -> Answer:
    return answer(body, store, EYE, NOW_S)


def test_a_log_that_grows_is_cosigned_each_time(store: SqliteStore) -> None:
    for old, size in [(0, 1), (1, 7), (7, 7), (7, 40)]:
        found = ask(store, HISTORY.request(old, size))
        assert found.status is Status.COSIGNED
        note = HISTORY.note(size) + found.body
        (line,) = cosignatures(note, (witness_of(EYE),))
        assert line.time_s == NOW_S
        assert store.head(LOG.name) == Head(size, HISTORY.root(size), HISTORY.note(size))
    assert store.evidence() == ()


def test_an_empty_log_may_be_the_first_and_grow(store: SqliteStore) -> None:
    assert ask(store, HISTORY.request(0, 0)).status is Status.COSIGNED
    assert ask(store, HISTORY.request(0, 3)).status is Status.COSIGNED


def test_logs_do_not_know_each_other(store: SqliteStore) -> None:
    other = honest(SECOND, 3)

    assert ask(store, HISTORY.request(0, 9)).status is Status.COSIGNED
    assert ask(store, other.request(0, 3)).status is Status.COSIGNED
    assert {name: head.size for name, head in store.heads().items()} == {
        LOG.name: 9,
        SECOND.name: 3,
    }


def _signed_by(signer: Signer, size: int = 9) -> bytes:
    text = checkpoint_text(LOG.name, size, HISTORY.root(size))
    return sign_note(text, [Signer(LOG.name, signer.key)])


def _with(old: int, note: bytes, path: tuple[bytes, ...] = ()) -> bytes:
    return written(Request(old, path, note))


GOOD_PATH = HISTORY.request(5, 9).split(b"\n\n")[0]
CASES = [
    ("unknown origin", honest(STRANGER, 3).request(0, 3), Status.UNKNOWN_LOG),
    ("unknown key", _with(5, _signed_by(STRANGER)), Status.NOT_SIGNED),
    ("signature of another size", HISTORY.request(5, 9).replace(b"\n9\n", b"\n8\n"), 403),
    ("no signature", HISTORY.request(5, 9).rpartition("— ".encode())[0], Status.NOT_SIGNED),
    ("old above size", _with(10, HISTORY.note(9)), Status.MALFORMED),
    ("old not cosigned", HISTORY.request(4, 9), Status.CONFLICT),
    ("nothing cosigned, it says", HISTORY.request(0, 9), Status.CONFLICT),
    ("rollback", HISTORY.request(3, 4), Status.CONFLICT),
    ("same size, another root", forked(LOG, 5, 2).request(5, 5), 409),
    ("a fork", forked(LOG, 9, 2).request(5, 9), Status.NOT_CONSISTENT),
    ("no path", _with(5, HISTORY.note(9)), Status.NOT_CONSISTENT),
    ("path of another size", GOOD_PATH + b"\n\n" + HISTORY.note(10), Status.NOT_CONSISTENT),
    ("a path too many", GOOD_PATH + b"\n" + b"A" * 43 + b"=\n\n" + HISTORY.note(9), 422),
    ("64 lines", b"old 5\n" + (b"A" * 43 + b"=\n") * 64 + b"\n" + HISTORY.note(9), 400),
    ("63 lines", b"old 5\n" + (b"A" * 43 + b"=\n") * 63 + b"\n" + HISTORY.note(9), 422),
    ("path from the same size", _with(5, HISTORY.note(5), (EMPTY_ROOT,)), 422),
    ("leading zero", HISTORY.request(5, 9).replace(b"old 5", b"old 05"), Status.MALFORMED),
    ("negative", HISTORY.request(5, 9).replace(b"old 5", b"old -5"), Status.MALFORMED),
    ("no empty line", HISTORY.request(5, 9).replace(b"\n\n", b"\n"), Status.MALFORMED),
    ("hash not base64", b"old 5\n!!!\n\n" + HISTORY.note(9), Status.MALFORMED),
    ("short hash", b"old 5\nAAAA\n\n" + HISTORY.note(9), Status.MALFORMED),
    ("absurd size", HISTORY.request(5, 9).replace(b"old 5", b"old " + b"9" * 400), 400),
    ("not text", b"\xff" * 100, Status.MALFORMED),
    ("empty", b"", Status.MALFORMED),
    ("too long", HISTORY.request(5, 9) + b"x" * 70_000, Status.MALFORMED),
    ("carriage returns", HISTORY.request(5, 9).replace(b"\n", b"\r\n"), Status.MALFORMED),
]


@pytest.mark.parametrize(("name", "body", "status"), CASES, ids=[case[0] for case in CASES])
def test_a_request_that_is_not_in_order_gets_its_status_and_changes_nothing(
    store: SqliteStore, name: str, body: bytes, status: int
) -> None:
    assert ask(store, HISTORY.request(0, 5)).status is Status.COSIGNED

    found = ask(store, body)

    assert found.status == status, found
    assert store.head(LOG.name).size == 5
    assert set(store.heads()) == {LOG.name}
    if status == Status.CONFLICT:
        assert (found.body, found.content_type) == (b"5\n", SIZE_TYPE)
    assert b"\xe2\x80\x94 " not in found.body  # no signature line
    assert ask(store, HISTORY.request(5, 9)).status is Status.COSIGNED  # and the log goes on


LEAF = HISTORY.leaves[0]


@pytest.mark.parametrize(
    ("known", "old", "size", "root", "path", "status"),
    [
        (0, 0, 0, EMPTY_ROOT, (), 200),
        (0, 0, 0, LEAF, (), 422),  # an empty tree has one root
        (0, 0, 0, bytes(32), (), 422),
        (0, 0, 0, EMPTY_ROOT, (LEAF,), 422),
        (0, 0, 1, LEAF, (), 200),
        (0, 0, 1, LEAF, (LEAF,), 422),  # the first tree needs no proof
        (1, 0, 1, LEAF, (LEAF,), 409),
        (1, 1, 0, EMPTY_ROOT, (), 400),
    ],
)
def test_the_first_trees_are_taken_without_a_proof_and_never_with_one(
    store: SqliteStore,
    known: int,
    old: int,
    size: int,
    root: bytes,
    path: tuple[bytes, ...],
    status: int,
) -> None:
    if known:
        assert ask(store, HISTORY.request(0, known)).status is Status.COSIGNED

    found = ask(store, _with(old, sign_note(checkpoint_text(LOG.name, size, root), [LOG]), path))

    assert found.status == status, found
    assert store.head(LOG.name).size == (size if status == Status.COSIGNED else known)


def test_a_replayed_request_is_a_conflict_and_rolls_nothing_back(store: SqliteStore) -> None:
    first = HISTORY.request(0, 5)
    assert ask(store, first).status is Status.COSIGNED
    assert ask(store, HISTORY.request(5, 9)).status is Status.COSIGNED

    assert ask(store, first).status is Status.CONFLICT
    assert store.head(LOG.name).size == 9


def test_lines_after_the_root_are_cosigned_too(store: SqliteStore) -> None:
    text = checkpoint_text(LOG.name, 5, HISTORY.root(5)) + b"an extension\n"
    note = sign_note(text, [LOG])

    found = ask(store, _with(0, note))

    assert found.status is Status.COSIGNED
    assert cosignatures(note + found.body, (witness_of(EYE),))


@pytest.mark.slow
def test_a_fork_is_kept_with_both_signed_heads_and_not_without_end(store: SqliteStore) -> None:
    ask(store, HISTORY.request(0, 5))
    twin, fork = forked(LOG, 5, 2).request(5, 5), forked(LOG, 9, 2).request(5, 9)

    assert (ask(store, twin).forked, ask(store, fork).forked) == (LOG.name, LOG.name)
    assert ask(store, HISTORY.request(3, 9)).forked == ""  # stale, and honest

    assert [(p.head, p.request) for p in store.evidence()] == [
        (HISTORY.note(5), twin),
        (HISTORY.note(5), fork),
    ]
    for _ in range(40):
        ask(store, fork)
    assert len(store.evidence()) == 16


JUNK = [
    _with(5, HISTORY.note(9)),
    GOOD_PATH + b"\n\n" + HISTORY.note(10),
    GOOD_PATH + b"\n" + b"A" * 43 + b"=\n\n" + HISTORY.note(9),
    b"old 5\n" + (b"A" * 43 + b"=\n") * 63 + b"\n" + HISTORY.note(9),
    _with(5, HISTORY.note(9), (HISTORY.leaves[0],) * 4),
]


def test_a_public_checkpoint_with_a_made_up_proof_accuses_no_log(store: SqliteStore) -> None:
    """Anybody may send it; the twin is the log's own second history, which is an accusation."""
    ask(store, HISTORY.request(0, 5))
    for body in JUNK * 4:
        found = answer(body, store, EYE, NOW_S + 10)
        assert (found.status, found.forked, found.unproven) == (422, "", LOG.name)
    assert [piece.proof for piece in store.evidence()] == [False] * 4  # bounded, with room left

    def status() -> LogStatus:
        return next(s.status for s in store.states(NOW_S + 30, 60) if s.origin == LOG.name)

    assert status() is LogStatus.UNPROVEN
    assert answer(HISTORY.request(5, 9), store, EYE, NOW_S + 20).status is Status.COSIGNED
    assert status() is LogStatus.OK  # it came by itself, and continued

    fork = answer(forked(LOG, 12, 2).request(9, 12), store, EYE, NOW_S + 25)
    assert (fork.status, fork.forked, fork.unproven) == (422, LOG.name, "")
    assert status() is LogStatus.FORKED
    assert [piece.proof for piece in store.evidence()] == [False] * 4 + [True]


def test_a_fork_from_a_size_whose_proofs_hold_nothing_of_the_older_tree_is_refused_and_named(
    store: SqliteStore,
) -> None:
    ask(store, HISTORY.request(0, 8))

    found = ask(store, forked(LOG, 12, 2).request(8, 12))

    assert (found.status, found.forked, found.unproven) == (422, "", LOG.name)
    assert ask(store, forked(LOG, 8, 2).request(8, 8)).forked == LOG.name


def test_a_witness_remembers_over_a_restart_and_is_never_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "w.db"
    store = opened(path)
    ask(store, HISTORY.request(0, 5))
    store.close()

    again = opened(path)

    assert ask(again, FORK.request(0, 9)).status is Status.CONFLICT
    assert ask(again, HISTORY.request(5, 9)).status is Status.COSIGNED
    with pytest.raises(UsageError, match="must not forget"):
        SqliteStore.create(path)
    with pytest.raises(UsageError, match="expected a witness's state file"):
        SqliteStore(tmp_path / "gone.db", [])
    (tmp_path / "odd.db").write_bytes(b"no database at all, but some bytes of text")
    with pytest.raises(UsageError, match="expected a witness's state file"):
        SqliteStore(tmp_path / "odd.db", [])


def test_of_two_histories_at_once_one_is_cosigned(tmp_path: Path) -> None:
    """Check and change are one step: many threads race with two histories from the same size."""
    store = opened(tmp_path / "w.db")
    ask(store, HISTORY.request(0, 4))
    bodies = [HISTORY.request(4, 9 + n % 3) for n in range(8)]
    bodies += [forked(LOG, 12, 6).request(4, 9 + n % 3) for n in range(8)]
    answers: list[tuple[bytes, Answer]] = []
    ready = threading.Barrier(len(bodies))

    def race(body: bytes) -> None:
        ready.wait()
        answers.append((body, ask(store, body)))
        store.close()

    threads = [threading.Thread(target=race, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    cosigned = [body for body, found in answers if found.status is Status.COSIGNED]
    assert len(cosigned) == 1
    assert len(answers) == len(bodies)
    assert store.head(LOG.name).note in cosigned[0]


def _play(store: SqliteStore, history: History, sizes: list[int], old: int) -> list[Answer]:
    answers = []
    for size in sizes:
        answers.append(ask(store, history.request(old, size)))
        old = size if answers[-1].status is Status.COSIGNED else old
    return answers


@pytest.mark.slow
def test_every_one_of_1000_forks_and_rollbacks_is_found_and_no_honest_log_is_accused(
    tmp_path: Path,
) -> None:
    rng = random.Random(8_2026)
    signers = [Signer.generate(f"framegate-{n:04}/log") for n in range(40)]
    SqliteStore.create(tmp_path / "w.db")
    store = SqliteStore(tmp_path / "w.db", [signer.verifier for signer in signers])
    for signer in signers:
        size = rng.randint(2, 30)
        good = honest(signer, size + 10)
        assert _play(store, good, [size], 0)[0].status is Status.COSIGNED
        for _ in range(25):
            old = rng.randint(0, size)
            other = forked(signer, size + 10, rng.randint(0, size - 1))
            wanted = rng.randint(size, size + 10)
            found = ask(store, other.request(size, wanted))
            assert signer.name in (found.forked, found.unproven)
            assert bool(found.forked) is (wanted == size or bool(size & (size - 1)))
            back = ask(store, other.request(old, rng.randint(old, size)))
            assert back.status is not Status.COSIGNED
        answers = _play(store, good, [size, size + 4, size + 10], size)
        assert [(a.status, a.forked) for a in answers] == [(Status.COSIGNED, "")] * 3
    assert {piece.origin for piece in store.evidence()} == {signer.name for signer in signers}


def test_a_root_is_the_one_of_its_leaves() -> None:
    """The histories above are trees, and a fork is another one."""
    assert HISTORY.root(9) == root_of(HISTORY.leaves[:9])
    assert HISTORY.root(5) == FORK.root(5)
    assert HISTORY.root(6) != FORK.root(6)


@pytest.mark.slow
def test_silence_is_told_apart_from_a_fork_and_from_a_log_that_is_well(tmp_path: Path) -> None:
    store = opened(tmp_path / "w.db")
    ask(store, HISTORY.request(0, 5))

    def status(now_s: int) -> list[LogStatus]:
        return [state.status for state in store.states(now_s, 3600)]

    assert status(NOW_S + 3600) == [LogStatus.OK, LogStatus.NEVER]
    assert status(NOW_S + 3601) == [LogStatus.SILENT, LogStatus.NEVER]
    assert answer(HISTORY.request(5, 5), store, EYE, NOW_S + 3601).status is Status.COSIGNED
    assert status(NOW_S + 3601) == [LogStatus.OK, LogStatus.NEVER]  # alive, though it grew not
    ask(store, honest(SECOND, 3).request(0, 3))
    ask(store, forked(SECOND, 4, 1).request(3, 4))
    assert status(NOW_S) == [LogStatus.OK, LogStatus.FORKED]
