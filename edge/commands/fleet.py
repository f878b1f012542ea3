"""`framegate fleet`: witnesses of many logs, and what a device sends out: checkpoints, results."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.commands._fleet import _fetch, _page, _publish, _release, _results, _status
from edge.commands._fleet._common import (
    add_policy,
    read_policy,
    read_signer,
    repeat,
    say,
    until_stopped,
)
from edge.commands._fleet._store import add_store, make_store, open_store
from edge.commands._options import Commands, add_flag, add_number, add_path, add_text
from edge.errors import AuditError, UsageError

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


def register(subparsers: Commands) -> None:
    parser = subparsers.add_parser(
        "fleet",
        help="witnesses of many devices' logs; delivery; results to a broker",
        description="Witness the logs of many devices, take a log to its witnesses, hand out "
        "policies and models, and publish a matcher's results to an MQTT broker.",
        epilog=EXAMPLES,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    keygen = actions.add_parser("keygen", help="make a witness's key")
    add_text(keygen, "name", "NAME", "like witness.example/w1")
    add_path(keygen, "--out", "FILE", "the secret key", required=True)
    keygen.set_defaults(handler=_keygen)

    witness = actions.add_parser("witness", help="run a witness (C2SP tlog-witness, HTTP)")
    add_policy(witness)
    add_path(witness, "--key", "FILE", "its secret key", required=True)
    add_store(witness)
    add_flag(witness, "--new", "create state file or tables; once")
    add_text(witness, "--listen", "HOST:PORT", "default 127.0.0.1:8330", default="127.0.0.1:8330")
    witness.set_defaults(handler=_witness)

    offline = actions.add_parser("answer", help="answer a request that came as a file")
    add_path(offline, "folder", "DIR", "with NAME.request in it")
    add_text(offline, "--name", "NAME", "of this witness in the device's policy", required=True)
    add_policy(offline)
    add_path(offline, "--key", "FILE", "its secret key", required=True)
    add_store(offline)
    offline.set_defaults(handler=_answer)

    evidence = actions.add_parser("evidence", help="print logs that signed two histories")
    add_store(evidence)
    evidence.set_defaults(handler=_evidence)

    _status.register(actions)

    courier = actions.add_parser("courier", help="take a log's checkpoint to its witnesses")
    add_path(courier, "--log", "DIR", "the audit log", required=True)
    add_policy(courier)
    add_path(courier, "--key", "PUB", "its public key (DIR/log.pub)")
    add_path(courier, "--out", "DIR", "for cosignatures (default: the log's)")
    add_number(courier, "--every", "S", "default 3600", 3600.0)
    add_path(courier, "--by", "DIR", "no network: requests and answers are files there")
    add_flag(courier, "--once", "make one round and exit")
    courier.set_defaults(handler=_courier)

    for action in (_page, _publish, _results, _release, _fetch):
        action.register(actions)


def _keygen(args: argparse.Namespace) -> int:
    from edge.audit.cosignature import witness_of
    from edge.audit.note import NoteError, Signer
    from edge.files import write_given

    if args.out.exists():
        raise UsageError(f"{args.out} exists already")
    try:
        signer = Signer.generate(args.name)
    except NoteError as err:
        raise UsageError(str(err)) from err
    write_given(args.out, signer.secret_text.encode() + b"\n", 0o600)
    print(f"witness {args.name} {witness_of(signer).text}")
    return 0


def _witness(args: argparse.Namespace) -> int:
    from edge.audit.cosignature import witness_of
    from edge.fleet.witness_server import WitnessServer

    policy, signer = read_policy(args.policy), read_signer(args.key)
    if not policy.logs:
        raise UsageError(f"{args.policy}: expected the logs to witness as `log VKEY` lines")
    host, _, port = args.listen.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise UsageError(f"--listen: expected HOST:PORT, got {args.listen!r}")
    if args.new:
        make_store(args)
    store = open_store(args, policy.logs)
    try:
        server = WitnessServer((host.strip("[]"), int(port)), store, signer, say)
    except OSError as err:
        raise UsageError(f"--listen: {args.listen} cannot be used: {err.strerror}") from err
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
    if args.every < 1:
        raise UsageError(f"--every: expected 1 or more seconds, got {args.every:g}")
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
