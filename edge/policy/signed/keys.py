"""Policy signing keys as files: `NAME.key` is secret (PEM), `NAME.pub` is public (hex).

These keys belong to the people who answer for the policy; they are not the
device's own keys and never need to be on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from edge import files
from edge.errors import UsageError, meaning

_MAX_BYTES = 4096


def make(names: Sequence[str], directory: Path) -> list[Path]:
    """Make one key pair a name; returns the public files. Nothing is overwritten.

    Raises:
        UsageError: a name is odd or taken, or the directory cannot be written.
    """
    for name in names:
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            raise UsageError(f"expected a key name of letters, digits, - and _, got {name!r}")
        for suffix in (".key", ".pub"):
            if (directory / f"{name}{suffix}").exists():
                raise UsageError(
                    f"{directory / name}{suffix} exists already; a key is never overwritten"
                )
    made = []
    with files.named_by_user("make keys in", directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in names:
            key = Ed25519PrivateKey.generate()
            secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            text = key.public_key().public_bytes_raw().hex().encode() + b"\n"
            files.write_new(directory / f"{name}.key", secret, 0o600)
            public = directory / f"{name}.pub"
            files.write_new(public, text, 0o644)
            made.append(public)
    return made


def read_secret(path: Path) -> Ed25519PrivateKey:
    """The signing key in `path`, which only its owner may read."""
    with files.named_by_user("read", path):
        data = files.read_secret(path, _MAX_BYTES)
    with meaning(f"{path}: expected an unencrypted Ed25519 key in PEM form", ValueError, TypeError):
        key = load_pem_private_key(data, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: expected an Ed25519 key")
    return key


def read_public(path: Path) -> bytes:
    """The public key in `path`, 32 bytes."""
    try:
        key = bytes.fromhex(files.read_given(path, _MAX_BYTES).decode().strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UsageError(f"{path}: expected a public key of 64 hexadecimal digits")
    return key
