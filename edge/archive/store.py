"""The store of an archive: tapes and decisions under the digests of what they were made from.

Each file is written once and whole. A task that is run again, on whatever machine, finds
it there or writes the same bytes; a killed worker or a full disk leaves nothing half done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import rfc8785

from edge.archive import boards, remote
from edge.archive.manifest import Recording
from edge.archive.tape import FORMAT
from edge.audit.schema import Release
from edge.commissioning.records import Device, Session
from edge.errors import RecordError, failing
from edge.evidence.scene import shipped_sha256
from edge.files import MODEL_BYTES, named_by_user, read_given, read_named, write_whole
from edge.models import BODY, BODY_WIDE
from edge.models.catalogue import WHEELS

_MOST_BYTES = 1 << 30
_FACES = "centerface.onnx"


def tape_key(recording: Recording, device: Device, session: Session) -> str:
    """The name of a recording's tape: 64 hex digits over all that decides what is seen.

    Raises:
        RecordError: the view that the record names cannot be read.
    """
    return _digest(
        format=FORMAT,
        clip=recording.sha256,
        view=hashlib.sha256(view_bytes(device)).hexdigest(),
        masked=session.operation.masked,
        models=_models(),
    )


def board_key(telemetry: Sequence[str], device: Device) -> str:
    """The name of a board's tape: 64 hex digits over all that decides what its samples say."""
    rules = boards.rules()
    return _digest(
        format=boards.FORMAT, rules=rules, telemetry=list(telemetry), dock=device.dock_id
    )


def decisions_key(
    tape: str, policy: bytes, inputs: Sequence[str], device: Device, release: Release
) -> str:
    """The name of the decisions on a tape: 64 hex digits over all that decides them.

    Args:
        inputs: digests of the device record, the session and each file of telemetry.
    """
    return _digest(
        tape=tape,
        policy=policy.hex(),
        inputs=list(inputs),
        dwell_s=device.dwell_s,
        release=release.value,
    )


def view_bytes(device: Device) -> bytes:
    """The file of the view that a record names; empty if it names none.

    Raises:
        RecordError: it cannot be read.
    """
    if device.fingerprint is None:
        return b""
    named = f"{device.fingerprint}: expected the enrolled view that the record names"
    with failing(named, RecordError):
        return read_named(device.fingerprint, MODEL_BYTES)


class Store:
    """What holds tapes and decisions: a folder, or any store that fsspec opens by URL."""

    def __init__(self, folder: str) -> None:
        """`folder` is a path, or a URL such as s3://bucket/archive."""
        self.folder = folder.rstrip("/") if is_url(folder) else folder

    def tape(self, key: str) -> str:
        """Where the tape of this key is."""
        return f"{self.folder}/tapes/{key[:2]}/{key}.tape"

    def board(self, key: str) -> str:
        """Where the board's tape of this key is."""
        return f"{self.folder}/boards/{key[:2]}/{key}.board"

    def decisions(self, key: str) -> str:
        """Where the decisions of this key are."""
        return f"{self.folder}/decisions/{key[:2]}/{key}.jsonl"

    def read(self, place: str) -> bytes | None:
        """What a file of the store holds; None if it is not there.

        Raises:
            UsageError: it cannot be read.
        """
        with named_by_user("read", place), suppress(FileNotFoundError, NotADirectoryError):
            if is_url(place):
                return remote.read(place)
            return read_named(Path(place), _MOST_BYTES)
        return None

    def keep(self, place: str, data: bytes) -> None:
        """Write a file once; the same bytes again are no matter.

        Raises:
            RecordError: there are other bytes under the same name.
            UsageError: it cannot be written; then nothing of it is there.
        """
        found = self.read(place)
        if found is None:
            with named_by_user("write", place):
                if _written(place, data):
                    return
            found = self.read(place)  # another worker was first
        if found != data:
            raise RecordError(
                f"{place} holds something else than the same inputs give now: expected a "
                "store that only this command writes; move the file away and run it again"
            )


def is_url(place: str) -> bool:
    """Whether a place is a URL, and not a path."""
    return "://" in place


def _written(place: str, data: bytes) -> bool:
    """Write a file whole; False if a store says that it is there by now."""
    if is_url(place):
        return remote.create(place, data)
    path = Path(place)
    try:
        write_whole(path, data)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    return True


def read_input(path: Path) -> bytes:
    """A file that the manifest names.

    Raises:
        UsageError: it cannot be read.
    """
    return read_given(path, _MOST_BYTES)


@cache
def _models() -> dict[str, str]:
    known = {a.name: a.sha256 for wheel in WHEELS for a in wheel.assets}
    models = {name: known[name] for name in (_FACES, BODY, BODY_WIDE)}
    return {**models, "scene": shipped_sha256()}


def _digest(**of: Any) -> str:
    return hashlib.sha256(rfc8785.dumps(of)).hexdigest()
