"""Files of a store behind a URL: object stores and others, by fsspec (an extra).

A file there is created once: a store that knows conditional writes (S3: `If-None-Match`) refuses
a second one, and elsewhere the same inputs write the same bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge.errors import UsageError

_BUCKETS = frozenset({"s3", "s3a", "gs", "gcs"})  # no folders, and nobody makes a bucket by the way
_ERRORS = {  # of the libraries below fsspec, which are no OSError
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
}
_INSTALL = "pip install 'framegate[store]'"
_LOGIN = (
    "for S3, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a server that "
    "is not Amazon's, AWS_ENDPOINT_URL too"
)


def check(url: str) -> None:
    """See that a store answers, knows the caller, and has the bucket.

    Raises:
        UsageError: it does not, or no library is installed for such URLs.
    """
    files, path = _opened(url)
    bucket = path.split("/")[0]
    try:
        if _has_buckets(files):
            with _asked():
                files.info(bucket)
    except FileNotFoundError as err:
        raise UsageError(f"{url}: there is no bucket {bucket!r}: make it first") from err
    except OSError as err:
        raise UsageError(f"{url}: cannot be opened: {err.strerror or err} ({_LOGIN})") from err


def read(url: str) -> bytes:
    """What the file holds.

    Raises:
        OSError: it is not there, or cannot be read.
        UsageError: no library is installed for such URLs.
    """
    files, path = _opened(url)
    with _asked():
        data = files.cat_file(path)
    assert isinstance(data, bytes)
    return data


def create(url: str, data: bytes) -> bool:
    """Write a file whole; False if it is there.

    Raises:
        OSError: it cannot be written.
        UsageError: no library is installed for such URLs.
    """
    files, path = _opened(url)
    try:
        with _asked():
            if not _has_buckets(files):
                files.makedirs(files._parent(path), exist_ok=True)
            files.pipe_file(path, data, mode="create")
    except FileExistsError:
        return False
    return True


def _opened(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as err:
        raise UsageError(f"{url}: a store by URL needs fsspec: {_INSTALL}") from err
    try:
        files, path = url_to_fs(url)
    except (ImportError, ValueError) as err:
        raise UsageError(f"{url}: {err}; for S3: {_INSTALL}") from err
    return files, str(path)


def _has_buckets(files: Any) -> bool:
    kinds = files.protocol
    return not _BUCKETS.isdisjoint([kinds] if isinstance(kinds, str) else kinds)


@contextmanager
def _asked() -> Iterator[None]:
    """What a library below fsspec raises becomes an OSError of one line."""
    try:
        yield
    except _errors() as err:
        if isinstance(err, OSError):
            raise
        raise OSError((str(err) or type(err).__name__).splitlines()[0]) from err


def _errors() -> tuple[type[Exception], ...]:
    known = [(sys.modules[name], names) for name, names in _ERRORS.items() if name in sys.modules]
    return tuple(getattr(module, name) for module, names in known for name in names)
