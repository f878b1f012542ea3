"""`framegate fleet publish`: a process that publishes a device's state to an MQTT broker."""

from __future__ import annotations

import argparse
import threading
import time
from typing import TYPE_CHECKING

from edge.commands._fleet._broker import add_broker, broker_of
from edge.commands._fleet._common import until_stopped
from edge.commands._options import Actions
from edge.commands._output import saying
from edge.errors import AuditError, UsageError

if TYPE_CHECKING:
    from edge.fleet.state.message import DeviceState
    from edge.fleet.state.publisher import StatePublisher

_ONCE_S = 15.0

_say = saying("publish")
EXAMPLES = """\
examples:
  framegate fleet publish --log /var/lib/framegate/audit --status /run/framegate/status.json \\
    --broker mqtts://broker.example --ca ca.pem --cert device.pem --key device.key
  framegate fleet publish --log audit --broker mqtt://localhost --once

The client certificate's common name is DEVICE of the log DEVICE/log. The access list
mosquitto.acl lets that device write its own two topics, and read none.
"""


def register(actions: Actions) -> None:
    parser = actions.add(
        "publish",
        "publish this device's state to an MQTT broker",
        run,
        description="Publish the device's state (MQTT 5, retained, with a last will): whether "
        "frames pass and why not, versions, digests, the signed checkpoint and its proof. It "
        "reads public files only and subscribes to nothing. Needs framegate[mqtt].",
        epilog=EXAMPLES,
    )
    parser.path("--log DIR", "the audit log", required=True)
    parser.path("--log-key PUB", "its public key (DIR/log.pub)")
    parser.path("--courier DIR", "the courier's --out (default: the log's)")
    parser.path("--status FILE", "the daemon's status.json; without it: absent")
    parser.path("--record FILE", "device record, to publish its digest")
    parser.number("--every S", "publish every S seconds (30)", 30)
    parser.flag("--once", "publish once and exit")
    add_broker(parser)


def run(args: argparse.Namespace) -> int:
    """Publish until SIGTERM."""
    from edge.commissioning.keys import read_verifier
    from edge.fleet.state.device import Places, gathered
    from edge.fleet.state.message import PERIODS_S, device_of
    from edge.fleet.state.publisher import StatePublisher

    if not PERIODS_S[0] <= args.every <= PERIODS_S[1]:
        low, high = PERIODS_S
        raise UsageError(f"--every: expected {low} to {high} seconds, got {args.every}")
    key = read_verifier(args.log_key or args.log / "log.pub")
    places = Places(args.log, args.courier or args.log, args.status, args.record)

    def state() -> DeviceState | None:
        try:
            return gathered(places, key, args.every, time.time())
        except (AuditError, OSError) as err:
            _say(f"nothing to publish: {err}")
            return None

    publisher = StatePublisher(broker_of(args), device_of(key.name), _say)
    over = threading.Event()
    until_stopped(over.set)
    publisher.start()
    try:
        if args.once:
            return _once(publisher, state(), over)
        while not over.is_set():
            if (now := state()) is not None:
                publisher.tell(now)
            over.wait(args.every)
    finally:
        publisher.close()
    return 0


def _once(publisher: StatePublisher, state: DeviceState | None, over: threading.Event) -> int:
    """0 if the broker confirmed the state in time."""
    if state is None:
        return 1
    publisher.tell(state)
    end_s = time.monotonic() + _ONCE_S
    while not (publisher.settled or publisher.refused or over.wait(0.05)):
        if time.monotonic() > end_s:
            break
    return 0 if publisher.settled else 1
