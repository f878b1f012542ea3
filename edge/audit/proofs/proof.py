"""Proofs that stand alone: with the device's public key, and without the log.

A span proof (`framegate/no-release/v1`, JSON) carries a run of consecutive
entries from before a span to after it, the hash path that ties the run to a
checkpoint, and the checkpoint as the device signed it. An entry proof is a
`c2sp.org/tlog-proof@v1` text with the entry itself as its extra data. Pure.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edge.audit.forms import wall_ns, wall_text
from edge.audit.note import NoteError, Verifier, decoded, first_signature_alone
from edge.audit.paths import inclusion_path, root_from_inclusion, root_from_run, root_of, run_path
from edge.audit.proofs.merkle import leaf_hash
from edge.audit.proofs.span import Span, find_run, judge_run
from edge.audit.schema import canonical
from edge.audit.segment import is_count, signed_head
from edge.errors import AuditError, meaning

SPAN_FORMAT = "framegate/no-release/v1"
ENTRY_FORMAT = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ProvenSpan:
    """A span in which no frame was released, and where the log says so."""

    span: Span
    origin: str
    first: int  # index of the run's first entry
    entries: int  # in the run
    size: int  # of the tree the checkpoint signs


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry that is in the log."""

    fields: dict[str, Any]
    origin: str
    index: int
    size: int


def prove_span(
    entries: Sequence[bytes],
    note: bytes,
    key: Verifier,
    from_ns: int,
    to_ns: int,
    *,
    pruned: Sequence[bytes] = (),
    distrusted: str = "",
) -> str:
    """The proof that no frame was released between two wall times.

    Args:
        entries: all from the first that was not pruned, at least those that the checkpoint covers.
        note: the signed checkpoint.
        pruned: the leaf hashes of the entries before them.
        distrusted: dates from here on are wrong, as a pruned entry said; "" for none.

    Raises:
        NotProven: the entries do not show it.
    """
    entries, leaves = _covered(entries, note, key, pruned)
    fields = [json.loads(entry) for entry in entries]
    first, end = find_run(fields, from_ns, to_ns, distrusted)
    run = fields[first:end]
    judge_run(run, from_ns, to_ns)
    first, end = first + len(pruned), end + len(pruned)
    path = run_path(leaves, first, end)
    proof = {
        "format": SPAN_FORMAT,
        "from": wall_text(from_ns),
        "to": wall_text(to_ns),
        "first": first,
        "entries": run,
        "path": [base64.b64encode(h).decode() for h in path],
        "checkpoint": first_signature_alone(note.decode()),
    }
    return _written(proof)


def _written(proof: dict[str, Any]) -> str:
    return json.dumps(proof, indent=1, ensure_ascii=False) + "\n"


def prove_entry(
    entries: Sequence[bytes],
    note: bytes,
    key: Verifier,
    index: int,
    *,
    pruned: Sequence[bytes] = (),
) -> str:
    """The proof that entry `index` is in the log; for the arguments see `prove_span`."""
    entries, leaves = _covered(entries, note, key, pruned)
    if 0 <= index < len(pruned):
        raise AuditError(f"entry {index} was pruned")
    path = inclusion_path(leaves, index)
    return entry_proof(index, entries[index - len(pruned)], path, note.decode())


def entry_proof(index: int, entry: bytes, path: Sequence[bytes], note: str) -> str:
    """The text of an entry's proof, from its inclusion path and the signed checkpoint."""
    hashes = "".join(base64.b64encode(h).decode() + "\n" for h in path)
    extra = base64.b64encode(entry).decode()
    return f"{ENTRY_FORMAT}\nextra {extra}\nindex {index}\n{hashes}\n{first_signature_alone(note)}"


def verify_proof(text: str, key: Verifier) -> ProvenSpan | ProvenEntry:
    """What a proof of either form shows.

    Raises:
        AuditError: it shows nothing, and why.
    """
    if text.startswith(ENTRY_FORMAT + "\n"):
        return _verify_entry(text, key)
    expected = f"expected a proof, {SPAN_FORMAT} or {ENTRY_FORMAT}"
    with meaning(expected, ValueError, RecursionError, as_=AuditError):
        proof = json.loads(text)
    if not isinstance(proof, dict) or proof.get("format") != SPAN_FORMAT:
        raise AuditError(expected)
    if _written(proof) != text:
        raise AuditError("the proof is not in its canonical form")
    return _verify_span(proof, key)


def _covered(
    entries: Sequence[bytes], note: bytes, key: Verifier, pruned: Sequence[bytes]
) -> tuple[Sequence[bytes], list[bytes]]:
    """The entries that the checkpoint covers, and all leaf hashes of its tree."""
    size, root = signed_head(note, key)
    covered = entries[: max(size - len(pruned), 0)]
    leaves = [*pruned, *(leaf_hash(entry) for entry in covered)]
    if len(leaves) != size or root_of(leaves) != root:
        raise AuditError("the checkpoint does not belong to the entries in the log")
    return covered, leaves


def _verify_span(proof: dict[str, Any], key: Verifier) -> ProvenSpan:
    known = {"format", "from", "to", "first", "entries", "path", "checkpoint"}
    first, run, path = proof.get("first"), proof.get("entries"), proof.get("path")
    if (
        set(proof) != known
        or type(first) is not int
        or not isinstance(run, list)
        or not all(isinstance(fields, dict) for fields in run)
        or not isinstance(path, list)
        or not all(isinstance(proof[name], str) for name in ("from", "to", "checkpoint"))
    ):
        raise AuditError(f"the proof does not have the fields of {SPAN_FORMAT}")
    size, root = signed_head(proof["checkpoint"].encode(), key)
    leaves = [leaf_hash(canonical(fields)) for fields in run]
    if root_from_run(leaves, first, size, [_hash(h) for h in path]) != root:
        raise AuditError("the proof's entries are not those the log's checkpoint signs")
    span = judge_run(run, wall_ns(proof["from"]), wall_ns(proof["to"]))
    return ProvenSpan(span, key.name, first, len(run), size)


def _verify_entry(text: str, key: Verifier) -> ProvenEntry:
    head, gap, note = text.partition("\n\n")
    lines = head.split("\n")
    if (
        not gap
        or len(lines) < 3
        or not lines[1].startswith("extra ")
        or not lines[2].startswith("index ")
        or not is_count(lines[2][6:])
    ):
        raise AuditError(f"the proof does not have the lines of {ENTRY_FORMAT}")
    with meaning(
        "the proof carries no readable entry", NoteError, ValueError, RecursionError, as_=AuditError
    ):
        entry = decoded(lines[1][6:], "the entry")
        fields = json.loads(entry)
    if not isinstance(fields, dict) or canonical(fields) != entry:
        raise AuditError("the proof's entry is not in canonical form")
    index = int(lines[2][6:])
    if lines[2] != f"index {index}":
        raise AuditError("the proof's index is not in its canonical form")
    size, root = signed_head(note.encode(), key)
    path = [_hash(line) for line in lines[3:]]
    if root_from_inclusion(leaf_hash(entry), index, size, path) != root:
        raise AuditError("the proof's entry is not one that the log's checkpoint signs")
    return ProvenEntry(fields, key.name, index, size)


def _hash(text: Any) -> bytes:
    try:
        found = decoded(text, "the hash") if isinstance(text, str) else b""
    except NoteError:
        found = b""
    if len(found) != 32:
        raise AuditError("the proof's path holds something that is no hash")
    return found
