"""The options that name an MQTT broker, for every command that connects to one."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.commands._options import Options
from edge.errors import UsageError, wrong_in

if TYPE_CHECKING:
    from edge.fleet.mqtt import BrokerAddress


def add_broker(parser: Options, *, required: bool = True) -> None:
    """Add --broker, --ca, --cert, --key."""
    parser.text(
        "--broker URL", "mqtts://HOST[:8883]; mqtt:// for localhost only", required=required
    )
    parser.path("--ca FILE", "who signs the broker (system's)")
    parser.path("--cert FILE", "this client's certificate")
    parser.path("--key FILE", "and its key")


def broker_of(args: argparse.Namespace) -> BrokerAddress:
    """The broker that the options name.

    Raises:
        UsageError: an option is not what it should be.
    """
    from edge.fleet.mqtt import parse_broker, tls_context

    with wrong_in("--broker", UsageError):
        address = parse_broker(args.broker)
    given = [f"--{name}" for name in ("ca", "cert", "key") if getattr(args, name) is not None]
    if given and not address.tls:
        raise UsageError(f"{given[0]}: expected --broker mqtts://..., got {args.broker!r}")
    if not address.tls:
        return address
    return replace(address, context=tls_context(args.ca, args.cert, args.key))
