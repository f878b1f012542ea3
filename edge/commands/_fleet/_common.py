"""What the actions of `framegate fleet` share: policy, key, lines for a journal, a good end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands._options import Options
from edge.errors import UsageError, failing, wrong_in
from edge.files import named_by_user, read_given, read_named

if TYPE_CHECKING:
    from edge.audit.note import Signer
    from edge.fleet.trust_policy import TrustPolicy


def add_policy(parser: Options, what: str = "logs and witnesses to trust") -> None:
    """Add --policy."""
    parser.path("--policy FILE", what, required=True)


def read_policy(path: Path) -> TrustPolicy:
    """The policy in a file, named in what is wrong with it."""
    return checked_policy(path)[1]


def checked_policy(path: Path) -> tuple[bytes, TrustPolicy]:
    """The bytes of the file too, as they were checked."""
    from edge.fleet.trust_policy import MAX_BYTES, parse_policy

    data = read_given(path, MAX_BYTES + 1)
    with wrong_in(path, UsageError):
        return data, parse_policy(data)


def read_signer(path: Path, way: Callable[[Path, int], bytes] = read_named) -> Signer:
    """The secret key of a log or a witness; `way` may ask who else can read it."""
    from edge.audit.note import NoteError, Signer

    with named_by_user("read", path):
        data = way(path, 4096)
    with wrong_in(path, NoteError):
        return Signer.parse(data.decode(errors="replace"))


def require_seconds(every_s: float | None) -> None:
    """See that --every, where it is given, is a second or more."""
    if every_s is not None and every_s < 1:
        raise UsageError(f"--every: expected 1 or more seconds, got {every_s:g}")


def listen_address(text: str) -> tuple[str, int]:
    """Host, without brackets, and port of --listen."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise UsageError(f"--listen: expected HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


def listening(text: str) -> AbstractContextManager[None]:
    """What cannot be opened within is the address of --listen."""
    return failing(f"--listen: {text} cannot be used")


def require_tuf() -> None:
    """See that the library is there that delivery needs."""
    if find_spec("tuf") is None:
        raise UsageError("tuf is not installed: pip install 'framegate[tuf]'")


def until_stopped(stop: Callable[[], None]) -> None:
    """End in good order on SIGTERM and ^C; `stop` may wait for the loop, so it has a thread."""

    def handle(number: int, frame: object) -> None:
        threading.Thread(target=stop, daemon=True).start()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def repeat(turn: Callable[[], int], every_s: float) -> int:
    """Take a turn every so often until SIGTERM; the exit code of the last one."""
    over = threading.Event()
    until_stopped(over.set)
    code = 0
    while not over.is_set():
        code = turn()
        over.wait(every_s)
    return code
