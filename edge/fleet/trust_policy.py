"""Whose logs, whose witnesses, and how many of them: a C2SP tlog-policy file.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>...
    quorum <name>|none

The whole file is refused at the first line that is wrong. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from edge.audit.cosignature import Cosignature, Witness, cosignatures
from edge.audit.note import NoteError, Verifier
from edge.errors import UsageError, wrong_in

MAX_BYTES = 4 * 1024 * 1024  # some 40,000 logs
_MAX_MEMBERS = 1000
NONE = "none"


@dataclass(frozen=True, slots=True)
class Named:
    """A witness of the policy."""

    name: str  # within the file
    witness: Witness
    url: str  # prefix of its service; empty if none is given


@dataclass(frozen=True, slots=True)
class Group:
    """Holds where at least `needed` of its members do."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrustPolicy:
    """A policy that has been read."""

    logs: tuple[Verifier, ...]
    witnesses: tuple[Named, ...]
    groups: Mapping[str, Group]
    quorum: str

    def satisfied(self, cosigned: Collection[Witness]) -> bool:
        """Whether cosignatures by these witnesses are enough."""
        return self._holds(self.quorum, {w.name for w in self.witnesses if w.witness in cosigned})

    def found(self, note: bytes) -> tuple[Cosignature, ...]:
        """The cosignatures under a checkpoint that are by witnesses of this policy.

        Raises:
            NoteError: no note, or one of them does not hold.
        """
        return cosignatures(note, tuple(named.witness for named in self.witnesses))

    def wanted(self) -> str:
        """The quorum in words."""
        group = self.groups.get(self.quorum)
        if group is None:
            return self.quorum
        return f"{group.needed} of {', '.join(group.members)}"

    def _holds(self, name: str, there: Collection[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name == NONE or name in there
        return sum(self._holds(member, there) for member in group.members) >= group.needed


@dataclass
class _Draft:
    logs: list[Verifier] = field(default_factory=list)
    keys: set[bytes] = field(default_factory=set)  # of the logs
    witnesses: list[Named] = field(default_factory=list)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str = ""

    def names(self) -> set[str]:
        return {named.name for named in self.witnesses} | set(self.groups)

    def take(self, words: list[str]) -> None:
        match words:
            case ["log", key] | ["log", key, _]:
                self._log(Verifier.parse(key))
            case ["witness", name, key] | ["witness", name, key, _]:
                self._witness(name, Witness.parse(key), words[3] if len(words) == 4 else "")
            case ["group", name, needed, *members] if members:
                self._group(name, needed, tuple(members))
            case ["quorum", name]:
                if self.quorum:
                    raise ValueError("expected one quorum line, this is a second one")
                if name != NONE and name not in self.names():
                    raise ValueError(self._undefined(name))
                self.quorum = name
            case _:
                raise ValueError("expected log, witness, group or quorum with what belongs to it")

    def _log(self, key: Verifier) -> None:
        if key.public in self.keys:
            raise ValueError(f"the key of {key.name} is listed twice")
        self.keys.add(key.public)
        self.logs.append(key)

    def _witness(self, name: str, witness: Witness, url: str) -> None:
        self._free(name)
        if any(known.witness.public == witness.public for known in self.witnesses):
            raise ValueError(f"the key of witness {name} is listed twice")
        if url and not url.startswith(("http://", "https://")):
            raise ValueError(f"expected an http or https URL of witness {name}, got {url[:60]!r}")
        self.witnesses.append(Named(name, witness, url.rstrip("/")))

    def _undefined(self, name: str) -> str:
        defined = ", ".join(sorted(self.names())) or "no witness or group"
        return f"{name[:60]!r} is not defined above, where there is {defined[:160]}"

    def _group(self, name: str, needed: str, members: tuple[str, ...]) -> None:
        self._free(name)
        used = {member for group in self.groups.values() for member in group.members}
        for member in members:
            if member not in self.names():
                raise ValueError(self._undefined(member))
            if member in used or members.count(member) > 1:
                raise ValueError(f"{member!r} is a member twice")
        count = {"all": str(len(members)), "any": "1"}.get(needed, needed)
        if not (count.isascii() and count.isdigit() and len(count) <= 4):
            raise ValueError(f"expected all, any or a number, got {needed[:20]!r}")
        if not 1 <= int(count) <= len(members) <= _MAX_MEMBERS:
            raise ValueError(f"expected 1 to {len(members)} of {len(members)} members, got {count}")
        self.groups[name] = Group(int(count), members)

    def _free(self, name: str) -> None:
        if name == NONE or name in self.names():
            raise ValueError(f"the name {name!r} is taken")


def parse_policy(data: bytes) -> TrustPolicy:
    """The policy in a file.

    Raises:
        UsageError: the first line that is wrong, or no quorum.
    """
    if len(data) > MAX_BYTES:
        raise UsageError(f"expected at most {MAX_BYTES} bytes, got {len(data)}")
    if any((byte < 0x20 and byte not in b"\t\n") or byte == 0x7F for byte in data):
        raise UsageError("expected lines of text: a control character was found")
    draft = _Draft()
    for number, line in enumerate(data.decode(errors="surrogateescape").split("\n"), 1):
        words = [word for word in line.replace("\t", " ").split(" ") if word]
        if not words or words[0].startswith("#"):
            continue
        with wrong_in(f"line {number}", ValueError, NoteError):
            draft.take(words)
    if not draft.quorum:
        raise UsageError("expected a quorum line, found none")
    return TrustPolicy(tuple(draft.logs), tuple(draft.witnesses), draft.groups, draft.quorum)
