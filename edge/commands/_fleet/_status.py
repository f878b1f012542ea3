"""`framegate fleet status`: what the witness and the broker know of every device."""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from edge.commands._fleet._broker import add_broker, broker_of
from edge.commands._fleet._common import add_policy, read_policy
from edge.commands._fleet._store import add_store, has_store, open_store
from edge.commands._options import Actions, Options
from edge.commands._output import saying
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.fleet.state.fleet import Row
    from edge.fleet.trust_policy import TrustPolicy
    from edge.fleet.witness_store import LogState, WitnessStore

OK, ALARM, FORKED = 0, 1, 3  # exit codes; 2 is bad input, as everywhere
SILENT_S = 10_800

_say = saying("status")
EXAMPLES = """\
examples:
  framegate fleet status --policy POLICY --state w1.db
  framegate fleet status --policy POLICY --state w1.db --broker mqtts://broker.example \\
    --ca ca.pem --cert fleet-watch.pem --key fleet-watch.key

Exit code: 0 if every device is in order, 1 if one is not (silent, lost, not witnessed ...),
3 if a log forked or was rolled back.
"""


def register(actions: Actions) -> None:
    parser = actions.add(
        "status",
        "show the state of every device",
        run,
        description="Show every log of the policy as its witness knows it, as its device "
        "publishes it to a broker, or both, and where they disagree.",
        epilog=EXAMPLES,
    )
    add_sources(parser)
    parser.number("--wait S", "for the broker (10)", 10.0)
    parser.flag("--json", "print data, not prose")


def add_sources(parser: Options) -> None:
    """Add what both `status` and `page` read."""
    add_policy(parser, "the logs of the fleet")
    add_store(parser, required=False)
    parser.number(
        "--silent-after S",
        f"a log is overdue at its witness after S seconds ({SILENT_S})",
        SILENT_S,
    )
    add_broker(parser, required=False)


def check_sources(args: argparse.Namespace) -> None:
    """See that the options of `add_sources` name something to read.

    Raises:
        UsageError: they do not.
    """
    if args.silent_after < 1:
        raise UsageError(f"--silent-after: expected 1 or more seconds, got {args.silent_after}")
    if not has_store(args) and args.broker is None:
        raise UsageError("expected --state or --store, --broker, or both")


def run(args: argparse.Namespace) -> int:
    """Print the table or the data."""
    check_sources(args)
    policy = read_policy(args.policy)
    store = open_store(args, policy.logs) if has_store(args) else None
    if args.broker is not None:
        return _of_both(args, policy, store)
    assert store is not None
    return _of_witness(args, store)


def _of_witness(args: argparse.Namespace, store: WitnessStore) -> int:
    from edge.fleet.state.findings import moment
    from edge.fleet.witness_store import LogStatus

    states = store.states(int(time.time()), args.silent_after)
    if args.json:
        print(json.dumps([_log(state) for state in states], indent=1))
    else:
        width = max((len(state.origin) for state in states), default=0)
        for state in states:
            when = "-" if state.time_s is None else moment(state.time_s)
            print(f"{state.origin:{width}}  {state.size:>10}  {when:20}  {state.status.value}")
        counts = Counter(state.status for state in states)
        print(", ".join(f"{counts[status]} {status.value}" for status in LogStatus))
    if any(state.status is LogStatus.FORKED for state in states):
        return FORKED
    return OK if all(state.status is LogStatus.OK for state in states) else ALARM


def _log(state: LogState) -> dict[str, Any]:
    return {
        "log": state.origin,
        "size": state.size,
        "time_s": state.time_s,
        "state": state.status.value,
    }


def _of_both(args: argparse.Namespace, policy: TrustPolicy, store: WitnessStore | None) -> int:
    from edge.fleet.state.fleet import Fleet, devices_of, witnessed_by
    from edge.fleet.state.watcher import Watcher

    fleet = Fleet(devices_of(policy.logs))
    address = broker_of(args)
    watcher = Watcher(address, fleet, _say)
    watcher.start()
    reached = watcher.wait(args.wait)
    watcher.close()
    if not reached:
        _say(watcher.trouble or f"no answer from {address.shown} within {args.wait:g} s")
    witnessed = None if store is None else witnessed_by(store)
    rows = fleet.rows(witnessed, time.time(), args.silent_after, broker=reached)
    if args.json:
        print(json.dumps([row.data() for row in rows], indent=1))
    else:
        _print(rows)
        if fleet.strangers:
            print(f"{fleet.strangers} messages of devices that the policy does not list")
    if any(row.critical for row in rows):
        return FORKED
    return OK if reached and not any(row.found for row in rows) else ALARM


def _print(rows: tuple[Row, ...]) -> None:
    width = max((len(row.device.name) for row in rows), default=0)
    print(f"{'device':{width}}  {'says':>9}  {'witnessed':>9}  state")
    for row in rows:
        state = None if row.heard is None else row.heard.state
        says = "-" if state is None else f"{state.size}"
        seen = "-" if row.witnessed is None else f"{row.witnessed.head.size}"
        print(f"{row.device.name:{width}}  {says:>9}  {seen:>9}  {row.shown}")
        for one in row.found:
            print(f"{'':{width}}  {one.finding.value}: {one.detail}")
    counts = Counter(row.shown for row in rows)
    print(", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
