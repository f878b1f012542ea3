"""The courier: takes a log's checkpoint to its witnesses and brings their cosignatures back.

It reads what is public (the checkpoint and `tile/`) and writes one file beside it,
the checkpoint with the cosignatures under it. It holds no key of the device and
nothing waits for it: what it brings back can open nothing. A witness that has
seen another history, or a longer one, is an alarm: `LOG_FORKED`, with everything
that was sent and answered kept in a file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge.audit.cosignature import Cosignature, cosignatures
from edge.audit.note import NoteError, Verifier, first_signature_alone, read_note
from edge.audit.proofs.consistency import MAX_REQUEST_BYTES, Request, consistency_path, written
from edge.audit.proofs.tiled import roots_of
from edge.audit.segment import is_count, parse_checkpoint
from edge.errors import AuditError, UsageError
from edge.files import read_named, write_whole
from edge.fleet.trust_policy import Named, TrustPolicy
from edge.fleet.witness import Status
from edge.reasons import Reason

CHECKPOINT = "checkpoint"
COSIGNED = "checkpoint.cosigned"
FORKED = "checkpoint.forked"
_TRIES = 3  # a witness may move on between two of them
Post = Callable[[str, bytes], tuple[int, bytes]]  # URL and body; raises OSError


class Outcome(Enum):
    """How one witness answered."""

    COSIGNED = "cosigned"
    FORKED = "forked"  # it has seen another history, or a longer one
    REFUSED = "refused"  # it does not know the log, or its answer is none
    UNREACHED = "unreached"


@dataclass(frozen=True, slots=True)
class Visit:
    """One witness in one round."""

    witness: str
    outcome: Outcome
    detail: str
    cosignature: Cosignature | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """What one round came to."""

    size: int
    visits: tuple[Visit, ...]
    enough: bool  # the policy's quorum stands under this checkpoint

    @property
    def forked(self) -> bool:
        return any(visit.outcome is Outcome.FORKED for visit in self.visits)


@dataclass(frozen=True, slots=True)
class _Head:
    note: bytes  # signed by the device alone
    size: int


class Courier:
    """Rounds for one log."""

    def __init__(
        self, log: Path, out: Path, key: Verifier, policy: TrustPolicy, post: Post
    ) -> None:
        """
        Args:
            log: the log's folder, of which `checkpoint` and `tile/` are read.
            out: the folder for `checkpoint.cosigned` and `checkpoint.forked`.
        """
        self._log, self._out, self._key = log, out, key
        self._policy, self._post = policy, post
        self._seen = self._remembered()  # what each witness cosigned last, as far as is known

    def begin_from(self, name: str, size: int) -> None:
        """Take it that the witness `name` of the policy cosigned `size` last; it says if not."""
        self._seen[name] = size

    def round(self, time_s: int, note: bytes | None = None) -> Round:
        """Visit every witness that has a URL, and keep what they signed.

        Args:
            note: an older checkpoint to take there, in place of the one that is published.

        Raises:
            AuditError: there is no checkpoint by this key, or its tiles are gone.
            OSError: what was brought back cannot be written.
        """
        head = self._head() if note is None else self._read(note)
        visits = tuple(
            self._visit(named, head, time_s) for named in self._policy.witnesses if named.url
        )
        self._keep(head, [v.cosignature for v in visits if v.cosignature is not None])
        there = {found.witness for found in self._policy.found(self._kept(head))}
        return Round(head.size, visits, self._policy.satisfied(there))

    def _visit(self, named: Named, head: _Head, time_s: int) -> Visit:
        old = self._seen.get(named.name, 0)
        status, answer, sent = 0, b"", b""
        for _ in range(_TRIES):
            if old > head.size:
                if self._head().size >= old:  # another courier of this log was there meanwhile
                    return Visit(named.name, Outcome.REFUSED, "the log grew; next round")
                return self._alarm(named, head, sent, status, answer, time_s)
            path = consistency_path(old, head.size, roots_of(self._log / "tile", head.size))
            sent = written(Request(old, tuple(path), head.note))
            try:
                status, answer = self._post(f"{named.url}/add-checkpoint", sent)
            except OSError as err:
                return Visit(named.name, Outcome.UNREACHED, str(err)[:200])
            if status == Status.CONFLICT:
                size = answer.decode(errors="replace").removesuffix("\n")
                if not is_count(size):
                    return Visit(named.name, Outcome.REFUSED, "409 without a size")
                if int(size) == old == head.size:
                    return self._alarm(named, head, sent, status, answer, time_s)
                old = self._seen[named.name] = int(size)
                continue
            if status == Status.NOT_CONSISTENT:
                return self._alarm(named, head, sent, status, answer, time_s)
            if status == Status.COSIGNED:
                return self._taken(named, head, answer)
            line = answer.decode(errors="replace").strip().partition("\n")[0]
            return Visit(named.name, Outcome.REFUSED, f"{status} {line[:160]}")
        return Visit(named.name, Outcome.REFUSED, "its size changed under every try")

    def _taken(self, named: Named, head: _Head, answer: bytes) -> Visit:
        try:
            (found,) = cosignatures(head.note + answer, (named.witness,))
        except (NoteError, ValueError) as err:
            return Visit(named.name, Outcome.REFUSED, f"no cosignature by its key: {err}")
        self._seen[named.name] = head.size
        return Visit(named.name, Outcome.COSIGNED, f"size {head.size}", found)

    def _alarm(
        self, named: Named, head: _Head, sent: bytes, status: int, answer: bytes, time_s: int
    ) -> Visit:
        """Keep what shows it: what was sent now, and the last checkpoint that was cosigned."""
        before = _whole(self._out / COSIGNED)
        evidence = {
            "reason": Reason.LOG_FORKED.value,
            "time_s": time_s,
            "witness": named.witness.text,
            "status": status,
            "answer": answer.decode(errors="replace"),
            "checkpoint": head.note.decode(),
            "request": base64.b64encode(sent).decode(),
            "cosigned_before": before.decode(errors="replace"),
        }
        place = self._out / FORKED
        if not place.exists():  # the first one is the evidence
            write_whole(place, json.dumps(evidence, indent=1).encode() + b"\n", 0o644)
        longer = status == Status.CONFLICT and head.size < _size(answer)
        what = "a longer history" if longer else "another history"
        return Visit(named.name, Outcome.FORKED, f"it has seen {what} than {head.size} entries")

    def _remembered(self) -> dict[str, int]:
        """What is kept from earlier rounds; nothing if it is not this log's."""
        kept = _whole(self._out / COSIGNED)
        try:
            size = self._read(kept).size
            there = {found.witness for found in self._policy.found(kept)}
        except AuditError:
            return {}
        return {w.name: size for w in self._policy.witnesses if w.witness in there}

    def _head(self) -> _Head:
        return self._read(_whole(self._log / CHECKPOINT))

    def _read(self, note: bytes) -> _Head:
        text, _ = read_note(note, [self._key])
        size, _root = parse_checkpoint(text, self._key.name)
        return _Head(first_signature_alone(note.decode()).encode(), size)

    def _keep(self, head: _Head, found: list[Cosignature]) -> None:
        if not found or head.size < max(self._remembered().values(), default=0):
            return
        lines = {one.witness: one.line for one in (*self._policy.found(self._kept(head)), *found)}
        write_whole(self._out / COSIGNED, head.note + b"".join(lines.values()), 0o644)

    def _kept(self, head: _Head) -> bytes:
        """What is kept under this very checkpoint; the checkpoint alone if that is nothing."""
        kept = _whole(self._out / COSIGNED)
        return kept if kept.startswith(head.note) else head.note


def _size(answer: bytes) -> int:
    text = answer.decode(errors="replace").removesuffix("\n")
    return int(text) if is_count(text) else 0


def _whole(path: Path) -> bytes:
    """The file's bytes, none if it is not there."""
    try:
        return read_named(path, MAX_REQUEST_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as err:
        raise AuditError(f"cannot read {path}: {err.strerror}") from err


def quorum(cosigned: bytes, policy: TrustPolicy, key: Verifier) -> tuple[Cosignature, ...]:
    """The cosignatures under a checkpoint of this log, if they are enough.

    Raises:
        UsageError: the policy lists logs, and this one is none of them.
        NoteError: no checkpoint of this log, a cosignature that does not hold, or too few.
    """
    if policy.logs and key not in policy.logs:
        raise UsageError(f"the policy lists logs, but not {key.name} with this key")
    text, _ = read_note(cosigned, [key])
    size, _root = parse_checkpoint(text, key.name)
    found = policy.found(cosigned)
    if not policy.satisfied({one.witness for one in found}):
        names = ", ".join(one.witness.name for one in found) or "none"
        raise NoteError(
            f"too few witnesses cosigned size {size}: expected {policy.wanted()}, found {names}"
        )
    return found
