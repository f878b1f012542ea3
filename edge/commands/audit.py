"""`framegate audit`: check, read and prove from a log, with the public key alone."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands._audit import _month, _prune, _quote
from edge.commands._options import Commands, add_flag, add_number, add_path, add_text
from edge.errors import AuditError, GuardError, UsageError
from edge.files import MODEL_BYTES, read_given, write_given

if TYPE_CHECKING:
    from edge.audit.attestation.quote import Proven
    from edge.audit.note import Verifier
    from edge.audit.proofs.verify import Verified
    from edge.audit.pruning.receipt import Receipt

_TIME = "UTC time, e.g. 2026-01-31T12:00:00Z"

EXAMPLES = """\
examples:
  framegate audit verify out/audit --key log.pub      every entry and signature
  framegate audit show out/audit --kind permit
  framegate audit prove out/audit --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z \\
      --out proof.json                                that no frame was released in that hour
  framegate audit verify-proof proof.json --key log.pub
  framegate audit verify out/audit --key log.pub --witnesses POLICY
  framegate audit prove out/audit --checkpoint kept --out continues   nothing before was changed
  framegate audit verify-proof continues --checkpoint kept --key log.pub
  framegate audit quote out/audit --ak 0x81010002     the TPM signs this machine's state
  framegate audit verify out/audit --quote out/audit/checkpoint.quote --ak ak.pem
  framegate audit report out/audit --month 2026-11 --out november
  framegate audit prune --config guard.toml           what is older than guard.toml keeps
"""


def register(subparsers: Commands) -> None:
    parser = subparsers.add_parser(
        "audit",
        help="check, read and prove from an audit log",
        description="Check, read and prove from an audit log, with the public key alone.",
        epilog=EXAMPLES,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    key = argparse.ArgumentParser(add_help=False)
    add_path(key, "--key", "PUB", "the device's public log key")
    add_flag(key, "--json", "print data, not prose")
    log = argparse.ArgumentParser(add_help=False, parents=[key])
    add_path(log, "log", "DIR", "the log's directory")

    verify = actions.add_parser("verify", parents=[log], help="check every entry and signature")
    add_number(verify, "--floor", "N", "fail if the log has fewer entries than N", 0)
    add_path(verify, "--checkpoint", "FILE", "fail if the log does not continue this one")
    add_path(
        verify,
        "--witnesses",
        "POLICY",
        "ask for this quorum of witnesses (C2SP tlog-policy) under the cosigned checkpoint",
    )
    add_path(verify, "--cosigned", "FILE", "where it is (DIR/checkpoint.cosigned)")
    _quote.add_options(verify)
    verify.set_defaults(handler=_reading(_verify))

    show = actions.add_parser("show", parents=[log], help="print entries")
    add_text(show, "--from", "TIME", f"not before ({_TIME})", dest="since")
    add_text(show, "--to", "TIME", "not after", dest="until")
    add_text(show, "--kind", "KIND", "only this kind (repeatable)", action="append")
    show.set_defaults(handler=_reading(_show))

    prove = actions.add_parser(
        "prove",
        parents=[log],
        help="prove that no frame was released, that an entry is there, or that nothing changed",
    )
    add_text(prove, "--from", "TIME", f"start of the span ({_TIME})", dest="since")
    add_text(prove, "--to", "TIME", "end of the span", dest="until")
    add_number(prove, "--entry", "N", "prove instead that entry N is in the log")
    add_path(
        prove,
        "--checkpoint",
        "FILE",
        "prove instead that the log continues this older checkpoint of it (RFC 6962)",
    )
    add_path(prove, "--out", "FILE", "write the proof here")
    prove.set_defaults(handler=_reading(_prove))

    check = actions.add_parser("verify-proof", parents=[key], help="check a proof without the log")
    add_path(check, "proof", "FILE", "what `prove` wrote")
    add_path(check, "--checkpoint", "FILE", "the older checkpoint that it starts from")
    check.set_defaults(handler=_reading(_verify_proof))

    for parser in (verify, show, prove):
        add_path(parser, "--archive", "FOLDER", _month.ARCHIVE)
    report = _month.register(actions, log)
    report.set_defaults(handler=_reading(_report))

    quote = _quote.register(actions, log)
    quote.set_defaults(handler=_reading(lambda args: _quote.run(args, _log_key(args))))

    export = actions.add_parser("export", parents=[log], help="copy a log, without secrets")
    add_path(export, "out", "OUT", "a new directory")
    export.set_defaults(handler=_reading(_export))

    prune = _prune.register(actions)
    prune.set_defaults(handler=_reading(lambda args: _prune.run(args, _no)))


def _reading(handler: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """A file of the log that cannot be read is bad input, not a bad log."""

    def handle(args: argparse.Namespace) -> int:
        try:
            return handler(args)
        except (BrokenPipeError, GuardError):  # a token that fails is both kinds of error
            raise
        except OSError as err:
            raise UsageError(f"cannot read {err.filename}: {err.strerror}") from err

    return handle


def _verify(args: argparse.Namespace) -> int:
    from edge.audit.attestation.attest import QuoteError
    from edge.audit.journal import BadEntry
    from edge.audit.proofs.verify import verify_log

    key = _log_key(args)
    if args.floor < 0:
        raise UsageError(f"--floor: expected a count of entries, got {args.floor}")
    if args.witnesses is not None and args.checkpoint is not None:
        raise UsageError("verify: expected --checkpoint or --witnesses, got both")
    if args.cosigned is not None and args.witnesses is None:
        raise UsageError("verify: --cosigned belongs to --witnesses")
    _quote.check_options(args)
    seen = None if args.checkpoint is None else _old_checkpoint(args, key)
    if args.witnesses is not None:
        try:
            seen = _cosigned(args, key)
        except AuditError as err:
            return _no(f"{args.log} is not witnessed: {err}")
    _say_whose_key(args)
    quoted = None
    try:
        if args.quote is not None:
            quoted, seen = _quote.check(args, key)
        found = verify_log(args.log, key, floor=args.floor, seen=seen, archive=args.archive)
        if quoted is not None:
            _quote.check_age(args, quoted, found.published)
    except QuoteError as err:
        if args.json:
            print(json.dumps({"verified": False, "error": str(err)}))
        return _no(f"{args.quote} does not hold: {err}")
    except AuditError as err:
        index = err.index if isinstance(err, BadEntry) else None
        if args.json:
            print(json.dumps({"verified": False, "first_bad": index, "error": str(err)}))
        return _no(f"{args.log} does not verify: {err}")
    _print_verified(args, args.log, found, key, quoted)
    return 0


def _show(args: argparse.Namespace) -> int:
    from edge.audit.proofs.verify import verify_log
    from edge.audit.schema import Kind

    key = _log_key(args)
    since = _time(args.since, "--from") if args.since else None
    until = _time(args.until, "--to") if args.until else None
    kinds = {kind.value for kind in Kind}
    for kind in args.kind or ():
        if kind not in kinds:
            raise UsageError(f"--kind {kind}: expected one of {', '.join(sorted(kinds))}")

    def on_entry(index: int, entry: bytes, fields: dict[str, Any]) -> None:
        if since is not None and _time(fields["wall"], "wall") < since:
            return
        if until is not None and _time(fields["wall"], "wall") > until:
            return
        if args.kind and fields["kind"] not in args.kind:
            return
        print(json.dumps({"index": index, **fields}) if args.json else _line(index, fields))

    _say_whose_key(args)
    try:
        found = verify_log(args.log, key, on_entry=on_entry, archive=args.archive)
    except AuditError as err:
        return _no(f"{args.log} does not verify: {err}")
    _say_pruned(found)
    return 0


def _prove(args: argparse.Namespace) -> int:
    from edge.audit.proofs.proof import prove_entry, prove_span
    from edge.audit.proofs.verify import verify_log

    key = _log_key(args)
    span = args.since is not None and args.until is not None
    asked = (span, args.entry is not None, args.checkpoint is not None)
    if sum(asked) != 1 or (args.since is None) != (args.until is None):
        raise UsageError(
            "prove: expected --from TIME and --to TIME, or --entry N, or --checkpoint FILE"
        )
    if args.checkpoint is not None:
        return _prove_consistency(args, key)
    from_ns = _time(args.since, "--from") if span else 0
    to_ns = _time(args.until, "--to") if span else 0
    if span and from_ns >= to_ns:
        raise UsageError("prove: --from must be before --to")
    entries: dict[int, bytes] = {}
    hashes: dict[int, bytes] = {}
    receipt: Receipt | None = None
    _say_whose_key(args)
    try:
        note = _read(args.log / "checkpoint")
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
        return _no(f"not proven: {err}" + (f"; {receipt.words}" if receipt is not None else ""))
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

    old = _old_checkpoint(args, key)
    note = _read(args.log / "checkpoint")
    _say_whose_key(args)
    try:
        root = roots_of(args.log / "tile", size_of(note.decode(errors="replace")))
        proof = prove_consistency(old, note, root, key)
    except AuditError as err:
        return _no(f"not proven: {err}")
    return _give(args, proof.decode())


def _cosigned(args: argparse.Namespace, key: Verifier) -> bytes:
    """The checkpoint with enough cosignatures under it, which the log must continue."""
    from edge.commands._fleet._common import read_policy
    from edge.fleet.courier import COSIGNED, quorum

    policy = read_policy(args.witnesses)
    place = args.cosigned or args.log / COSIGNED
    if not place.exists():
        raise AuditError(f"there is no {place}: no courier has brought a cosignature back")
    note = _read(place)
    for found in quorum(note, policy, key):
        moment = datetime.datetime.fromtimestamp(found.time_s, datetime.timezone.utc)
        print(f"cosigned by {found.witness.name} at {moment:%Y-%m-%dT%H:%M:%SZ}", file=sys.stderr)
    return note


def _old_checkpoint(args: argparse.Namespace, key: Verifier) -> bytes:
    from edge.audit.note import NoteError, read_note

    old = _read(args.checkpoint)
    try:
        read_note(old, [key])
    except NoteError as err:
        raise UsageError(f"{args.checkpoint}: {err}") from err
    return old


def _give(args: argparse.Namespace, proof: str) -> int:
    if args.out is None:
        print(proof, end="")
    else:
        write_given(args.out, proof.encode())
        print(f"proof written to {args.out}; check it with `framegate audit verify-proof`")
    return 0


def _verify_proof(args: argparse.Namespace) -> int:
    from edge.audit.forms import wall_text
    from edge.audit.proofs.proof import MAX_PROOF_BYTES, ProvenSpan, verify_proof
    from edge.commissioning.keys import read_verifier

    if args.key is None:
        raise UsageError("verify-proof: expected --key PUB, the device's public log key")
    key = read_verifier(args.key)
    data = _read(args.proof)
    if len(data) > MAX_PROOF_BYTES:
        raise UsageError(f"{args.proof} is larger than {MAX_PROOF_BYTES} bytes")
    if data.startswith(b"old ") or args.checkpoint is not None:
        return _verify_consistency(args, data, key)
    try:
        found = verify_proof(data.decode(errors="replace"), key)
    except AuditError as err:
        if args.json:
            print(json.dumps({"proven": False, "error": str(err)}))
        return _no(f"{args.proof} proves nothing: {err}")
    answer: dict[str, Any] = {"proven": True, "origin": found.origin, "size": found.size}
    if isinstance(found, ProvenSpan):
        since, until = wall_text(found.span.from_ns), wall_text(found.span.to_ns)
        answer |= {"claim": "no frame released", "from": since, "to": until}
        answer |= {"first": found.first, "entries": found.entries, "permits": found.span.permits}
        text = (
            f"proven: no frame was released from {since} to {until}\n"
            f"entries {found.first} to {found.first + found.entries - 1} "
            f"of the {found.size} that {found.origin} signed"
        )
    else:
        answer |= {"claim": "entry in the log", "index": found.index, "entry": found.fields}
        text = (
            f"proven: entry {found.index} of the {found.size} that {found.origin} signed is\n"
            f"{_line(found.index, found.fields)}"
        )
    print(json.dumps(answer) if args.json else text)
    return 0


def _verify_consistency(args: argparse.Namespace, data: bytes, key: Verifier) -> int:
    from edge.audit.proofs.consistency import verify_consistency

    if args.checkpoint is None:
        raise UsageError("verify-proof: expected --checkpoint FILE, the older checkpoint")
    try:
        old, size = verify_consistency(data, _old_checkpoint(args, key), key)
    except AuditError as err:
        if args.json:
            print(json.dumps({"proven": False, "error": str(err)}))
        return _no(f"{args.proof} proves nothing: {err}")
    answer = {"proven": True, "origin": key.name, "claim": "consistent", "old": old, "size": size}
    text = (
        f"proven: the {size} entries that {key.name} signed continue the {old} of {args.checkpoint}"
    )
    print(json.dumps(answer) if args.json else text)
    return 0


def _export(args: argparse.Namespace) -> int:
    from edge.audit.proofs.export import export_log

    key = _log_key(args)
    try:
        found = export_log(args.log, args.out, key)
    except AuditError as err:
        return _no(f"{args.log} does not verify, so nothing was exported: {err}")
    _say_whose_key(args)
    _print_verified(args, args.out, found, key)
    return 0


def _report(args: argparse.Namespace) -> int:
    key = _log_key(args)
    _say_whose_key(args)
    return _month.run(args, key, _no)


def _print_verified(
    args: argparse.Namespace,
    where: Path,
    found: Verified,
    key: Verifier,
    quoted: Proven | None = None,
) -> None:
    if args.json:
        extra = {} if quoted is None else {"quote": _quote.data(args, quoted)}
        print(
            json.dumps(
                {
                    "verified": True,
                    "entries": found.entries,
                    "root": found.root.hex(),
                    "segments": found.segments,
                    "published": found.published,
                    "torn_bytes": found.torn_bytes,
                    "pruned": found.pruned,
                    "key": key.text,
                    **extra,
                }
            )
        )
        return
    segments = f"{found.segments} segment" + "s" * (found.segments != 1)
    print(f"{where}: {found.entries} entries in {segments} verify")
    print(f"size {found.entries}  root {found.root.hex()}  published {found.published}")
    if found.torn_bytes:
        print(f"{found.torn_bytes} bytes of an unfinished write follow; they are no entry")
    if found.receipt is not None and found.pruned:
        print(f"{found.receipt.words}; their hashes verify")
    for line in () if quoted is None else _quote.lines(args, quoted):
        print(line)


def _say_pruned(found: Verified) -> None:
    if found.receipt is not None and found.pruned:
        print(f"note: {found.receipt.words}", file=sys.stderr)


def _line(index: int, fields: dict[str, Any]) -> str:
    """One entry as text: index, time, kind, then its own fields."""
    stamp = {"kind", "boot_id", "mono_ns", "wall", "camera", "policy"}
    own = " ".join(f"{k}={_plain(v)}" for k, v in fields.items() if k not in stamp)
    return f"{index:>6}  {fields['wall']}  {fields['kind']:<12}  {own}".rstrip()


def _plain(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return ",".join(value) or "-"
    return json.dumps(value).strip('"')


def _time(text: str, option: str) -> int:
    """Nanoseconds of a UTC time, with or without milliseconds."""
    from edge.audit.forms import wall_ns

    whole = text if "." in text else text.removesuffix("Z") + ".000Z"
    try:
        return wall_ns(whole)
    except AuditError as err:
        raise UsageError(f"{option}: expected {_TIME}, got {text!r}") from err


def _log_key(args: argparse.Namespace) -> Verifier:
    """The key to trust: the one given, or the one the log carries."""
    from edge.commissioning.keys import read_verifier

    if not (args.log / "segments").is_dir():
        raise UsageError(f"{args.log} holds no audit log (expected a directory with segments/)")
    if args.key is not None:
        return read_verifier(args.key)
    return read_verifier(args.log / "log.pub")


def _say_whose_key(args: argparse.Namespace) -> None:
    """Say that the log's own key is trusted; once the command line is known to be good."""
    if args.key is None:
        print(
            f"note: trusting {args.log / 'log.pub'}, which came with the log; "
            "give --key for proof of who wrote it",
            file=sys.stderr,
        )


def _read(path: Path) -> bytes:
    return read_given(path, MODEL_BYTES)


def _no(why: str) -> int:
    print(f"framegate: {why}", file=sys.stderr)
    return 1
