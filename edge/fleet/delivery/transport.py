"""How a device gets files of a repository: plain HTTP(S), or a folder on a stick.

Any static server will do. No redirects, no proxies from the environment, bounded waits. What
arrives here is trusted in nothing: the metadata's signatures, sizes and digests decide.
"""

from __future__ import annotations

import contextlib
import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from tuf.api.exceptions import DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.fetcher import FetcherInterface

from edge.errors import UsageError
from edge.files import open_named

_WAIT_S = 15.0  # for each word of the other end
_WHOLE_S = 1800.0  # for a file: who drips is as good as gone
_CHUNK = 1 << 18


class Transport(FetcherInterface):  # type: ignore[misc]  # the extra [tuf] may be absent
    """Fetches for the TUF client, and tiles of the release log."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        place = urlsplit(url)
        if place.scheme == "file":
            return _from_file(Path(unquote(place.path)))
        kind = (
            http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(place.hostname or "", place.port, timeout=_WAIT_S)
        try:
            connection.request("GET", place.path)
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if answer.status != http.HTTPStatus.OK:
            connection.close()
            raise DownloadHTTPError(f"status {answer.status}", answer.status)
        return _from_answer(connection, answer)


def _from_answer(
    connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
) -> Iterator[bytes]:
    until_s = time.monotonic() + _WHOLE_S
    with contextlib.closing(connection):
        while chunk := answer.read1(_CHUNK):
            yield chunk
            if time.monotonic() > until_s:
                raise SlowRetrievalError(f"no whole file within {_WHOLE_S:g} s")


def _from_file(path: Path) -> Iterator[bytes]:
    try:
        file = open_named(path)
    except FileNotFoundError as err:
        raise DownloadHTTPError("not there", http.HTTPStatus.NOT_FOUND) from err
    return _chunks(file)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk


def base_url(text: str) -> str:
    """The repository's address without a slash at its end: a URL, or a folder.

    Raises:
        UsageError: it is neither.
    """
    if text.startswith(("http://", "https://")):
        if not urlsplit(text).hostname:
            raise UsageError(f"expected http(s)://HOST/..., got {text!r}")
        return text.rstrip("/")
    folder = Path(text)
    if not folder.is_dir():
        raise UsageError(f"expected a URL or a folder with the repository, got {text!r}")
    return folder.resolve().as_uri()
