"""`framegate fleet`: witnesses of many logs, and what a device sends out: checkpoints, results."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.commands._fleet import _fetch, _page, _publish, _release, _results, _status
from edge.commands._fleet._common import (
    add_policy,
    listen_address,
    listening,
    read_policy,
    read_signer,
    repeat,
    require_seconds,
    until_stopped,
)
from edge.commands._fleet._store import add_store, make_store, open_store
from edge.commands._options import Actions
from edge.commands._output import say
from edge.errors import AuditError, UsageError, wrong_in

if TYPE_CHECKING:
    from edge.fleet.courier import Round
    from edge.fleet.trust_policy import TrustPolicy

EXAMPLES = """\
examples, a witness for a fleet and a device that visits it:
  framegate fleet keygen witness.example/w1 --out w1.key     prints the line for POLICY
  framegate fleet witness --policy POLICY --key w1.key --state w1.db --new --listen 127.0.0.1:8330
  framegate fleet witness --policy POLICY --key w1.key --store postgresql://db/w1    many replicas
  framegate fleet courier --log audit --policy POLICY --every 3600
  framegate fleet courier --log audit --policy POLICY --by /media/usb    without a network, and
  framegate fleet answer /media/usb --name w1 --policy POLICY --key w1.key --state w1.db
  framegate audit verify audit --key log.pub --witnesses POLICY
  framegate fleet status --policy POLICY --state w1.db       silent logs and forked ones
  framegate fleet status --policy POLICY --state w1.db --broker mqtts://broker.example
  framegate fleet page --policy POLICY --state w1.db --broker mqtts://broker.example
  framegate fleet evidence --state w1.db                     logs that signed two histories
  framegate fleet publish --log audit --status status.json --broker mqtts://broker.example
  framegate fleet results --socket results.sock --broker mqtts://broker.example --topic door1
  framegate fleet release repo --keys keys --policy p2.json --share 10     to a tenth of all
  framegate fleet fetch https://fleet.example/repo --root root.json --log log.pub \
    --device framegate-0001 --state state --out releases

POLICY is a C2SP tlog-policy: `log VKEY`, `witness NAME VKEY URL`, `quorum NAME` lines.
"""


def register(subparsers: Actions) -> None:
    actions = subparsers.add_group(
        "fleet",
        "witnesses of many devices' logs; delivery; results to a broker",
        description="Witness the logs of many devices, take a log to its witnesses, hand out "
        "policies and models, and publish a matcher's results to an MQTT broker.",
        epilog=EXAMPLES,
    )
    keygen = actions.add("keygen", "make a witness's key", _keygen)
    keygen.text("name NAME", "like witness.example/w1")
    keygen.path("--out FILE", "the secret key", required=True)

    witness = actions.add("witness", "run a witness (C2SP tlog-witness, HTTP)", _witness)
    add_policy(witness)
    witness.path("--key FILE", "its secret key", required=True)
    add_store(witness)
    witness.flag("--new", "create state file or tables; once")
    witness.text("--listen HOST:PORT", "default 127.0.0.1:8330", default="127.0.0.1:8330")

    offline = actions.add("answer", "answer a request that came as a file", _answer)
    offline.path("folder DIR", "with NAME.request in it")
    offline.text("--name NAME", "of this witness in the device's policy", required=True)
    add_policy(offline)
    offline.path("--key FILE", "its secret key", required=True)
    add_store(offline)

    evidence = actions.add("evidence", "print logs that signed two histories", _evidence)
    add_store(evidence)

    _status.register(actions)

    courier = actions.add("courier", "take a log's checkpoint to its witnesses", _courier)
    courier.path("--log DIR", "the audit log", required=True)
    add_policy(courier)
    courier.path("--key PUB", "its public key (DIR/log.pub)")
    courier.path("--out DIR", "for cosignatures (default: the log's)")
    courier.number("--every S", "default 3600", 3600.0)
    courier.path("--by DIR", "no network: requests and answers are files there")
    courier.flag("--once", "make one round and exit")

    for action in (_page, _publish, _results, _release, _fetch):
        action.register(actions)


def _keygen(args: argparse.Namespace) -> int:
    from edge.audit.cosignature import witness_of
    from edge.audit.note import NoteError, Signer
    from edge.files import write_given

    if args.out.exists():
        raise UsageError(f"{args.out} exists already")
    with wrong_in("", NoteError):
        signer = Signer.generate(args.name)
    write_given(args.out, signer.secret_text.encode() + b"\n", 0o600)
    print(f"witness {args.name} {witness_of(signer).text}")
    return 0


def _witness(args: argparse.Namespace) -> int:
    from edge.audit.cosignature import witness_of
    from edge.fleet.witness_server import WitnessServer

    policy, signer = read_policy(args.policy), read_signer(args.key)
    if not policy.logs:
        raise UsageError(f"{args.policy}: expected the logs to witness as `log VKEY` lines")
    address = listen_address(args.listen)
    if args.new:
        make_store(args)
    store = open_store(args, policy.logs)
    with listening(args.listen):
        server = WitnessServer(address, store, signer, say)
    say(f"{witness_of(signer).text} cosigns {len(policy.logs)} logs on port {server.server_port}")
    until_stopped(server.shutdown)
    server.serve_forever(0.2)
    server.server_close()
    return 0


def _evidence(args: argparse.Namespace) -> int:
    from edge.fleet.state.findings import moment
    from edge.reasons import Reason

    found = open_store(args, ()).evidence()
    for piece in found:
        what = Reason.LOG_FORKED.value if piece.proof else "UNPROVEN"
        print(f"{what} {piece.origin} {moment(piece.time_s)}")
        print(f"cosigned before:\n{piece.head.decode(errors='replace')}")
        print(f"sent then:\n{piece.request.decode(errors='replace')}")
    print(f"{len(found)} pieces of evidence")
    return 1 if found else 0


def _courier(args: argparse.Namespace) -> int:
    from edge.commissioning.keys import read_verifier
    from edge.fleet.courier import Courier
    from edge.fleet.http_post import get, post

    policy = read_policy(args.policy)
    if args.by is not None:
        return _trip(args, policy)
    if not any(named.url for named in policy.witnesses):
        raise UsageError(f"{args.policy}: expected a witness with its URL, to visit")
    require_seconds(args.every)
    key = read_verifier(args.key or args.log / "log.pub")
    courier = Courier(args.log, args.out or args.log, key, policy, post, get)
    if args.once:
        until_stopped(lambda: None)  # a round that began is ended
        return _round(courier.round)
    return repeat(lambda: _round(courier.round), args.every)


def _trip(args: argparse.Namespace, policy: TrustPolicy) -> int:
    """What was answered is taken in, and the newest checkpoint is laid out for the next trip."""
    from edge.commissioning.keys import read_verifier
    from edge.fleet.trip import Trip

    if not policy.witnesses:
        raise UsageError(f"{args.policy}: expected a witness")
    if not args.by.is_dir():
        raise UsageError(f"--by {args.by}: expected a folder")
    key = read_verifier(args.key or args.log / "log.pub")
    return _round(Trip(args.log, args.out or args.log, key, policy, args.by).round)


def _answer(args: argparse.Namespace) -> int:
    from edge.fleet.trip import answer_file
    from edge.reasons import Reason

    policy, signer = read_policy(args.policy), read_signer(args.key)
    store = open_store(args, policy.logs)
    try:
        found = answer_file(args.folder, args.name, store, signer, int(time.time()))
    except OSError as err:
        raise UsageError(f"cannot use {err.filename}: {err.strerror}") from err
    print(f"{args.name}: {int(found.status)}")
    if found.forked:
        say(f"{Reason.LOG_FORKED.value} {found.forked}: it signed two histories")
    if found.unproven:
        say(f"UNPROVEN {found.unproven}: the proof in the request does not hold")
    return 0 if found.status == 200 else 1


def _round(visit: Callable[[int], Round]) -> int:
    from edge.fleet.courier import Outcome
    from edge.reasons import Reason

    try:
        found = visit(int(time.time()))
    except (AuditError, OSError) as err:
        say(f"nothing was sent: {err}")
        return 1
    if found.forked:
        say(f"{Reason.LOG_FORKED.value}: {found.fork}")
    for one in found.visits:
        code = {Outcome.FORKED: f"{Reason.LOG_FORKED.value}: ", Outcome.CLAIMED: "warning: "}.get(
            one.outcome, ""
        )
        say(f"{code}{one.witness}: {one.outcome.value}, {one.detail}")
    say(f"size {found.size}: the quorum {'stands' if found.enough else 'does not stand'}")
    return 0 if found.enough and not found.forked else 1
