"""What the policy commands read: packs, bundles, keys and facts from the command line."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

from edge.errors import UsageError, meaning
from edge.files import read_given
from edge.policy.engine import Policy
from edge.policy.facts import JURISDICTION
from edge.policy.pack import read_pack
from edge.policy.shipped import completed, shipped_files
from edge.policy.signed import keys as policy_keys
from edge.policy.signed.bundle import parse_payload
from edge.policy.signed.trust import MAX_BYTES, Root, peek
from edge.policy.vocabulary import VOCABULARY

_FLAGS = ("publicly_accessible", "session_open", "active_involvement")
_IGNORED = "capture_to_match_s"  # accepted, and never decides


def policy_in(source: str, as_of: str | None) -> Policy:
    """The policy in a shipped pack, a directory of pack files, or a bundle (not verified)."""
    pack = read_pack(files_of(source))
    return Policy.today(pack) if as_of is None else Policy(pack, day_of(as_of))


def files_of(source: str) -> Mapping[str, bytes]:
    """The files of a pack, from wherever it is."""
    path = Path(source)
    if path.is_dir():
        own = {entry.name: read(entry) for entry in sorted(path.iterdir()) if entry.is_file()}
        return completed(own)
    if path.is_file():
        return parse_payload(peek(read(path))).files
    return shipped_files(source)


def day_of(as_of: str) -> datetime.date:
    """The day given as YYYY-MM-DD."""
    with meaning(f"--as-of expects a date as YYYY-MM-DD, got {as_of!r}", ValueError):
        return datetime.date.fromisoformat(as_of)


def root_of(keys: list[Path], threshold: int, version: int) -> Root:
    """The root that trusts these public key files."""
    if not keys:
        raise UsageError("name the public keys with --key")
    public = {path.stem: policy_keys.read_public(path).hex() for path in keys}
    if len(public) != len(keys):
        raise UsageError("two of the public keys have the same name")
    return Root.parse({"version": version, "threshold": threshold, "keys": public})


def facts_of(assignments: list[str]) -> dict[str, object]:
    """Facts written as KEY=VALUE; `true` and `false` are booleans."""
    known = (*VOCABULARY, *_FLAGS, JURISDICTION, _IGNORED)
    facts: dict[str, object] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            raise UsageError(
                f"--set expects KEY=VALUE with one of {', '.join(known)}; got {text!r}"
            )
        facts[key] = {"true": True, "false": False}.get(value, value) if key in _FLAGS else value
    return facts


def limit_of(text: str) -> tuple[str, float]:
    """A limit written as NAME=NUMBER."""
    name, _, value = text.partition("=")
    with meaning(f"--limit expects NAME=NUMBER, got {text!r}", ValueError):
        return name, float(value)


def read(path: Path) -> bytes:
    """A file's bytes, of which no more are read than a bundle may have."""
    return read_given(path, MAX_BYTES + 1)
