"""The tar that a device unpacks at its start: the product, the models and clips, the plan."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from edge.errors import UsageError
from edge.isolation import environment

REPOSITORY = Path(__file__).resolve().parents[3]


def pack(into: Path, *, assets: Mapping[str, Path], extra: Mapping[str, bytes]) -> None:
    """Write the tar.

    Args:
        into: the file to write, a multiple of 512 bytes long as every tar is.
        assets: files of the model cache by the name they have there.
        extra: further files by their path in the device, with mode 600.
    """
    version = metadata.version("framegate")
    described = f"Metadata-Version: 2.1\nName: framegate\nVersion: {version}\n".encode()
    with tarfile.open(into, "w") as tar:
        for name in sources():
            _add(tar, f"srv/framegate/{name}", REPOSITORY / name)
        _put(tar, f"srv/framegate/framegate-{version}.dist-info/METADATA", described, 0o644)
        for name, path in assets.items():
            _add(tar, f"root/.cache/framegate/{name}", path)
        for name, data in extra.items():
            _put(tar, name, data, 0o600)


def sources() -> list[str]:
    """The repository's files that git lists, with uncommitted changes.

    Raises:
        UsageError: this is not a git checkout.
    """
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(
            command, cwd=REPOSITORY, env=environment(), capture_output=True, text=True, check=False
        )
    except OSError as err:
        raise UsageError(f"cannot list the product's files: git: {err.strerror}") from err
    named = [name for name in listed.stdout.split("\0") if name]
    names = [name for name in named if (REPOSITORY / name).is_file() or _is_link(REPOSITORY / name)]
    if listed.returncode != 0 or "edge/__init__.py" not in names:
        raise UsageError(f"expected a git checkout of framegate at {REPOSITORY}")
    return sorted(names)


def _is_link(path: Path) -> bool:
    return path.is_symlink() and path.exists()


def _add(tar: tarfile.TarFile, name: str, path: Path) -> None:
    if path.is_symlink() and path.is_dir():  # the sandbox knows the client by such a link
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)
        tar.addfile(entry)
        return
    _put(tar, name, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)


def _put(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))
