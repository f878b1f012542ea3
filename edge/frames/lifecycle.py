"""What the parent and its processes say to each other of starting, going on and ending.

capture -> parent   CameraHello, Failed,       parent -> capture  PoolSize, Go
                    SourceNote
gate -> parent      Ready, MatcherConnected,   parent -> gate     Token
                    Over, `Resolved` batches
decider -> parent   Ready, Failed, and what    parent -> decider  Escape
                    `edge.decision.monitor` has
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.attempts import Attempt
from edge.cameras.identity import CameraIdentity, Dating
from edge.frames.settings import Picture, PoolSize
from edge.wire import Tag, pack, unpack


@dataclass(frozen=True, slots=True)
class CameraHello:
    """The camera that capture opened."""

    identity: CameraIdentity
    picture: Picture
    dating: Dating


@dataclass(frozen=True, slots=True)
class Go:
    """Everybody is ready: deliver frames."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A process is ready; `words` are for the operator."""

    words: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A process cannot start."""

    error: str


@dataclass(frozen=True, slots=True)
class SourceNote:
    """A recording is over, and part of it was not given."""

    lost: int  # pictures, as far as they can be counted
    words: str  # what is wrong with it


@dataclass(frozen=True, slots=True)
class Token:
    """What the next matcher is to show."""

    token: str


@dataclass(frozen=True, slots=True)
class Escape:
    """The matcher tried to leave its sandbox; None: an earlier guard saw it and wrote it down."""

    tried: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """The stream ended, and every frame has its final word."""


@dataclass(frozen=True, slots=True)
class MatcherConnected:
    """A matcher showed the token; that token is spent."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """Whether frames are released, for the matcher; why not, as code, text and advice."""

    flowing: bool
    reasons: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class MatcherResult:
    """A result of the matcher's that may be passed on; `subject` is a whole digest."""

    subject: str | None
    score: float
    comparisons: int


@dataclass(frozen=True, slots=True)
class ResultRefused:
    """A result of the matcher's was dropped, and why; sent once a second at most.

    With `ended` it was no report at all, and the matcher's connection was ended: sent each time.
    """

    why: str
    ended: bool = False


Lifecycle = (
    CameraHello
    | PoolSize
    | Go
    | Ready
    | Failed
    | SourceNote
    | Token
    | Escape
    | Over
    | MatcherConnected
    | StreamState
    | MatcherResult
    | ResultRefused
)

_KINDS: dict[Tag, type[Lifecycle]] = {
    Tag.HELLO: CameraHello,
    Tag.POOL_SIZE: PoolSize,
    Tag.GO: Go,
    Tag.READY: Ready,
    Tag.FAILED: Failed,
    Tag.SOURCE_NOTE: SourceNote,
    Tag.TOKEN: Token,
    Tag.ESCAPE: Escape,
    Tag.OVER: Over,
    Tag.MATCHER_CONNECTED: MatcherConnected,
    Tag.STREAM_STATE: StreamState,
    Tag.MATCHER_RESULT: MatcherResult,
    Tag.RESULT_REFUSED: ResultRefused,
}
_TAGS = {kind: tag for tag, kind in _KINDS.items()}


def belongs(data: bytes) -> bool:
    """Whether `data` is a message of this table."""
    return bool(data) and data[0] in _KINDS


def encode(message: Lifecycle) -> bytes:
    """The message as bytes."""
    return pack(_TAGS[type(message)], message)


def decode(data: bytes) -> Lifecycle:
    """The message in `data`.

    Raises:
        GuardError: not a whole message of this table.
    """
    found: Lifecycle = unpack(data, _KINDS)
    return found
