"""The installed policy: one directory with the bundle, the trusted root and the floors.

    bundle.json   the bundle in force, as it was signed
    root.json     whose signatures count
    floors.json   the newest version and time seen here

Files are written beside their place and renamed, the bundle first: whatever
moment the power goes, the old policy or the new one is in force. A refused
bundle changes nothing. Without a policy that loads, everything is blocked.
Floors from the audit log and the board are passed in and count as well.
"""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.errors import PolicyError, UsageError, wrong_in
from edge.files import named_by_user, read_given, read_named, write_whole
from edge.policy.authoring.lint import lint
from edge.policy.engine import Policy
from edge.policy.naming import bundle_file
from edge.policy.pack import read_pack, shipped_files
from edge.policy.shipped import names
from edge.policy.signed import strict_json
from edge.policy.signed.bundle import Bundle, Floors, admit, mended, open_bundle
from edge.policy.signed.term import PolicyTerm
from edge.policy.signed.trust import MAX_BYTES, BundleError, Root, malformed
from edge.reasons import Reason
from edge.version import BUILT

DEFAULT_DIR = Path("~/.local/state/framegate/policy")
_BUNDLE, _ROOT, _FLOORS = "bundle.json", "root.json", "floors.json"


@dataclass(frozen=True, slots=True)
class Installed:
    """A policy ready to decide, the bundle it came in, and the floors it leaves."""

    policy: Policy
    bundle: Bundle
    floors: Floors


def newest(floors: Iterable[Floors]) -> Floors:
    """The highest of several floors; a digest counts only with its version."""
    known = [Floors(), *floors]
    top = max(known, key=lambda f: (f.version, f.digest))
    return Floors(
        top.version, top.digest, max(f.root_version for f in known), max(f.time_s for f in known)
    )


def judge(envelope: bytes, trusted: Root, floors: Floors, *, wall_s: int, guard: str) -> Installed:
    """The policy in `envelope`, if it is signed, whole, fresh and new enough.

    Raises:
        BundleError: it is refused, and why.
    """
    bundle = open_bundle(envelope, trusted)
    after = admit(bundle, floors, wall_s=wall_s, guard=guard)
    pack = bundle.pack()
    with wrong_in("", PolicyError, as_=malformed):
        policy = Policy(pack, since(bundle), open_ended=True)
    return Installed(policy, bundle, after)


def since(bundle: Bundle) -> datetime.date:
    """The earliest possible date of today, as this bundle shows."""
    issued = datetime.datetime.fromtimestamp(bundle.issued_s, datetime.timezone.utc).date()
    return max(issued, BUILT)


class PolicyStore:
    """The directory that holds the installed policy."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = (directory or DEFAULT_DIR).expanduser()

    def root(self) -> Root | None:
        """Whose signatures count, or None if no keys are set yet."""
        text = self._read(_ROOT)
        return None if text is None else Root.parse(_json(text, _ROOT))

    def floors(self) -> Floors:
        """The newest seen here; nothing at all before the first bundle."""
        text = self._read(_FLOORS)
        if text is None:
            return Floors()
        found = _json(text, _FLOORS)
        with wrong_in(_FLOORS, KeyError, TypeError, ValueError, as_=malformed):
            digest = bytes.fromhex(found["digest"])
            floors = Floors(found["version"], digest, found["root_version"], found["time_s"])
        if any(type(n) is not int for n in (floors.version, floors.root_version, floors.time_s)):
            raise malformed(f"{_FLOORS}: expected whole numbers")
        return floors

    def load(
        self,
        *,
        wall_s: int,
        guard: str,
        known: Iterable[Floors] = (),
        not_yet_s: int | None = None,
        at_least_s: int = 0,
        bundle: Path | None = None,
    ) -> Installed:
        """The installed policy, or the one in the file `bundle`: same keys, same floors.

        Args:
            known: the floors of the log and the board.
            bundle: a file that nobody has installed, so it is linted here.

        Raises:
            BundleError: none is installed, or it does not hold (any more).
            UsageError: `bundle` cannot be read.
        """
        root = self.root()
        envelope = self._read(_BUNDLE) if bundle is None else _envelope(bundle)
        if bundle is not None and root is None:
            raise BundleError(
                Reason.POLICY_UNSIGNED,
                f"no key is trusted in {self.directory}, so nothing says whether {bundle} counts; "
                "`framegate policy install` with --key trusts the first ones",
            )
        if root is None or envelope is None:
            raise BundleError(Reason.POLICY_UNSIGNED, f"no policy is installed in {self.directory}")
        floors = newest(mended(seen, not_yet_s, at_least_s) for seen in (self.floors(), *known))
        found = judge(envelope, root, floors, wall_s=wall_s, guard=guard)
        if bundle is not None:
            _require_clean(found.policy)
        return found

    def install(
        self,
        envelope: bytes,
        *,
        wall_s: int,
        guard: str,
        trust: Root | None = None,
        known: Iterable[Floors] = (),
    ) -> Installed:
        """Put a bundle in force; refused, it leaves everything as it was.

        Args:
            trust: whose signatures count, for the first bundle only.

        Raises:
            BundleError: it is refused, and why.
            UsageError: there is no trusted root, or there is one already.
        """
        root = self.root()
        if root is not None and trust not in (None, root):
            raise UsageError("keys are trusted already; they change by a bundle that both sign")
        trusted = root or trust
        if trusted is None:
            raise UsageError("no key is trusted yet: the first bundle needs --key and --threshold")
        floors = newest([self.floors(), *known])
        installed = judge(envelope, trusted, floors, wall_s=wall_s, guard=guard)
        _require_clean(installed.policy)
        floors_text = {**asdict(installed.floors), "digest": installed.floors.digest.hex()}
        self._write(_BUNDLE, envelope)
        self._write(_ROOT, _text(installed.bundle.root.data()))
        self._write(_FLOORS, _text(floors_text))
        return installed

    def _read(self, name: str) -> bytes | None:
        path = self.directory / name
        with named_by_user("read", path), contextlib.suppress(FileNotFoundError):
            return read_bounded(path)
        return None

    def _write(self, name: str, data: bytes) -> None:
        path = self.directory / name
        with named_by_user("write", path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, data)


def in_force(
    pack: str,
    store: PolicyStore,
    *,
    wall_s: int,
    guard: str,
    known: Iterable[Floors] = (),
    not_yet_s: int | None = None,
    at_least_s: int = 0,
) -> tuple[Policy, PolicyTerm | None]:
    """The policy to decide by: the installed one, where somebody's keys are trusted.

    `pack` is a name, or the path of a signed bundle that takes the place of the
    installed one: its signers are those that this device trusts already.

    A device that trusts no keys yet decides by the pack that came with the
    product, which has no term. One that does never falls back to it, nor one
    whose log knows that a bundle was once in force. Nothing has proven the time
    yet, so rules are read as on the strictest day; see `term.of_the_day`.

    Raises:
        PolicyError: the installed policy is refused, or is another pack.
    """
    known = tuple(known)
    bundle = bundle_file(pack)
    if store.root() is None and bundle is None:
        seen = newest(known).version
        if seen:
            raise BundleError(
                Reason.POLICY_ROLLBACK,
                f"version {seen} was in force on this device, none is installed in "
                f"{store.directory}",
            )
        if pack not in names():
            raise PolicyError(
                f"expected a pack named {' or '.join(names())}, got {pack!r}: no key is trusted in "
                f"{store.directory}, so no pack of your own is in force"
            )
        return Policy(read_pack(shipped_files(pack)), BUILT, open_ended=True), None
    installed = store.load(
        wall_s=wall_s,
        guard=guard,
        known=known,
        not_yet_s=not_yet_s,
        at_least_s=at_least_s,
        bundle=bundle,
    )
    found = installed.policy
    if bundle is None and found.pack.name != pack:
        raise PolicyError(f"expected the pack {pack}, the installed bundle holds {found.pack.name}")
    return found, PolicyTerm(installed.bundle, installed.floors)


def _envelope(bundle: Path) -> bytes:
    """The bytes of a bundle that is named by its path.

    Raises:
        UsageError: it cannot be read, or is a folder, which nobody can have signed.
    """
    if bundle.is_dir():
        raise UsageError(
            f"{bundle}: expected a signed bundle, got a folder; `framegate policy build --pack "
            f"{bundle}` makes a bundle of it, to be signed"
        )
    return read_given(bundle, MAX_BYTES + 1)


def _require_clean(policy: Policy) -> None:
    wrong = lint(policy.pack)
    if wrong:
        raise BundleError(Reason.POLICY_LINT, str(wrong[0]))


def check_model(bundle: Bundle, path: Path, sha256: str) -> None:
    """See that a model, read from `path`, is the one the bundle names.

    Args:
        sha256: hex, of the very bytes that are used.

    Raises:
        BundleError: it is not, or the bundle names no such model.
    """
    if bundle.models.get(path.name) != sha256:
        raise BundleError(Reason.MODEL_DIGEST, f"{path} is not the model the policy names")


def read_bounded(path: Path) -> bytes:
    """The file's bytes, or one more than a bundle may have: what follows is not read."""
    return read_named(path, MAX_BYTES + 1)


def _json(text: bytes, name: str) -> dict[str, Any]:
    with wrong_in(name, ValueError, as_=malformed):
        found = strict_json.load(text, max_bytes=MAX_BYTES, max_depth=4)
    if not isinstance(found, dict):
        raise malformed(f"{name}: expected a mapping")
    return found


def _text(data: object) -> bytes:
    return json.dumps(data, indent=1, sort_keys=True).encode() + b"\n"
