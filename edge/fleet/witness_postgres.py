"""A witness's memory in PostgreSQL (extra `framegate[postgres]`): many replicas, one memory.

The check and the change are one statement. PostgreSQL locks the log's row, and whoever waited
for it has the condition tested again on what the other one wrote. So of two replicas with one
key, one alone goes on from a head. Each answer follows a commit that is on the server's disk
(`synchronous_commit = on`, set for each connection). Tables are made once, with --new.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from edge.audit.note import Verifier
from edge.errors import UsageError
from edge.fleet.witness import Head, NotKept
from edge.fleet.witness_store import Evidence, WitnessStore

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
_Found = TypeVar("_Found")


class PostgresStore(WitnessStore):
    """The memory of one witness, however many replicas of it run."""

    def __init__(self, url: str, keys: Sequence[Verifier]) -> None:
        """Open the memory.

        Raises:
            UsageError: it cannot be reached, or is no witness's.
        """
        super().__init__(keys)
        self._url = url
        self._own = threading.local()
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue(_IDLE)
        try:
            self._rows("select time_s from witness_heads limit 1")
        except NotKept as err:
            raise UsageError(
                f"--store: expected a witness's tables, made once with --new: {err}"
            ) from err

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

    def head(self, origin: str) -> Head:
        rows = self._rows("select size, root, note from witness_heads where origin = %s", (origin,))
        return Head(*rows[0]) if rows else Head()

    def advance(self, origin: str, seen: Head, head: Head, time_s: int) -> bool:
        def change(db: Connection) -> bool:
            if seen == Head():
                done = db.execute(
                    "insert into witness_heads values (%s, %s, %s, %s, %s) on conflict do nothing",
                    (origin, head.size, head.root, head.note, time_s),
                )
                if done.rowcount == 1:
                    return True
            done = db.execute(
                "update witness_heads set size = %s, root = %s, note = %s, "
                "time_s = greatest(time_s, %s) where origin = %s and size = %s and root = %s",
                (head.size, head.root, head.note, time_s, origin, seen.size, seen.root),
            )
            return bool(done.rowcount == 1)

        return self._do(change)

    def keep_evidence(self, origin: str, head: Head, body: bytes, time_s: int, most: int) -> None:
        def change(db: Connection) -> None:
            db.execute(
                "insert into witness_evidence (origin, time_s, head, request) "
                "select %s, %s, %s, %s "
                "where (select count(*) from witness_evidence where origin = %s) < %s",
                (origin, time_s, head.note, body, origin, most),
            )

        self._do(change)

    def evidence(self) -> tuple[Evidence, ...]:
        rows = self._rows("select origin, time_s, head, request from witness_evidence order by id")
        return tuple(Evidence(*row) for row in rows)

    def heads(self) -> dict[str, Head]:
        rows = self._rows("select origin, size, root, note from witness_heads order by origin")
        return {row[0]: Head(*row[1:]) for row in rows}

    def close(self) -> None:
        """Give this thread's connection back, for the next one."""
        db = getattr(self._own, "db", None)
        self._own.db = None
        if db is not None:
            try:
                self._idle.put_nowait(db)
            except queue.Full:
                db.close()

    def _seen(self) -> dict[str, tuple[int, int]]:
        rows = self._rows("select origin, size, time_s from witness_heads")
        return {origin: (size, time_s) for origin, size, time_s in rows}

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        return self._do(lambda db: list(db.execute(query, values).fetchall()))

    def _do(self, what: Callable[[Connection], _Found]) -> _Found:
        """Run it in one transaction.

        Raises:
            NotKept: it was not done, or nobody knows whether it was.
        """
        psycopg = _psycopg()
        try:
            db = self._connection()
            with db.transaction():
                return what(db)
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
    try:
        import psycopg
    except ImportError as err:
        raise UsageError("psycopg is not installed: pip install 'framegate[postgres]'") from err
    return psycopg


def _line(err: Exception) -> str:
    """The first line of what went wrong; a URL's password is not in it."""
    return str(err).strip().partition("\n")[0][:200] or type(err).__name__
