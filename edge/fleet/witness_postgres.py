"""A witness's memory in PostgreSQL (extra `framegate[postgres]`): many replicas, one memory.

The check and the change are one statement. PostgreSQL locks the log's row, and whoever waited
for it has the condition tested again on what the other one wrote. So of two replicas with one
key, one alone goes on from a head. Each answer follows a commit that is on the server's disk
(`synchronous_commit = on`, set for each connection). Tables are made once, with --new.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge.audit.note import Verifier
from edge.errors import UsageError, meaning, wrong_in
from edge.fleet.witness import NotKept
from edge.fleet.witness_store import WitnessStore

if TYPE_CHECKING:
    from psycopg import Connection

SCHEMES = ("postgresql://", "postgres://")
_IDLE = 64  # connections kept
_WAIT_S = 10
_TABLES = """
create table witness_heads (
  origin text primary key, size bigint not null, root bytea not null, note bytea not null,
  time_s bigint not null
);
create table witness_evidence (
  id bigserial primary key, origin text not null, time_s bigint not null,
  head bytea not null, request bytea not null
);
create index witness_evidence_origin on witness_evidence (origin);
"""


class PostgresStore(WitnessStore):
    """The memory of one witness, however many replicas of it run."""

    _HEADS = "witness_heads"
    _EVIDENCE = "witness_evidence"
    _ARG = "%s"
    _LATER = "greatest"

    def __init__(self, url: str, keys: Sequence[Verifier]) -> None:
        """Open the memory.

        Raises:
            UsageError: it cannot be reached, or is no witness's.
        """
        super().__init__(keys)
        self._url = url
        self._own = threading.local()
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue(_IDLE)
        with wrong_in("--store: expected a witness's tables, made once with --new", NotKept):
            self._rows("select time_s from witness_heads limit 1")

    @staticmethod
    def create(url: str) -> None:
        """Make an empty memory.

        Raises:
            UsageError: there is one already, or the server does not let it be made.
        """
        psycopg = _psycopg()
        try:
            with _connected(url) as db, db.transaction():
                db.execute(_TABLES)
        except psycopg.errors.DuplicateTable as err:
            raise UsageError(
                "--store: its tables exist already: a witness must not forget; leave out --new"
            ) from err
        except psycopg.Error as err:
            raise UsageError(f"--store: cannot make the tables: {_line(err)}") from err

    def close(self) -> None:
        """Give this thread's connection back, for the next one."""
        db = getattr(self._own, "db", None)
        self._own.db = None
        if db is not None:
            try:
                self._idle.put_nowait(db)
            except queue.Full:
                db.close()

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._change() as db:
            return list(db.execute(query, values).fetchall())

    @contextmanager
    def _change(self) -> Iterator[Connection]:
        """One transaction.

        Raises:
            NotKept: it was not done, or nobody knows whether it was.
        """
        psycopg = _psycopg()
        try:
            db = self._connection()
            with db.transaction():
                yield db
        except psycopg.Error as err:
            self._drop()
            raise NotKept(_line(err)) from err

    def _connection(self) -> Connection:
        db: Connection | None = getattr(self._own, "db", None)
        if db is None:
            try:
                db = self._idle.get_nowait()
            except queue.Empty:
                db = _connect(self._url)
            self._own.db = db
        return db

    def _drop(self) -> None:
        """After a fault no connection is kept: the server may have gone."""
        idle = [getattr(self._own, "db", None)]
        self._own.db = None
        while not self._idle.empty():
            try:
                idle.append(self._idle.get_nowait())
            except queue.Empty:  # another thread was faster
                break
        for db in idle:
            if db is not None:
                db.close()


def _connect(url: str) -> Connection:
    db = _psycopg().connect(url, connect_timeout=_WAIT_S, autocommit=True)
    db.execute("set synchronous_commit = on")
    db.execute(f"set statement_timeout = '{_WAIT_S}s'")
    db.execute("set default_transaction_isolation = 'read committed'")
    return db


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    db = _connect(url)
    try:
        yield db
    finally:
        db.close()


def _psycopg() -> Any:
    with meaning("psycopg is not installed: pip install 'framegate[postgres]'", ImportError):
        import psycopg
    return psycopg


def _line(err: Exception) -> str:
    """The first line of what went wrong; a URL's password is not in it."""
    return str(err).strip().partition("\n")[0][:200] or type(err).__name__
