"""The errors that the client raises on purpose; the guard's errors have the same base class."""


class GuardError(Exception):
    """Base of every error that framegate raises on purpose."""


class UsageError(GuardError):
    """The caller gave a bad option, file or value; nothing was changed."""


class MatcherError(GuardError):
    """The matcher's side of the release channel broke the protocol or disconnected."""


class RingError(MatcherError):
    """The release ring is invalid."""
