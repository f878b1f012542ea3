"""`framegate keys receipt|authorise`: sign tokens for a guard's consent inbox."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from edge.commissioning.keys import KeyStore
from edge.errors import RecordError, UsageError
from edge.lease import Lane

_DAY_S = 86_400


def register(actions: Any, store: argparse.ArgumentParser) -> None:
    """Add both actions; `store` is the parser of the options about the key store."""
    receipt = actions.add_parser(
        "receipt",
        parents=[store],
        help="sign that a person agreed to one lane at one site",
        description="Sign a receipt of consent with this store's record key. The guard takes it "
        "in its --desk folder if it trusts that key (framegate keys trust desk record.pub).",
    )
    receipt.add_argument("--number", required=True, help="names this receipt, to withdraw it by")
    receipt.add_argument(
        "--lane", required=True, choices=[lane.value for lane in Lane], help="what for"
    )
    receipt.add_argument("--site", required=True, help="as in the device record")
    receipt.set_defaults(handler=_receipt)
    leave = actions.add_parser(
        "authorise",
        parents=[store],
        help="sign an authorisation by a court or an authority",
        description="Sign an authorisation with this store's record key. The guard takes it in "
        "its --desk folder if it trusts that key (framegate keys trust authority record.pub).",
    )
    leave.add_argument("--kind", required=True, help="such as warrant or rt_rbi_valid")
    leave.add_argument("--lifts", required=True, metavar="RULE", help="the one rule it lifts")
    leave.add_argument("--purpose", required=True, help="in a few words, without names")
    leave.add_argument("--area", required=True, help="the site of the device record")
    leave.set_defaults(handler=_authorise)
    for action in (receipt, leave):
        action.add_argument(
            "--person", required=True, metavar="DIGEST", help="64 hexadecimal digits, never a name"
        )
        action.add_argument("--days", type=int, required=True, help="how long it holds, from now")
        action.add_argument(
            "--out", type=Path, required=True, metavar="NAME.token", help="file to write"
        )


def _receipt(args: argparse.Namespace) -> int:
    from edge.consent.tokens import Receipt

    from_s, to_s = _period(args)
    token = Receipt(args.number, args.person, Lane(args.lane), args.site, from_s, to_s)
    return _sign(args, token)


def _authorise(args: argparse.Namespace) -> int:
    from edge.consent.tokens import Authorisation

    from_s, to_s = _period(args)
    token = Authorisation(args.kind, args.lifts, args.person, args.purpose, args.area, from_s, to_s)
    return _sign(args, token)


def _period(args: argparse.Namespace) -> tuple[int, int]:
    now_s = int(time.time())
    return now_s, now_s + args.days * _DAY_S


def _sign(args: argparse.Namespace, token: Any) -> int:
    from edge.consent.tokens import Receipt, read_authorisation, read_receipt, sign_token
    from edge.policy.signed.files import write

    if args.out.suffix != ".token":
        raise UsageError(f"--out expects a name that ends in .token, got {args.out}")
    signer = KeyStore.open(args.keys).record_signer()
    note = sign_token(token, signer)
    read = read_receipt if isinstance(token, Receipt) else read_authorisation
    try:
        read(note, [signer.verifier])
    except RecordError as err:
        raise UsageError(f"nothing was signed: {err}") from err
    write(args.out, note)
    print(args.out)
    return 0
