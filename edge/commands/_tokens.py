"""`framegate keys receipt|authorise`: sign tokens for a guard's consent inbox."""

from __future__ import annotations

import argparse
import time
from typing import Any

from edge.commands._options import Actions, Options
from edge.commissioning.keys import KeyStore
from edge.errors import RecordError, UsageError, wrong_in
from edge.lease import Lane

_DAY_S = 86_400


def register(actions: Actions, store: Options) -> None:
    """Add both actions; `store` is the parser of the options about the key store."""
    receipt = actions.add(
        "receipt",
        "sign that a person agreed to one lane at one site",
        _receipt,
        parents=[store],
        description="Sign a receipt of consent with this store's record key. The guard takes it "
        "in its --desk folder if it trusts that key (framegate keys trust desk record.pub).",
    )
    receipt.text("--number NUMBER", "names this receipt, to withdraw it by", required=True)
    receipt.choice("--lane", "what for", [lane.value for lane in Lane], required=True)
    receipt.text("--site SITE", "as in the device record", required=True)
    leave = actions.add(
        "authorise",
        "sign an authorisation by a court or an authority",
        _authorise,
        parents=[store],
        description="Sign an authorisation with this store's record key. The guard takes it in "
        "its --desk folder if it trusts that key (framegate keys trust authority record.pub).",
    )
    leave.text("--kind KIND", "such as warrant or rt_rbi_valid", required=True)
    leave.text("--lifts RULE", "the one rule it lifts", required=True)
    leave.text("--purpose PURPOSE", "in a few words, without names", required=True)
    leave.text("--area AREA", "the site of the device record", required=True)
    for action in (receipt, leave):
        action.text("--person DIGEST", "64 hexadecimal digits, never a name", required=True)
        action.number("--days DAYS", "how long it holds, from now", required=True)
        action.path("--out NAME.token", "file to write", required=True)


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
    from edge.files import write_given

    if args.out.suffix != ".token":
        raise UsageError(f"--out expects a name that ends in .token, got {args.out}")
    signer = KeyStore.open(args.keys).record_signer()
    note = sign_token(token, signer)
    read = read_receipt if isinstance(token, Receipt) else read_authorisation
    with wrong_in("nothing was signed", RecordError):
        read(note, [signer.verifier])
    write_given(args.out, note, once=True)
    print(args.out)
    return 0
