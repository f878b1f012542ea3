"""`framegate audit prove` and `verify-proof`: what a log proves to who does not have it."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from edge.commands._audit._log import (
    TIME,
    line_of,
    log_key,
    old_checkpoint,
    read,
    say_whose_key,
    time_of,
)
from edge.commands._options import Actions, Options
from edge.commands._output import answer, complain
from edge.errors import AuditError, UsageError
from edge.files import write_given

if TYPE_CHECKING:
    from edge.audit.note import Verifier
    from edge.audit.pruning.receipt import Receipt


def register(actions: Actions, log: Options, key: Options) -> Options:
    """Add the parsers of both; `prove` is given back."""
    prove = actions.add(
        "prove",
        "prove that no frame was released, that an entry is there, or that nothing changed",
        run,
        parents=[log],
    )
    prove.text("--from TIME", f"start of the span ({TIME})", dest="since")
    prove.text("--to TIME", "end of the span", dest="until")
    prove.number("--entry N", "prove instead that entry N is in the log")
    prove.path(
        "--checkpoint FILE",
        "prove instead that the log continues this older checkpoint of it (RFC 6962)",
    )
    prove.path("--out FILE", "write the proof here")

    check = actions.add("verify-proof", "check a proof without the log", _check, parents=[key])
    check.path("proof FILE", "what `prove` wrote")
    check.path("--checkpoint FILE", "the older checkpoint that it starts from")
    return prove


def run(args: argparse.Namespace) -> int:
    from edge.audit.proofs.proof import prove_entry, prove_span
    from edge.audit.proofs.verify import verify_log

    key = log_key(args)
    span = args.since is not None and args.until is not None
    asked = (span, args.entry is not None, args.checkpoint is not None)
    if sum(asked) != 1 or (args.since is None) != (args.until is None):
        raise UsageError(
            "prove: expected --from TIME and --to TIME, or --entry N, or --checkpoint FILE"
        )
    if args.checkpoint is not None:
        return _prove_consistency(args, key)
    from_ns = time_of(args.since, "--from") if span else 0
    to_ns = time_of(args.until, "--to") if span else 0
    if span and from_ns >= to_ns:
        raise UsageError("prove: --from must be before --to")
    entries: dict[int, bytes] = {}
    hashes: dict[int, bytes] = {}
    receipt: Receipt | None = None
    say_whose_key(args)
    try:
        note = read(args.log / "checkpoint")
        found = verify_log(
            args.log,
            key,
            on_entry=lambda index, entry, fields: entries.update({index: entry}),
            on_hash=lambda index, leaf: hashes.update({index: leaf}),
            archive=args.archive,
        )
        receipt = found.receipt if found.pruned else None
        rest, pruned = _after_pruned(entries, hashes)
        if span:
            wrong = "" if receipt is None else receipt.carried.distrusted
            proof = prove_span(rest, note, key, from_ns, to_ns, pruned=pruned, distrusted=wrong)
        else:
            proof = prove_entry(rest, note, key, args.entry, pruned=pruned)
    except AuditError as err:
        return complain(
            f"not proven: {err}" + (f"; {receipt.words}" if receipt is not None else "")
        )
    return _give(args, proof)


def _after_pruned(
    entries: dict[int, bytes], hashes: dict[int, bytes]
) -> tuple[list[bytes], list[bytes]]:
    """The entries after the last that was pruned, and the leaf hashes of all before them."""
    from edge.audit.proofs.merkle import leaf_hash

    first = max(hashes, default=-1) + 1
    before = [hashes[i] if i in hashes else leaf_hash(entries[i]) for i in range(first)]
    return [entries[i] for i in range(first, len(entries) + len(hashes))], before


def _prove_consistency(args: argparse.Namespace, key: Verifier) -> int:
    """From the published tiles alone, as a server of these files could."""
    from edge.audit.proofs.consistency import prove_consistency
    from edge.audit.proofs.tiled import roots_of, size_of

    old = old_checkpoint(args, key)
    note = read(args.log / "checkpoint")
    say_whose_key(args)
    try:
        root = roots_of(args.log / "tile", size_of(note.decode(errors="replace")))
        proof = prove_consistency(old, note, root, key)
    except AuditError as err:
        return complain(f"not proven: {err}")
    return _give(args, proof.decode())


def _give(args: argparse.Namespace, proof: str) -> int:
    if args.out is None:
        print(proof, end="")
    else:
        write_given(args.out, proof.encode())
        print(f"proof written to {args.out}; check it with `framegate audit verify-proof`")
    return 0


def _check(args: argparse.Namespace) -> int:
    from edge.audit.proofs.proof import MAX_PROOF_BYTES
    from edge.commissioning.keys import read_verifier

    if args.key is None:
        raise UsageError("verify-proof: expected --key PUB, the device's public log key")
    key = read_verifier(args.key)
    data = read(args.proof)
    if len(data) > MAX_PROOF_BYTES:
        raise UsageError(f"{args.proof} is larger than {MAX_PROOF_BYTES} bytes")
    consistency = data.startswith(b"old ") or args.checkpoint is not None
    try:
        proven, line = (_consistent if consistency else _proven)(args, data, key)
    except AuditError as err:
        if args.json:
            print(json.dumps({"proven": False, "error": str(err)}))
        return complain(f"{args.proof} proves nothing: {err}")
    answer(args, {"proven": True, **proven}, [f"proven: {line}"])
    return 0


def _proven(args: argparse.Namespace, data: bytes, key: Verifier) -> tuple[dict[str, Any], str]:
    """What a proof of a span or of an entry says, as data and for people."""
    from edge.audit.forms import wall_text
    from edge.audit.proofs.proof import ProvenSpan, verify_proof

    found = verify_proof(data.decode(errors="replace"), key)
    proven: dict[str, Any] = {"origin": found.origin, "size": found.size}
    if isinstance(found, ProvenSpan):
        since, until = wall_text(found.span.from_ns), wall_text(found.span.to_ns)
        proven |= {"claim": "no frame released", "from": since, "to": until}
        proven |= {"first": found.first, "entries": found.entries, "permits": found.span.permits}
        return proven, (
            f"no frame was released from {since} to {until}\n"
            f"entries {found.first} to {found.first + found.entries - 1} "
            f"of the {found.size} that {found.origin} signed"
        )
    proven |= {"claim": "entry in the log", "index": found.index, "entry": found.fields}
    return proven, (
        f"entry {found.index} of the {found.size} that {found.origin} signed is\n"
        f"{line_of(found.index, found.fields)}"
    )


def _consistent(args: argparse.Namespace, data: bytes, key: Verifier) -> tuple[dict[str, Any], str]:
    """The same of a proof that nothing before a checkpoint was changed."""
    from edge.audit.proofs.consistency import verify_consistency

    if args.checkpoint is None:
        raise UsageError("verify-proof: expected --checkpoint FILE, the older checkpoint")
    old, size = verify_consistency(data, old_checkpoint(args, key), key)
    proven = {"origin": key.name, "claim": "consistent", "old": old, "size": size}
    signed = f"the {size} entries that {key.name} signed"
    return proven, f"{signed} continue the {old} of {args.checkpoint}"
