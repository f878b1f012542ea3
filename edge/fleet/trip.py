"""Without a network: requests and answers travel as files, on a stick or over a dock.

    NAME.request   what the device sends to the witness of that name
    NAME.answer    the status in a line, then what the witness sent back
    NAME.head      the head that it cosigned last, where the request contradicts that

The device's log grows while the files are under way, so an answer is taken in for
the checkpoint that its request carried. What comes back is judged as it is from
the network.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from edge.audit.note import Signer, Verifier
from edge.audit.proofs.consistency import MAX_REQUEST_BYTES, read_request
from edge.errors import AuditError
from edge.files import read_named, write_whole
from edge.fleet.courier import Courier, Round
from edge.fleet.trust_policy import TrustPolicy
from edge.fleet.witness import Answer, Store, answer


class Trip:
    """A courier whose witnesses are reached by a folder."""

    def __init__(
        self, log: Path, out: Path, key: Verifier, policy: TrustPolicy, folder: Path
    ) -> None:
        """See `Courier`; `folder` holds the requests and the answers."""
        named = tuple(
            replace(one, url=f"file://{quote(one.name, safe='')}") for one in policy.witnesses
        )
        self._names = [one.name for one in named]
        self._folder = folder
        self._courier = Courier(
            log, out, key, replace(policy, witnesses=named), self._post, self._ask
        )

    def round(self, time_s: int) -> Round:
        """Take in what was answered, then lay out requests for the newest checkpoint.

        What it returns is how the answered checkpoint came out, or the newest where
        nothing was answered. See `Courier.round` for what it raises.
        """
        answered = self._answered()
        first = None if answered is None else self._courier.round(time_s, answered)
        second = self._courier.round(time_s)
        return second if first is None else first

    def _answered(self) -> bytes | None:
        """The checkpoint of the requests that have an answer; None if none has."""
        note = None
        for name in self._names:
            if _place(self._folder, name, "answer").exists():
                try:
                    request = read_request(_whole(_place(self._folder, name, "request")))
                except (AuditError, OSError):
                    continue  # an answer to nothing: its place is taken by the next request
                self._courier.begin_from(name, request.old)
                note = note or request.note
        return note

    def _post(self, url: str, body: bytes) -> tuple[int, bytes]:
        name = unquote(urlsplit(url).netloc)
        request, reply = (_place(self._folder, name, what) for what in ("request", "answer"))
        if reply.exists() and request.exists() and _whole(request) == body:
            status, _, rest = _whole(reply).partition(b"\n")
            if status.isdigit() and len(status) == 3:
                return int(status), rest
        write_whole(request, body, 0o644)
        reply.unlink(missing_ok=True)
        raise OSError(f"the request lies in {request}")

    def _ask(self, url: str) -> bytes:
        return _whole(_place(self._folder, unquote(urlsplit(url).netloc), "head"))


def answer_file(folder: Path, name: str, store: Store, signer: Signer, time_s: int) -> Answer:
    """Answer the request for the witness `name`, and lay the answer beside it.

    Raises:
        OSError: there is none, or the answer cannot be written.
    """
    found = answer(_whole(_place(folder, name, "request")), store, signer, time_s)
    data = b"%d\n" % found.status + found.body
    write_whole(_place(folder, name, "answer"), data, 0o644)
    head = _place(folder, name, "head")
    head.unlink(missing_ok=True)
    if found.head:
        write_whole(head, found.head, 0o644)
    return found


def _place(folder: Path, name: str, what: str) -> Path:
    return folder / f"{quote(name, safe='')}.{what}"


def _whole(path: Path) -> bytes:
    return read_named(path, MAX_REQUEST_BYTES + 1)
