"""What this machine offers the guard, and what to do about what it lacks.

Facts come in as arguments, findings go out: `edge.diagnosis.probes` takes the facts.
A finding that the guard cannot run without is `needed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

MIB = 1024 * 1024
DISK_OK_BYTES = 512 * MIB
DISK_LEAST_BYTES = 64 * MIB  # the log's reserve, a segment and its tiles, with room to spare
MEMORY_OK_BYTES = 768 * MIB
MEMORY_LEAST_BYTES = 256 * MIB


class State(Enum):
    """How a part of the machine is; the value is what is printed."""

    OK = "ok"
    DEGRADED = "degraded"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part, how it is, and what to do if that is not enough."""

    part: str
    state: State
    found: str
    todo: str = ""
    needed: bool = False

    @property
    def stops(self) -> bool:
        """Whether the guard cannot run like this."""
        return self.needed and self.state is State.MISSING


def summary(findings: Iterable[Finding]) -> str:
    """Whether the guard can run here, in one line."""
    all_ = list(findings)
    stops = [f.part for f in all_ if f.stops]
    if stops:
        return f"the guard cannot run here: {', '.join(stops)}"
    absent = [f.part for f in all_ if f.state is State.MISSING]
    if absent:
        return f"the guard can run here, as far as it goes without {', '.join(absent)}"
    return "the guard can run here"


_KERNEL = {  # what is found of each part where it works, where it does not, and what to do then
    "sealed memory": (
        *("memfd with future-write seals", "no F_SEAL_FUTURE_WRITE"),
        "use Linux 5.1 or newer; frames cannot be taken back without it",
    ),
    "process handles": ("pidfd_open", "no pidfd_open", "use Linux 5.3 or newer"),
    "boot clock": ("CLOCK_BOOTTIME", "no CLOCK_BOOTTIME", "use Linux 2.6.39 or newer"),
}


def kernel(part: str, works: bool) -> Finding:
    """What the guard needs of the kernel; `part` is a name of the table above."""
    there, absent, todo = _KERNEL[part]
    if works:
        return Finding(part, State.OK, there, needed=True)
    return Finding(part, State.MISSING, absent, todo, needed=True)


def sandbox(missing: Mapping[str, str]) -> Finding:
    """`missing`: the layers that cannot be put on here, and why."""
    if not missing:
        return Finding("matcher sandbox", State.OK, "every layer can be put on")
    return Finding(
        "matcher sandbox",
        State.DEGRADED,
        "; ".join(f"{layer}: {why}" for layer, why in missing.items()),
        "start as root or by systemd, or have the signed device record go without the layer",
    )


def escape_reports(works: bool) -> Finding:
    if works:
        return Finding("escape reports", State.OK, "the kernel tells of a matcher's attempts")
    return Finding(
        "escape reports",
        State.DEGRADED,
        "no seccomp listener",
        "use Linux 5.5 or newer; attempts are refused all the same, and not reported",
    )


def wall_clock(synchronised: bool, behind_build: bool) -> Finding:
    if behind_build:
        return Finding(
            "wall clock",
            State.MISSING,
            "shows a time before this software was made",
            "set the clock: signed records and policies are judged by it",
        )
    if not synchronised:
        return Finding(
            "wall clock",
            State.DEGRADED,
            "not synchronised",
            "run a time service; dates in the log are only as good as this clock",
        )
    return Finding("wall clock", State.OK, "synchronised")


def scheduling(real_time: bool, cpus: int) -> Finding:
    found = f"{cpus} processor" + "s" * (cpus != 1)
    if real_time and cpus >= 2:
        return Finding("scheduling", State.OK, f"SCHED_FIFO, {found}")
    todo = "use two processors or more" if real_time else "allow CAP_SYS_NICE or LimitRTPRIO=50"
    why = found if real_time else f"no SCHED_FIFO, {found}"
    return Finding("scheduling", State.DEGRADED, why, f"{todo}; expect a longer latency tail")


def memory(available_bytes: int) -> Finding:
    return _amount("memory", available_bytes, MEMORY_OK_BYTES, MEMORY_LEAST_BYTES, "stop others")


def disk(place: str, free_bytes: int, writable: bool) -> Finding:
    if not writable:
        return Finding(
            "disk",
            State.MISSING,
            f"{place} cannot be written",
            "mount it writable: without a log nothing is permitted",
            needed=True,
        )
    return _amount(f"disk {place}", free_bytes, DISK_OK_BYTES, DISK_LEAST_BYTES, "free space")


def _amount(part: str, bytes_: int, ok: int, least: int, todo: str) -> Finding:
    found = f"{bytes_ // MIB} MiB free"
    if bytes_ >= ok:
        return Finding(part, State.OK, found, needed=True)
    state = State.DEGRADED if bytes_ >= least else State.MISSING
    return Finding(part, state, found, f"{todo}: {ok // MIB} MiB are enough", needed=True)


def keys(place: str, problem: str | None) -> Finding:
    if problem is None:
        return Finding("keys", State.OK, place)
    todo = "needed by run and daemon, not by replay; another directory is named by --keys DIR"
    return Finding("keys", State.MISSING, problem, todo)


def models(
    absent: tuple[str, ...], altered: tuple[str, ...], unreadable: tuple[str, ...] = ()
) -> Finding:
    if unreadable:
        found = f"may not be read: {', '.join(unreadable)}"
        todo = "make them readable for the user who runs the guard"
        return Finding("models", State.MISSING, found, todo, needed=True)
    if altered:
        found = f"altered: {', '.join(altered)}"
        return Finding("models", State.MISSING, found, "run `framegate models pull`", needed=True)
    if absent:
        found = f"not there: {', '.join(absent)}"
        return Finding("models", State.MISSING, found, "run `framegate models pull`", needed=True)
    return Finding("models", State.OK, "every digest is as pinned", needed=True)


def configuration(place: str, problems: list[str]) -> Finding:
    """`problems`: everything that would stop a start with this guard.toml."""
    if not problems:
        return Finding("configuration", State.OK, f"{place}: a start would pass", needed=True)
    todo = "mend each; `framegate config check` lists them one a line"
    return Finding("configuration", State.MISSING, "; ".join(problems), todo, needed=True)


def silent_camera(silence: str) -> Finding:
    """`silence`: since when a daemon that runs has had no frame, as a sentence."""
    return Finding(
        "running camera",
        State.DEGRADED,
        silence,
        "look at its cable, power and address; the guard opens it again by itself",
    )


def policy(digests: Mapping[str, str], problem: str | None, stale: tuple[str, ...] = ()) -> Finding:
    """`stale`: rules whose sources have not been checked for too long; they decide as before."""
    if problem is not None:
        return Finding("policy", State.MISSING, problem, "install the package again", needed=True)
    if stale:
        message = f"sources that nobody has checked for half a year: {', '.join(stale)}"
        todo = "look for a newer framegate; `framegate policy lint` says how old each is"
        return Finding("policy", State.DEGRADED, message, todo, needed=True)
    found = ", ".join(f"{name} {digest[:12]}" for name, digest in digests.items())
    return Finding("policy", State.OK, found, needed=True)


def cameras(nodes: tuple[str, ...], readable: tuple[str, ...]) -> Finding:
    if readable:
        return Finding("camera", State.OK, ", ".join(readable))
    if nodes:
        found = f"{', '.join(nodes)} may not be read"
        return Finding("camera", State.DEGRADED, found, "join the group `video`")
    return Finding(
        "camera",
        State.MISSING,
        "no /dev/video*",
        "needed for a live picture; recordings do without",
    )


def board(ports: tuple[str, ...], writable: tuple[str, ...]) -> Finding:
    if writable:
        return Finding("board", State.OK, ", ".join(writable))
    if ports:
        found = f"{', '.join(ports)} may not be written"
        return Finding("board", State.DEGRADED, found, "join the group `dialout`")
    todo = "needed beside a camera; beside a recording a virtual one stands in"
    return Finding("board", State.MISSING, "no serial port", todo)


def audit(place: str, entries: int, problem: str | None) -> Finding:
    if problem is None:
        found = "1 entry verifies" if entries == 1 else f"{entries} entries verify"
        return Finding("audit log", State.OK, f"{place}: {found}", needed=True)
    todo = "keep the log as evidence and see docs/audit.md"
    return Finding("audit log", State.MISSING, f"{place}: {problem}", todo, needed=True)
