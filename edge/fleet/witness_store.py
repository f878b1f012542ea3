"""A witness's memory in one SQLite file: heads, and evidence of logs that forked.

Every change is one transaction that is on disk before it is answered
(`synchronous = FULL`). The check and the change are one statement, so several
threads or processes may share the file. It is made once and never silently
again: a witness that forgot would cosign a fork.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from edge.audit.note import Verifier
from edge.errors import UsageError, wrong_in
from edge.fleet.witness import Head, by_origin, is_proof

_WAIT_S = 10.0
_TABLES = """
create table heads (
  origin text primary key, size integer not null, root blob not null, note blob not null,
  time_s integer not null
) strict;
create table evidence (
  id integer primary key, origin text not null, time_s integer not null,
  head blob not null, request blob not null
) strict;
create index evidence_origin on evidence (origin);
pragma user_version = 1;
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two signed heads of one log that cannot both be true, or of which nobody has shown it."""

    origin: str
    time_s: int
    head: bytes  # the checkpoint that was cosigned
    request: bytes  # what was sent after it

    @property
    def proof(self) -> bool:
        """Whether they prove that the log forked."""
        return is_proof(self.head, self.request)


class LogStatus(Enum):
    """How a log stands with its witness; the value is what is printed."""

    OK = "ok"
    SILENT = "silent"  # it brought nothing for too long
    NEVER = "never seen"
    UNPROVEN = "UNPROVEN"  # after its last visit it signed a tree that came without a proof
    FORKED = "LOG_FORKED"


@dataclass(frozen=True, slots=True)
class LogState:
    """One log, as its witness knows it."""

    origin: str
    size: int
    time_s: int | None  # when it was cosigned last
    status: LogStatus


class WitnessStore(ABC):
    """What every memory of a witness has in common: the logs that are known, and the statements."""

    _HEADS = "heads"  # the table's name
    _EVIDENCE = "evidence"
    _ARG = "?"  # how a statement names an argument
    _LATER = "max"  # the function that gives the larger of two

    def __init__(self, keys: Sequence[Verifier]) -> None:
        self._keys = by_origin(keys)
        self._digests = {hashlib.sha256(o.encode()).hexdigest(): o for o in self._keys}

    def logs(self, origin: str) -> Sequence[Verifier]:
        """See `edge.fleet.witness.Store`, for this and the next four."""
        return self._keys.get(origin, ())

    def origin(self, digest: str) -> str:
        return self._digests.get(digest, "")

    def head(self, origin: str) -> Head:
        rows = self._rows(
            f"select size, root, note from {self._HEADS} where origin = {self._ARG}", (origin,)
        )
        return Head(*rows[0]) if rows else Head()

    def advance(self, origin: str, seen: Head, head: Head, time_s: int) -> bool:
        arg = self._ARG
        with self._change() as db:
            if seen == Head():
                done = db.execute(
                    f"insert into {self._HEADS} values ({arg}, {arg}, {arg}, {arg}, {arg}) "
                    "on conflict do nothing",
                    (origin, head.size, head.root, head.note, time_s),
                )
                if done.rowcount == 1:
                    return True
            done = db.execute(
                f"update {self._HEADS} set size = {arg}, root = {arg}, note = {arg}, "
                f"time_s = {self._LATER}(time_s, {arg}) "
                f"where origin = {arg} and size = {arg} and root = {arg}",
                (head.size, head.root, head.note, time_s, origin, seen.size, seen.root),
            )
            return bool(done.rowcount == 1)

    def keep_evidence(self, origin: str, head: Head, body: bytes, time_s: int, most: int) -> None:
        arg = self._ARG
        with self._change() as db:
            db.execute(
                f"insert into {self._EVIDENCE} (origin, time_s, head, request) "
                f"select {arg}, {arg}, {arg}, {arg} "
                f"where (select count(*) from {self._EVIDENCE} where origin = {arg}) < {arg}",
                (origin, time_s, head.note, body, origin, most),
            )

    def evidence(self) -> tuple[Evidence, ...]:
        """Every piece, the oldest first."""
        rows = self._rows(f"select origin, time_s, head, request from {self._EVIDENCE} order by id")
        return tuple(Evidence(*row) for row in rows)

    def heads(self) -> dict[str, Head]:
        """The newest tree of every log that was cosigned."""
        rows = self._rows(f"select origin, size, root, note from {self._HEADS} order by origin")
        return {row[0]: Head(*row[1:]) for row in rows}

    @abstractmethod
    def close(self) -> None:
        """Let go of this thread's connection."""

    @abstractmethod
    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        """What a query finds."""

    @abstractmethod
    def _change(self) -> AbstractContextManager[Any]:
        """This thread's connection in one transaction, on the disk when the context ends."""

    def states(self, now_s: int, silent_s: int) -> tuple[LogState, ...]:
        """Every log that is known here, by name: what is kept of it, and whether that is in order.

        Args:
            silent_s: how long a log may bring nothing.
        """
        rows = self._rows(f"select origin, size, time_s from {self._HEADS}")
        seen = {origin: (size, time_s) for origin, size, time_s in rows}
        pieces = self.evidence()
        forked = {piece.origin for piece in pieces if piece.proof}
        doubted = {piece.origin: piece.time_s for piece in pieces}  # the newest of each
        found = []
        for origin in sorted({*self._keys, *seen}):
            size, time_s = seen.get(origin, (0, None))
            state = LogStatus.OK
            if origin in forked:
                state = LogStatus.FORKED
            elif time_s is None:
                state = LogStatus.NEVER
            elif origin in doubted and doubted[origin] >= time_s:
                state = LogStatus.UNPROVEN
            elif now_s - time_s > silent_s:
                state = LogStatus.SILENT
            found.append(LogState(origin, size, time_s, state))
        return tuple(found)


class SqliteStore(WitnessStore):
    """The memory of one witness in a file."""

    def __init__(self, path: Path, keys: Sequence[Verifier]) -> None:
        """Open the memory.

        Raises:
            UsageError: it is not there, or no witness's.
        """
        super().__init__(keys)
        self._path = path
        self._own = threading.local()
        if not path.is_file():
            raise UsageError(f"{path}: expected a witness's state file; create it once with --new")
        with wrong_in(f"{path}: expected a witness's state file", sqlite3.Error):
            self._rows(f"select time_s from {self._HEADS} limit 1")

    @staticmethod
    def create(path: Path) -> None:
        """Make an empty memory.

        Raises:
            UsageError: there is one already, or the place cannot be written.
        """
        if path.exists():
            raise UsageError(f"{path} exists already: a witness must not forget; leave out --new")
        fresh = path.with_name(path.name + ".new")
        with wrong_in(f"cannot make {path}", OSError, sqlite3.Error):
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh.unlink(missing_ok=True)
            with contextlib.closing(sqlite3.connect(fresh)) as db:
                db.executescript("pragma synchronous = full;" + _TABLES)
            fresh.rename(path)

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        return self._db().execute(query, values).fetchall()

    def close(self) -> None:
        """Close this thread's connection; each thread has one of its own."""
        db = getattr(self._own, "db", None)
        if db is not None:
            db.close()
            self._own.db = None

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        db = self._db()
        db.execute("begin immediate")
        try:
            yield db
        except BaseException:
            db.execute("rollback")
            raise
        db.execute("commit")

    def _db(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._own, "db", None)
        if db is None:
            db = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = full")
            self._own.db = db
        return db
