"""The error tree: each class is named for what the caller can do about it.

An error is not an answer: "blocked" is a normal verdict and never raised.
Commands print a `GuardError` as one line and exit 2; the running guard catches
it only in its loop, after the lease has been revoked. A matcher knows the first few of them, which
the client library has.
"""

import contextlib
import errno
from collections.abc import Callable, Iterator

from framegate_client.errors import GuardError, MatcherError, RingError, UsageError

__all__ = [
    "AuditError",
    "BridgeError",
    "CameraError",
    "EnrolmentError",
    "GuardError",
    "LeaseError",
    "MatcherError",
    "ModelError",
    "PolicyError",
    "RecordError",
    "RingError",
    "RollbackError",
    "SandboxError",
    "SignatureError",
    "UsageError",
    "failing",
    "meaning",
    "spent",
    "wrong_in",
]


class RecordError(UsageError):
    """A device record, session claim, fingerprint or telemetry file cannot be used."""


class SignatureError(RecordError):
    """A file is unsigned, or its signature does not match its bytes and the trusted key."""


class CameraError(GuardError):
    """The camera or clip cannot deliver frames; the guard stays blocked."""


class EnrolmentError(GuardError):
    """The view is not fit to be enrolled; the message says why.

    `drawn` are lines that show what became of each part of the picture, or none.
    """

    def __init__(self, message: str, drawn: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.drawn = drawn


class PolicyError(GuardError):
    """A policy pack or bundle is refused; the policy in force stays in force."""


class ModelError(GuardError):
    """A model file or its output cannot be trusted."""


class AuditError(GuardError):
    """The audit log cannot be written or does not verify."""


class RollbackError(AuditError):
    """The audit log is shorter than what is known to have been in it."""


class LeaseError(GuardError):
    """A lease message is malformed, replayed or out of order."""


class SandboxError(MatcherError):
    """A layer of the matcher's sandbox is missing; the matcher is not started."""


class BridgeError(GuardError):
    """The board cannot be trusted; treat the interlock as inhibited."""


@contextlib.contextmanager
def _anew(
    kinds: tuple[type[Exception], ...],
    as_: Callable[[str], Exception],
    line: Callable[[Exception], str],
) -> Iterator[None]:
    """An error of these kinds within is raised as another one, with this line."""
    try:
        yield
    except kinds as err:
        raise as_(line(err)) from err


def wrong_in(
    what: object, *kinds: type[Exception], as_: Callable[[str], Exception] = UsageError
) -> contextlib.AbstractContextManager[None]:
    """An error of these kinds within is what the user gave: `WHAT: why`; just why if that is "".

    Raises:
        UsageError: for each of them, or what `as_` makes of the line.
    """
    return _anew(kinds, as_, lambda err: f"{what}: {err}" if what else str(err))


def meaning(
    line: str, *kinds: type[Exception], as_: Callable[[str], Exception] = UsageError
) -> contextlib.AbstractContextManager[None]:
    """An error of these kinds within means this, and the line says all of it.

    Raises:
        UsageError: for each of them, or what `as_` makes of the line.
    """
    return _anew(kinds, as_, lambda err: line)


@contextlib.contextmanager
def failing(what: str, as_: Callable[[str], Exception] = UsageError) -> Iterator[None]:
    """What the system refuses within is said as `WHAT: why`.

    Raises:
        UsageError: for an OSError, or what `as_` makes of the line.
    """
    try:
        yield
    except OSError as err:
        raise as_(f"{what}: {err.strerror or err}") from err


_SPENT = {
    errno.EMFILE: "too many open files: expected a limit of at least 128 (ulimit -n 128)",
    errno.ENFILE: "the system has no open files left",
    errno.ENOMEM: "out of memory",
    errno.EAGAIN: "no process can be started: the limit on processes is reached (ulimit -u)",
}


def spent(err: OSError) -> str:
    """What this machine has no more of, and the step that helps; empty if it is another error."""
    return _SPENT.get(err.errno or 0, "")
