"""One bounded request: no redirects, no proxies from the environment, no endless answers."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from http import HTTPStatus
from urllib.parse import urlsplit

from edge.audit.proofs.consistency import MAX_REQUEST_BYTES
from edge.errors import wrong_in

_WAIT_S = 15.0  # for each word of the other end
_WHOLE_S = 30.0  # and for the whole answer: who drips is as good as gone


def get(url: str) -> bytes:
    """The body that is there.

    Raises:
        OSError: there was no answer, not one in the protocol, or its status is not 200.
    """
    status, data = post(url, None)
    if status != HTTPStatus.OK:
        raise OSError(f"expected status 200, got {status}")
    return data


def post(url: str, body: bytes | None) -> tuple[int, bytes]:
    """Status and body of the answer to a POST of `body`, to a GET if there is none.

    Raises:
        OSError: there was no answer, or not one in the protocol.
    """
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    with wrong_in("no place to send to", ValueError, http.client.HTTPException, as_=OSError):
        connection = kind(place.hostname or "", place.port, timeout=_WAIT_S)
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with contextlib.suppress(OSError, AttributeError):  # not connected yet, or over
            connection.sock.shutdown(socket.SHUT_RDWR)

    limit = threading.Timer(_WHOLE_S, give_up)
    limit.daemon = True
    limit.start()
    try:
        if body is None:
            connection.request("GET", place.path)
        else:
            connection.request("POST", place.path, body, {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        data = answer.read(MAX_REQUEST_BYTES + 1)
    except http.client.HTTPException as err:
        raise OSError(f"no answer in HTTP: {type(err).__name__}") from err
    finally:
        limit.cancel()
        connection.close()
    if late.is_set():
        raise OSError(f"no whole answer within {_WHOLE_S:g} s")
    if len(data) > MAX_REQUEST_BYTES:
        raise OSError(f"an answer of more than {MAX_REQUEST_BYTES} bytes")
    return answer.status, data
