"""The settings of the decider, sent when a guard starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.audit.schema import Board, Release
from edge.frames.settings import Picture, PoolSize


@dataclass(frozen=True, slots=True)
class DeciderSettings:
    """What the decider decides by; the descriptors it inherits."""

    picture: Picture
    pool: PoolSize
    camera: bytes  # digest of its identity
    camera_known: bool  # it is the one that record and view name
    virtual: bool  # a recording stands in for it
    view: bytes  # the enrolled view; empty if there is none
    policy: bytes  # digest of the policy that the parent chose
    device: str  # the text of the signed records, and where they stand
    session: str
    device_path: Path
    session_path: Path
    keys: Path
    face_model: Path
    audit: Path
    pack: str
    policy_store: Path | None
    inbox: Path | None  # the consent inbox
    release: Release
    board: Board
    lag_ns: int | None  # how late a frame may come; None if unknown
    beats_fd: int
    pool_fd: int
    gate_fd: int
    parent_fd: int
    bridge_fd: int | None = None
