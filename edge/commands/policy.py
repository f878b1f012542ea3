"""`framegate policy`: build, sign, check, install and read policy bundles."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands._options import add_flag, add_number, add_path, add_text
from edge.errors import PolicyError, UsageError
from edge.files import named_by_user, sha256_of, write_new

if TYPE_CHECKING:
    from edge.policy.engine import Policy

EXAMPLES = """\
examples, from new keys to a policy in force:
  framegate policy keygen ann bob cyd --out keys
  framegate policy build --pack strict --version 1 --days 90 \\
      --key keys/ann.pub keys/bob.pub keys/cyd.pub --threshold 2 --out p1.json
  framegate policy sign p1.json --with keys/ann.key
  framegate policy sign p1.json --with keys/bob.key
  framegate policy install p1.json --key keys/ann.pub keys/bob.pub keys/cyd.pub --threshold 2
  framegate policy show --matrix --html table.html
  framegate policy book --out rules.html --scenarios cases.yaml
"""
_DAY_S = 86_400
_STATE_DIR = "~/.local/state/framegate/policy"  # policy_store.DEFAULT_DIR, too heavy for help


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "policy",
        help="build, sign, install and read policies",
        description="Build, sign, install and read policies.",
        epilog=EXAMPLES,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _keygen_options(actions.add_parser("keygen", help="make signing keys"))
    _build_options(actions.add_parser("build", help="make an unsigned bundle of a pack"))
    _sign_options(actions.add_parser("sign", help="add one signature to a bundle"))
    _verify_options(actions.add_parser("verify", help="check a bundle; nothing is installed"))
    _install_options(actions.add_parser("install", help="put a signed bundle in force"))
    _show_options(actions.add_parser("show", help="print a policy's rules or its whole table"))
    lint = actions.add_parser(
        "lint", help="find faults in a pack: always-true rules, unknown words"
    )
    _source(lint)
    add_flag(
        lint, "--warnings", "print only faults, and sources that nobody has checked for half a year"
    )
    lint.set_defaults(handler=_lint)
    _book_options(actions.add_parser("book", help="write every rule as a page to read or print"))
    _diff_options(actions.add_parser("diff", help="print what changes between two policies"))


def _source(parser: argparse.ArgumentParser) -> None:
    add_text(
        parser,
        "source",
        "PACK|DIR|BUNDLE",
        "strict (default), police, a directory with a pack's files, or a bundle",
        nargs="?",
        default="strict",
    )


def _trust_options(parser: argparse.ArgumentParser) -> None:
    add_path(parser, "--key", "PUB", "trusted public keys", nargs="+", default=[])
    add_number(parser, "--threshold", "THRESHOLD", "how many must sign (default 2)", 2)
    add_number(parser, "--root-version", "N", "add one for each new set of keys", 1)


def _state_option(parser: argparse.ArgumentParser) -> None:
    add_path(parser, "--state", "DIR", f"the installed policy (default {_STATE_DIR})")


def _keygen_options(parser: argparse.ArgumentParser) -> None:
    add_text(parser, "names", "NAME", "one key holder each", nargs="+")
    add_path(parser, "--out", "DIR", "where to put them", required=True)
    parser.set_defaults(handler=_keygen)


def _keygen(args: argparse.Namespace) -> int:
    from edge.policy.signed import keys as policy_keys

    for public in policy_keys.make(args.names, args.out):
        print(f"{public.with_suffix('.key')} (secret)  {public}")
    return 0


def _build_options(parser: argparse.ArgumentParser) -> None:
    add_text(parser, "--pack", "PACK|DIR", "strict (default), police or a folder", default="strict")
    add_number(parser, "--version", "VERSION", "higher for every new bundle", required=True)
    add_number(parser, "--days", "DAYS", "days until it expires (default 90)", 90)
    add_text(parser, "--issued", "TIME", "like 2026-01-31T12:00:00Z (default now)")
    add_text(parser, "--minimum-guard", "VERSION", "oldest guard that may load it", default="0.1.0")
    add_path(parser, "--model", "MODEL", "models to pin by digest", nargs="*", default=[])
    add_text(parser, "--limit", "NAME=NUMBER", "e.g. min_view_score=0.85", nargs="*", default=[])
    add_path(parser, "--out", "FILE", "the bundle", required=True)
    _trust_options(parser)
    parser.set_defaults(handler=_build)


def _build(args: argparse.Namespace) -> int:
    from edge.policy.authoring.lint import lint
    from edge.policy.signed.bundle import Bundle, parse_payload, read_time, seal_bundle
    from edge.policy.signed.files import files_of, limit_of, root_of, write

    try:
        issued_s = int(time.time()) if args.issued is None else read_time(args.issued)
    except ValueError as err:
        raise UsageError(f"--issued: {err}") from err
    if args.days < 1:
        raise UsageError(f"--days: expected 1 or more, got {args.days}")
    files = files_of(args.pack)
    bundle = Bundle(
        args.version,
        issued_s,
        issued_s + args.days * _DAY_S,
        args.minimum_guard,
        root_of(args.key, args.threshold, args.root_version),
        {model.name: _digest(model) for model in args.model},
        dict(limit_of(text) for text in args.limit),
        files,
    )
    checked = parse_payload(bundle.payload)  # what will be read is what is written
    wrong = lint(checked.pack())
    if wrong:
        raise PolicyError(f"POLICY_LINT: {wrong[0]}")
    write(args.out, seal_bundle(checked))
    print(f"{args.out}: version {args.version}, unsigned; {args.threshold} signatures needed")
    return 0


def _sign_options(parser: argparse.ArgumentParser) -> None:
    add_path(parser, "bundle", "BUNDLE", "a bundle file")
    add_path(parser, "--with", "KEY", "secret key to sign with", dest="secret", required=True)
    parser.set_defaults(handler=_sign)


def _sign(args: argparse.Namespace) -> int:
    from edge.policy.signed import keys as policy_keys
    from edge.policy.signed.files import read, write
    from edge.policy.signed.trust import sign

    signed = sign(read(args.bundle), policy_keys.read_secret(args.secret))
    write(args.bundle, signed)
    print(f"{args.bundle}: signed with {args.secret}")
    return 0


def _verify_options(parser: argparse.ArgumentParser) -> None:
    add_path(parser, "bundle", "BUNDLE", "a bundle file")
    _trust_options(parser)
    _state_option(parser)
    parser.set_defaults(handler=_verify)


def _verify(args: argparse.Namespace) -> int:
    from edge.policy.authoring.lint import lint
    from edge.policy.signed.files import read, root_of
    from edge.policy.signed.store import PolicyStore, judge
    from edge.policy.signed.trust import signers
    from edge.version import VERSION

    store = PolicyStore(args.state)
    root = root_of(args.key, args.threshold, args.root_version) if args.key else store.root()
    if root is None:
        raise UsageError("no key is trusted yet: name the keys with --key and --threshold")
    envelope = read(args.bundle)
    try:
        found = judge(envelope, root, store.floors(), wall_s=int(time.time()), guard=VERSION)
        wrong = lint(found.policy.pack)
        if wrong:
            raise PolicyError(f"POLICY_LINT: {wrong[0]}")
    except PolicyError as err:
        print(f"framegate: {args.bundle} is refused: {err}", file=sys.stderr)
        return 1
    print(f"{args.bundle}: good, signed by {', '.join(signers(envelope, root))}")
    _describe(found.policy)
    return 0


def _install_options(parser: argparse.ArgumentParser) -> None:
    add_path(parser, "bundle", "BUNDLE", "a bundle file")
    _trust_options(parser)
    _state_option(parser)
    parser.set_defaults(handler=_install)


def _install(args: argparse.Namespace) -> int:
    from edge.policy.signed.files import read, root_of
    from edge.policy.signed.store import PolicyStore
    from edge.version import VERSION

    store = PolicyStore(args.state)
    found = store.install(
        read(args.bundle),
        wall_s=int(time.time()),
        guard=VERSION,
        trust=root_of(args.key, args.threshold, args.root_version) if args.key else None,
    )
    print(f"{store.directory}: version {found.bundle.version} is in force")
    _describe(found.policy)
    return 0


def _show_options(parser: argparse.ArgumentParser) -> None:
    _source(parser)
    add_text(parser, "--as-of", "DATE", "under the rules of that day")
    add_flag(parser, "--matrix", "the verdict for every user and lane")
    add_path(parser, "--out", "DIR", "write the pack's files there, to edit them")
    add_path(parser, "--html", "FILE", "write the matrix as a page")
    add_flag(parser, "--json", "print data instead of text")
    add_text(
        parser,
        "--set",
        "KEY=VALUE",
        "facts that hold in every cell of the matrix",
        nargs="*",
        default=[],
    )
    parser.set_defaults(handler=_show)


def _show(args: argparse.Namespace) -> int:
    from edge.commands.explain import print_json, rule_data
    from edge.policy.authoring.matrix import matrix
    from edge.policy.authoring.table import page, table
    from edge.policy.signed.files import facts_of, files_of, policy_in, write

    policy = policy_in(args.source, args.as_of)
    if args.out:
        return _take_out(files_of(args.source), args.out)
    if args.matrix or args.html:
        changes = facts_of(args.set)
        rows = matrix(policy, changes)
        if args.html:
            write(args.html, page(policy, changes, rows).encode())
            print(args.html)
        else:
            print(table(policy, changes, rows, _columns()))
        return 0
    if args.json:
        print_json([rule_data(rule, policy.day) for rule in policy.pack.rules])
        return 0
    _describe(policy)
    for rule in policy.pack.rules:
        lapsed = "" if rule.in_force(policy.day) else f"  (decides nothing on {policy.day})"
        print(f"  {rule.id:7} {rule.effect.value:6}  {rule.says}{lapsed}")
    return 0


def _columns() -> int:
    """Of the terminal; 0 if the text goes to a file and no width is set."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return max(30, shutil.get_terminal_size().columns)
    return 0


def _take_out(files: Mapping[str, bytes], folder: Path) -> int:
    if folder.exists():
        raise UsageError(f"{folder} exists already")
    with named_by_user("write", folder):
        folder.mkdir(parents=True)
        for name, text in files.items():
            write_new(folder / name, text)
    print(f"{folder}: {len(files)} files; pack.json says which rules the pack takes")
    return 0


def _lint(args: argparse.Namespace) -> int:
    from edge.policy.authoring.lint import lint
    from edge.policy.engine import utc_today
    from edge.policy.signed.files import policy_in

    pack = policy_in(args.source, None).pack
    wrong = lint(pack)
    for finding in wrong:
        print(f"POLICY_LINT {finding}")
    for rule in pack.rules:
        if days := rule.stale_days(utc_today()):
            print(f"warning: {rule.key}: its source was last checked {days} days ago")
    if not wrong and not args.warnings:
        print(f"{pack.name}: {len(pack.rules)} rules, nothing to mend")
    return 1 if wrong else 0


def _book_options(parser: argparse.ArgumentParser) -> None:
    _source(parser)
    add_path(parser, "--out", "FILE", "the page (HTML)", required=True)
    add_text(parser, "--as-of", "DATE", "under the rules of that day")
    add_path(parser, "--scenarios", "FILE.yaml", "cases to list beside their rules")
    parser.set_defaults(handler=_book)


def _book(args: argparse.Namespace) -> int:
    from edge.policy.authoring.book import book
    from edge.policy.scenario import read_scenarios
    from edge.policy.signed.files import policy_in, read, write

    try:
        cases = read_scenarios(read(args.scenarios)) if args.scenarios else ()
    except UsageError as err:
        raise UsageError(f"{args.scenarios}: {err}") from err
    policy = policy_in(args.source, args.as_of)
    write(args.out, book(policy, cases).encode())
    print(f"{args.out}: {len(policy.pack.rules)} rules")
    return 0


def _diff_options(parser: argparse.ArgumentParser) -> None:
    add_text(parser, "before", "PACK|DIR|BUNDLE", "the policy as it was")
    add_text(parser, "after", "PACK|DIR|BUNDLE", "the policy as it will be")
    add_number(parser, "--cases", "CASES", "cases to compare (default 2000)", 2000)
    add_flag(parser, "--json", "print data instead of text")
    parser.set_defaults(handler=_diff)


def _diff(args: argparse.Namespace) -> int:
    from edge.policy.authoring.difference import difference
    from edge.policy.signed.files import policy_in

    if args.cases < 1:
        raise UsageError(f"--cases: expected 1 or more, got {args.cases}")
    print(
        difference(policy_in(args.before, None), policy_in(args.after, None), args.cases, args.json)
    )
    return 0


def _describe(policy: Policy) -> None:
    held = sum(rule.in_force(policy.day) for rule in policy.pack.rules)
    print(f"{policy.pack.name}: {policy.pack.title}")
    print(f"  {held} of {len(policy.pack.rules)} rules decide on {policy.day}")
    print(f"  digest {policy.digest.hex()}")


def _digest(model: Path) -> str:
    with named_by_user("read", model):
        return sha256_of(model)
