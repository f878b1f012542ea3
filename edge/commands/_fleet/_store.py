"""Where a witness keeps what it must not forget: a file (--state) or PostgreSQL (--store)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.commands._options import Options
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.audit.note import Verifier
    from edge.fleet.witness_store import WitnessStore


def add_store(parser: Options, *, required: bool = True) -> None:
    """Add both options; one of them at most may be given."""
    group = parser.one_of(required=required)
    group.path("--state FILE", "the witness's state file (SQLite)")
    group.text(
        "--store URL",
        "its database, for many replicas: postgresql://HOST/NAME (password in ~/.pgpass)",
    )


def has_store(args: argparse.Namespace) -> bool:
    """Whether one was given."""
    return args.state is not None or args.store is not None


def make_store(args: argparse.Namespace) -> None:
    """Make an empty one; see the stores for what they raise."""
    from edge.fleet.witness_postgres import PostgresStore
    from edge.fleet.witness_store import SqliteStore

    if args.store is None:
        SqliteStore.create(args.state)
    else:
        PostgresStore.create(_checked(args.store))


def open_store(args: argparse.Namespace, keys: Sequence[Verifier]) -> WitnessStore:
    """The one that was given."""
    from edge.fleet.witness_postgres import PostgresStore
    from edge.fleet.witness_store import SqliteStore

    if args.store is None:
        return SqliteStore(args.state, keys)
    return PostgresStore(_checked(args.store), keys)


def _checked(url: str) -> str:
    from edge.fleet.witness_postgres import SCHEMES

    if not url.startswith(SCHEMES):
        raise UsageError("--store: expected postgresql://HOST/NAME")
    return url
