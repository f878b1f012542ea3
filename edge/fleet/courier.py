"""The courier: takes a log's checkpoint to its witnesses and brings their cosignatures back.

It reads what is public (the checkpoint and `tile/`) and writes one file beside it,
the checkpoint with the cosignatures under it. It holds no key of the device and
nothing waits for it: what it brings back can open nothing.

Two heads that the log's own key signed, and of which one does not continue the other,
are an alarm: `LOG_FORKED`, with both kept in a file. The other head is the one that was
cosigned before, or the one that a witness shows. A witness that says so and shows none
is a claim: kept in a file of its own and said, and no alarm, since anybody can say it.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from edge.audit.cosignature import Cosignature, cosignatures
from edge.audit.note import NoteError, Verifier, first_signature_alone
from edge.audit.paths import Root
from edge.audit.proofs.consistency import MAX_REQUEST_BYTES, Request, consistency_path, written
from edge.audit.proofs.fork import contradiction
from edge.audit.proofs.tiled import roots_of
from edge.audit.segment import is_count, signed_head
from edge.errors import AuditError, UsageError
from edge.files import read_named, write_whole
from edge.fleet.trust_policy import Named, TrustPolicy
from edge.fleet.witness import Status
from edge.reasons import Reason

CHECKPOINT = "checkpoint"
COSIGNED = "checkpoint.cosigned"
FORKED = "checkpoint.forked"  # proven
CLAIMED = "checkpoint.claimed"  # a witness says so, and shows no head that the log signed
_TRIES = 3  # a witness may move on between two of them
Post = Callable[[str, bytes], tuple[int, bytes]]  # URL and body; raises OSError
Ask = Callable[[str], bytes]  # URL of the head that a witness cosigned last; raises OSError


class Outcome(Enum):
    """How one witness answered."""

    COSIGNED = "cosigned"
    FORKED = "forked"  # it has seen another history, or a longer one, and both heads are signed
    CLAIMED = "claims a fork"  # and shows no proof of it
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
    fork: str  # how the log contradicts a head that its key signed; empty if none is known

    @property
    def forked(self) -> bool:
        return bool(self.fork)


@dataclass(frozen=True, slots=True)
class _Head:
    note: bytes  # signed by the device alone
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class _Claim:
    """A witness's word that this log forked."""

    witness: str  # its key; empty if what is kept here says it
    status: int
    answer: bytes
    sent: bytes
    other: bytes  # the head that it shows; empty if none


class Courier:
    """Rounds for one log."""

    def __init__(
        self, log: Path, out: Path, key: Verifier, policy: TrustPolicy, post: Post, ask: Ask
    ) -> None:
        """
        Args:
            log: the log's folder, of which `checkpoint` and `tile/` are read.
            out: the folder for `checkpoint.cosigned`, `.forked` and `.claimed`.
        """
        self._log, self._out, self._key = log, out, key
        self._policy, self._post, self._ask = policy, post, ask
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
        kept = _whole(self._out / COSIGNED)
        fork = self._proven(_Claim("", 0, b"", b"", kept), head, time_s)
        visits = tuple(
            self._visit(named, head, time_s) for named in self._policy.witnesses if named.url
        )
        if not fork:
            fork = next((v.detail for v in visits if v.outcome is Outcome.FORKED), "")
        self._keep(head, [v.cosignature for v in visits if v.cosignature is not None])
        there = {found.witness for found in self._policy.found(self._kept(head))}
        return Round(head.size, visits, self._policy.satisfied(there), fork)

    def _visit(self, named: Named, head: _Head, time_s: int) -> Visit:
        old = self._seen.get(named.name, 0)
        status, answer, sent = 0, b"", b""
        for _ in range(_TRIES):
            if old > head.size:
                if self._head().size >= old:  # another courier of this log was there meanwhile
                    return Visit(named.name, Outcome.REFUSED, "the log grew; next round")
                return self._claimed(named, head, sent, status, answer, time_s)
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
                    return self._claimed(named, head, sent, status, answer, time_s)
                old = self._seen[named.name] = int(size)
                continue
            if status == Status.NOT_CONSISTENT:
                return self._claimed(named, head, sent, status, answer, time_s)
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

    def _claimed(
        self, named: Named, head: _Head, sent: bytes, status: int, answer: bytes, time_s: int
    ) -> Visit:
        """It says that the log forked: an alarm if heads that the log signed show it."""
        try:
            other = self._ask(head_url(named.url, self._key.name))
        except OSError:
            other = b""
        key = named.witness.text
        for seen in (other, _whole(self._out / COSIGNED)):
            fork = self._proven(_Claim(key, status, answer, sent, seen), head, time_s)
            if fork:
                return Visit(named.name, Outcome.FORKED, fork)
        claim = _Claim(key, status, answer, sent, other)
        data = self._evidence(claim, head, time_s, "no head that the log signed shows it")
        write_whole(self._out / CLAIMED, data, 0o644)
        why = f"{status}, and shows no head that the log signed; see {CLAIMED}"
        return Visit(named.name, Outcome.CLAIMED, why)

    def _proven(self, claim: _Claim, head: _Head, time_s: int) -> str:
        """How the head that is shown contradicts the log, with both kept; empty if it does not."""
        roots = roots_of(self._log / "tile", head.size)
        fork = contradiction(claim.other, head.size, head.root, roots, self._key)
        if fork and not contradiction(claim.other, *self._newest(), self._key):
            return ""  # an older checkpoint is under way, or the log grew meanwhile
        place = self._out / FORKED
        if fork and not place.exists():  # the first one is the evidence
            write_whole(place, self._evidence(claim, head, time_s, fork), 0o644)
        return fork

    def _newest(self) -> tuple[int, bytes, Root]:
        head = self._head()
        return head.size, head.root, roots_of(self._log / "tile", head.size)

    def _evidence(self, claim: _Claim, head: _Head, time_s: int, what: str) -> bytes:
        kept = {
            "reason": Reason.LOG_FORKED.value,
            "what": what,
            "time_s": time_s,
            "witness": claim.witness,
            "status": claim.status,
            "answer": claim.answer.decode(errors="replace"),
            "checkpoint": head.note.decode(),
            "other": claim.other.decode(errors="replace"),
            "request": base64.b64encode(claim.sent).decode(),
            "cosigned_before": _whole(self._out / COSIGNED).decode(errors="replace"),
        }
        return json.dumps(kept, indent=1).encode() + b"\n"

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
        size, root = signed_head(note, self._key)
        return _Head(first_signature_alone(note.decode()).encode(), size, root)

    def _keep(self, head: _Head, found: list[Cosignature]) -> None:
        if not found or head.size < max(self._remembered().values(), default=0):
            return
        lines = {one.witness: one.line for one in (*self._policy.found(self._kept(head)), *found)}
        write_whole(self._out / COSIGNED, head.note + b"".join(lines.values()), 0o644)

    def _kept(self, head: _Head) -> bytes:
        """What is kept under this very checkpoint; the checkpoint alone if that is nothing."""
        kept = _whole(self._out / COSIGNED)
        return kept if kept.startswith(head.note) else head.note


def head_url(witness: str, origin: str) -> str:
    """Where a witness of ours shows the head of a log that it cosigned last."""
    return f"{witness}/head/{hashlib.sha256(origin.encode()).hexdigest()}"


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
    size, _ = signed_head(cosigned, key)
    found = policy.found(cosigned)
    if not policy.satisfied({one.witness for one in found}):
        names = ", ".join(one.witness.name for one in found) or "none"
        raise NoteError(
            f"too few witnesses cosigned size {size}: expected {policy.wanted()}, found {names}"
        )
    return found
