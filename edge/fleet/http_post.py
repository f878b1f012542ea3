"""One bounded POST: no redirects, no proxies from the environment, no endless answers."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

from edge.audit.proofs.consistency import MAX_REQUEST_BYTES

_WAIT_S = 15.0


def post(url: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of the answer.

    Raises:
        OSError: nobody answered, or not in the protocol.
    """
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(place.hostname or "", place.port, timeout=_WAIT_S)
    except (ValueError, http.client.HTTPException) as err:
        raise OSError(f"no place to send to: {err}") from err
    try:
        connection.request("POST", place.path, body, {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        data = answer.read(MAX_REQUEST_BYTES + 1)
    except http.client.HTTPException as err:
        raise OSError(f"no answer in HTTP: {type(err).__name__}") from err
    finally:
        connection.close()
    if len(data) > MAX_REQUEST_BYTES:
        raise OSError(f"an answer of more than {MAX_REQUEST_BYTES} bytes")
    return answer.status, data
