"""A witness's memory in a real PostgreSQL: two replicas race, and no fork is cosigned."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: framegate[postgres]")

import psycopg

from edge.audit.note import Signer
from edge.cli import main
from edge.errors import UsageError
from edge.fleet.witness import Head, NotKept, Status, answer
from edge.fleet.witness_postgres import PostgresStore
from edge.fleet.witness_store import LogStatus
from tests.fleet.histories import forked, honest

pytestmark = pytest.mark.slow

LOG = Signer.generate("framegate-0001/log")
EYE = Signer.generate("witness.example/w1")
NOW_S = 1_790_000_000
HISTORY, FORK = honest(LOG, 40), forked(LOG, 40, 5)


def _programs() -> Path | None:
    """The folder of PostgreSQL's programs; Debian has them outside the usual path."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in places if (place / "postgres").exists()), None)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a server of our own, without its database; it listens on a socket alone."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    other_user = os.geteuid() == 0  # it refuses to run as root
    folder = tempfile.TemporaryDirectory(prefix="fg.pg.")  # pytest's own is for its user alone
    home = folder.name
    if other_user:
        shutil.chown(home, "postgres")

    def run(*command: str) -> None:
        prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        subprocess.run([*(prefix if other_user else []), *command], check=True, capture_output=True)

    options = f"-k {home} -c listen_addresses= -c shared_buffers=16MB"
    control = [str(programs / "pg_ctl"), "-D", f"{home}/db", "-w"]
    with folder:
        run(str(programs / "initdb"), "-D", f"{home}/db", "-U", "fleet", "-A", "trust", "-N")
        run(*control, "-l", f"{home}/log", "-o", options, "start")
        try:
            yield f"postgresql://fleet@/%s?host={home}"
        finally:
            run(*control, "-m", "immediate", "stop")


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    name = f"w{abs(hash(request.node.name))}"
    with psycopg.connect(server % "postgres", autocommit=True) as db:
        db.execute(f"create database {name}")
    PostgresStore.create(server % name)
    return server % name


def test_a_log_is_cosigned_step_by_step_and_its_fork_is_kept_as_evidence(url: str) -> None:
    store = PostgresStore(url, [LOG.verifier])
    for old, size in [(0, 0), (0, 7), (7, 7), (7, 20)]:
        assert answer(HISTORY.request(old, size), store, EYE, NOW_S).status is Status.COSIGNED
    assert store.head(LOG.name) == Head(20, HISTORY.root(20), HISTORY.note(20))

    for size, status in ((20, Status.CONFLICT), (30, Status.NOT_CONSISTENT)):
        found = answer(FORK.request(20, size), store, EYE, NOW_S)
        assert (found.status, found.forked) == (status, LOG.name)

    again = PostgresStore(url, [LOG.verifier])
    assert [piece.head for piece in again.evidence()] == [HISTORY.note(20)] * 2
    assert again.heads() == {LOG.name: Head(20, HISTORY.root(20), HISTORY.note(20))}
    assert [state.status for state in again.states(NOW_S, 60)] == [LogStatus.FORKED]


def test_two_replicas_race_with_two_histories_and_one_alone_goes_on(url: str) -> None:
    """1,000 submissions, each side by side with one of another history of the same log."""
    signers = [Signer.generate(f"framegate-{n:04d}/log") for n in range(250)]
    logs = [(honest(signer, 2), forked(signer, 2, 1)) for signer in signers]
    replicas = [PostgresStore(url, [signer.verifier for signer in signers]) for _ in range(2)]
    answers: list[list[Status]] = [[], []]
    begin = threading.Barrier(2, timeout=60)

    def submit(number: int) -> None:
        for histories in logs:
            for size in (1, 2):
                body = histories[number].request(size - 1, size)
                begin.wait()
                answers[number].append(answer(body, replicas[number], EYE, NOW_S).status)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(side) for side in answers] == [500, 500]
    won = [0, 0]
    for n, signer in enumerate(signers):
        forks = [answers[number][2 * n + 1] for number in range(2)]  # of size 2
        assert sorted(forks) in ([200, 409], [200, 422])
        winner = forks.index(Status.COSIGNED)
        won[winner] += 1
        assert replicas[0].head(signer.name).root == logs[n][winner].root(2)
    assert sum(won) == 250


def test_a_request_that_waited_for_another_one_is_tested_again(url: str) -> None:
    first, second = (PostgresStore(url, [LOG.verifier]) for _ in range(2))
    seen = first.head(LOG.name)
    done: list[bool] = []
    head = Head(20, FORK.root(20), FORK.note(20))
    with psycopg.connect(url) as db, psycopg.connect(url, autocommit=True) as watch:
        # a replica between its change and its commit
        db.execute(
            "insert into witness_heads values (%s, %s, %s, %s, %s)",
            (LOG.name, 10, HISTORY.root(10), HISTORY.note(10), NOW_S),
        )
        thread = threading.Thread(
            target=lambda: done.append(second.advance(LOG.name, seen, head, NOW_S))
        )
        thread.start()
        while not watch.execute(
            "select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        ).fetchall():
            pass
        db.commit()
    thread.join()

    assert done == [False]
    assert first.head(LOG.name).root == HISTORY.root(10)


def test_memory_that_fails_cosigns_nothing_and_a_server_that_is_back_does(
    url: str, server: str
) -> None:
    store = PostgresStore(url, [LOG.verifier])
    assert answer(HISTORY.request(0, 5), store, EYE, NOW_S).status is Status.COSIGNED
    with psycopg.connect(server % "postgres", autocommit=True) as db:
        db.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
            "and datname is not null"
        ).fetchall()

    with pytest.raises(NotKept):
        answer(HISTORY.request(5, 9), store, EYE, NOW_S)
    assert answer(HISTORY.request(5, 9), store, EYE, NOW_S).status is Status.COSIGNED


def test_the_tables_are_made_once_and_never_silently(
    url: str, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="must not forget"):
        PostgresStore.create(url)
    with pytest.raises(UsageError, match="made once with --new"):
        PostgresStore(server % "postgres", [])
    assert main(["fleet", "evidence", "--store", url]) == 0
    assert main(["fleet", "evidence", "--store", server % "gone"]) == 2
    assert main(["fleet", "evidence", "--store", "mysql://x"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "expected a witness's tables" in lines[0]
