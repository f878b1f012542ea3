"""`framegate keys`: make, show and use the local keys."""

from __future__ import annotations

import argparse

from edge.commands import _tokens as token_commands
from edge.commands._options import Actions, Options
from edge.commands._output import complain
from edge.commissioning.keys import DEFAULT_DIR, KeyStore, Office, RecordKind
from edge.commissioning.token_uri import TokenUri

EXAMPLES = """\
examples:
  framegate keys init                                 a local signer, for a start
  framegate keys init --log-token 'pkcs11:token=till?module-path=/usr/lib/softhsm/libsofthsm2.so&\
      pin-source=file:/etc/framegate/pin'             the log key in a hardware token
  framegate keys show                                 the public keys, and which are in a token
  framegate keys sign till-2.toml --kind device       writes till-2.toml.sig
  framegate keys verify till-2.toml --kind device     exit code 1 if it does not match
  framegate keys trust desk counter.pub               whose receipts of consent count here
  framegate keys receipt --number r-17 --person DIGEST --lane verify_1_1 --site till-2 \\
      --days 90 --out r-17.token                      for a guard's consent inbox
"""


def register(subparsers: Actions) -> None:
    actions = subparsers.add_group(
        "keys",
        "make keys, sign and check record files",
        description="Make keys, sign records with them, and check signed records.",
        epilog=EXAMPLES,
    )
    store = Options.shared()
    store.path("--keys DIR", f"key directory (default {DEFAULT_DIR})")
    init = actions.add("init", "make a new set of keys", _init, parents=[store])
    for name, what in (("log", "sign the log"), ("record", "sign records")):
        init.text(
            f"--{name}-token URI",
            f"make the key to {what} in this PKCS#11 token (RFC 7512), which it never leaves; "
            "needs framegate[pkcs11]",
        )
    actions.add("show", "print the public keys", _show, parents=[store])
    trust = actions.add(
        "trust",
        "trust somebody's public key for one purpose",
        _trust,
        parents=[store],
        description="Trust a public key (a record.pub) for one purpose: override (a second "
        "signature under a view that looks public), desk (receipts of consent), authority "
        "(authorisations). To stop, remove its file from trust/PURPOSE.",
    )
    trust.choice("office", "what its signatures count for", [office.value for office in Office])
    trust.path("file FILE.pub", "the public key")
    token_commands.register(actions, store)
    for name, handler, what in (
        ("sign", _sign, "write FILE.sig beside a record"),
        ("verify", _verify, "check a record against FILE.sig"),
    ):
        action = actions.add(name, what, handler, parents=[store])
        action.path("file FILE", "the record")
        action.choice("--kind", "what FILE is", [k.value for k in RecordKind], required=True)


def _init(args: argparse.Namespace) -> int:
    uris = [None if u is None else TokenUri.parse(u) for u in (args.record_token, args.log_token)]
    store = KeyStore.init(args.keys, record_token=uris[0], log_token=uris[1])
    print(f"keys made in {store.directory}; keep the .key files secret and backed up")
    return _show(args)


def _show(args: argparse.Namespace) -> int:
    store = KeyStore.open(args.keys)
    print(f"record  {store.record_verifier().text}{_place(store, 'record')}")
    if (store.directory / "log.pub").is_file():
        print(f"log     {store.log_verifier().text}{_place(store, 'log')}")
    return 0


def _place(store: KeyStore, name: str) -> str:
    """In which token the private half is; nothing for a file."""
    found = store.token_of(f"{name}.key")
    return "" if found is None else f"  in token {found.token}"


def _trust(args: argparse.Namespace) -> int:
    print(KeyStore.open(args.keys).trust(Office(args.office), args.file))
    return 0


def _sign(args: argparse.Namespace) -> int:
    from edge.commissioning.records import parse_device, parse_session

    kind = RecordKind(args.kind)
    checks = {RecordKind.DEVICE: parse_device, RecordKind.SESSION: parse_session}
    print(KeyStore.open(args.keys).sign_file(args.file, kind, checks.get(kind)))
    return 0


def _verify(args: argparse.Namespace) -> int:
    from edge.errors import SignatureError

    store = KeyStore.open(args.keys)
    try:
        store.read_verified(args.file, RecordKind(args.kind))
    except SignatureError as err:
        return complain(str(err))
    print(f"{args.file}: good {args.kind} signature by {store.record_verifier().name}")
    return 0
