"""Files of a store behind a URL: object stores and others, by fsspec (an extra).

A file there is created once: a store that knows conditional writes (S3: `If-None-Match`) refuses
a second one, and elsewhere the same inputs write the same bytes.
"""

from __future__ import annotations

from typing import Any

from edge.errors import UsageError


def read(url: str) -> bytes:
    """What the file holds.

    Raises:
        OSError: it is not there, or cannot be read.
        UsageError: no library is installed for such URLs.
    """
    files, path = _opened(url)
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


_INSTALL = "pip install 'framegate[store]'"
