"""`framegate policy`: build, sign, check, install and read policy bundles."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands._options import SEVERAL, Actions, Options
from edge.commands._output import complain
from edge.errors import PolicyError, UsageError, wrong_in
from edge.files import named_by_user, sha256_of, write_given, write_new

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


def register(commands: Actions) -> None:
    actions = commands.add_group(
        "policy", "build, sign, install and read policies", epilog=EXAMPLES
    )
    keygen = actions.add("keygen", "make signing keys", _keygen)
    keygen.text("names NAME", "one key holder each", nargs="+")
    keygen.path("--out DIR", "where to put them", required=True)

    trust = Options.shared()
    trust.path("--key PUB", "trusted public keys", **SEVERAL)
    trust.number("--threshold THRESHOLD", "how many must sign (default 2)", 2)
    trust.number("--root-version N", "add one for each new set of keys", 1)
    _build_options(
        actions.add("build", "make an unsigned bundle of a pack", _build, parents=[trust])
    )

    bundle = Options.shared()
    bundle.path("bundle BUNDLE", "a bundle file")
    sign = actions.add("sign", "add one signature to a bundle", _sign, parents=[bundle])
    sign.path("--with KEY", "secret key to sign with", dest="secret", required=True)
    checked = Options.shared(bundle, trust)
    checked.path("--state DIR", f"the installed policy (default {_STATE_DIR})")
    actions.add("verify", "check a bundle; nothing is installed", _verify, parents=[checked])
    actions.add("install", "put a signed bundle in force", _install, parents=[checked])

    source = Options.shared()
    what = "strict (default), police, a directory with a pack's files, or a bundle"
    source.text("source PACK|DIR|BUNDLE", what, nargs="?", default="strict")
    dated = Options.shared(source)
    dated.text("--as-of DATE", "under the rules of that day")
    what = "print a policy's rules or its whole table"
    _show_options(actions.add("show", what, _show, parents=[dated]))
    what = "find faults in a pack: always-true rules, unknown words"
    lint = actions.add("lint", what, _lint, parents=[source])
    lint.flag(
        "--warnings", "print only faults, and sources that nobody has checked for half a year"
    )
    book = actions.add(
        "book", "write every rule as a page to read or print", _book, parents=[dated]
    )
    book.path("--out FILE", "the page (HTML)", required=True)
    book.path("--scenarios FILE.yaml", "cases to list beside their rules")
    diff = actions.add("diff", "print what changes between two policies", _diff)
    diff.text("before PACK|DIR|BUNDLE", "the policy as it was")
    diff.text("after PACK|DIR|BUNDLE", "the policy as it will be")
    diff.number("--cases CASES", "cases to compare (default 2000)", 2000)
    diff.flag("--json", "print data instead of text")


def _keygen(args: argparse.Namespace) -> int:
    from edge.policy.signed import keys as policy_keys

    for public in policy_keys.make(args.names, args.out):
        print(f"{public.with_suffix('.key')} (secret)  {public}")
    return 0


def _build_options(parser: Options) -> None:
    parser.text("--pack PACK|DIR", "strict (default), police or a folder", default="strict")
    parser.number("--version VERSION", "higher for every new bundle", required=True)
    parser.number("--days DAYS", "days until it expires (default 90)", 90)
    parser.text("--issued TIME", "like 2026-01-31T12:00:00Z (default now)")
    parser.text("--minimum-guard VERSION", "oldest guard that may load it", default="0.1.0")
    parser.path("--model MODEL", "models to pin by digest", nargs="*", default=[])
    parser.text("--limit NAME=NUMBER", "e.g. min_view_score=0.85", nargs="*", default=[])
    parser.path("--out FILE", "the bundle", required=True)


def _build(args: argparse.Namespace) -> int:
    from edge.policy.authoring.lint import lint
    from edge.policy.signed.bundle import Bundle, parse_payload, read_time, seal_bundle
    from edge.policy.signed.files import files_of, limit_of, root_of

    with wrong_in("--issued", ValueError):
        issued_s = int(time.time()) if args.issued is None else read_time(args.issued)
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
    write_given(args.out, seal_bundle(checked), once=True)
    print(f"{args.out}: version {args.version}, unsigned; {args.threshold} signatures needed")
    return 0


def _sign(args: argparse.Namespace) -> int:
    from edge.policy.signed import keys as policy_keys
    from edge.policy.signed.files import read
    from edge.policy.signed.trust import sign

    signed = sign(read(args.bundle), policy_keys.read_secret(args.secret))
    write_given(args.bundle, signed)
    print(f"{args.bundle}: signed with {args.secret}")
    return 0


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
        return complain(f"{args.bundle} is refused: {err}")
    print(f"{args.bundle}: good, signed by {', '.join(signers(envelope, root))}")
    _describe(found.policy)
    return 0


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


def _show_options(parser: Options) -> None:
    parser.flag("--matrix", "the verdict for every user and lane")
    parser.path("--out DIR", "write the pack's files there, to edit them")
    parser.path("--html FILE", "write the matrix as a page")
    parser.flag("--json", "print data instead of text")
    parser.text(
        "--set KEY=VALUE", "facts that hold in every cell of the matrix", nargs="*", default=[]
    )


def _show(args: argparse.Namespace) -> int:
    from edge.commands.explain import print_json, rule_data
    from edge.policy.authoring.matrix import matrix
    from edge.policy.authoring.table import page, table
    from edge.policy.signed.files import facts_of, files_of, policy_in

    policy = policy_in(args.source, args.as_of)
    if args.out:
        return _take_out(files_of(args.source), args.out)
    if args.matrix or args.html:
        changes = facts_of(args.set)
        rows = matrix(policy, changes)
        if args.html:
            write_given(args.html, page(policy, changes, rows).encode())
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


def _book(args: argparse.Namespace) -> int:
    from edge.policy.authoring.book import book
    from edge.policy.scenario import read_scenarios
    from edge.policy.signed.files import policy_in, read

    with wrong_in(args.scenarios, UsageError):
        cases = read_scenarios(read(args.scenarios)) if args.scenarios else ()
    policy = policy_in(args.source, args.as_of)
    write_given(args.out, book(policy, cases).encode())
    print(f"{args.out}: {len(policy.pack.rules)} rules")
    return 0


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
