"""The small file system that the kernel starts from: an archive in cpio's "newc" form.

It holds a static busybox, the modules that reach the disk, and a script that mounts it. Made
in memory, so it needs neither root nor device nodes.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge.errors import UsageError

_DIRECTORY, _FILE, _LINK = 0o040755, 0o100755, 0o120777
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def archive(files: Mapping[str, bytes], links: Mapping[str, str], folders: Iterable[str]) -> bytes:
    """A cpio archive; names are relative, every folder of `files` is in `folders`."""
    entries = [(name, _DIRECTORY, b"") for name in folders]
    entries += [(name, _FILE, data) for name, data in files.items()]
    entries += [(name, _LINK, target.encode()) for name, target in links.items()]
    packed = [_entry(at + 1, *entry) for at, entry in enumerate(entries)]
    return b"".join([*packed, _entry(0, "TRAILER!!!", 0, b"")])


def _entry(inode: int, name: str, mode: int, data: bytes) -> bytes:
    text = name.encode() + b"\0"
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(text), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(head + text) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def depends_on(module: bytes) -> tuple[str, ...]:
    """The modules that a kernel module names as its own needs."""
    found = _DEPENDS.search(module)
    return tuple(found[1].decode().split(",")) if found and found[1] else ()


def in_order(wanted: Iterable[str], needs: Mapping[str, tuple[str, ...]]) -> list[str]:
    """`wanted` and all they need, each after what it needs itself."""
    order: list[str] = []

    def add(name: str) -> None:
        if name not in order:
            for need in needs[name]:
                add(need)
            order.append(name)

    for name in wanted:
        add(name)
    return order


def load_modules(tree: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """The unpacked modules out of a kernel's tree, in the order in which they load.

    Raises:
        UsageError: the kernel has no such module.
    """
    places = {path.name.partition(".")[0].replace("-", "_"): path for path in tree.rglob("*.ko*")}
    found: dict[str, bytes] = {}
    needs: dict[str, tuple[str, ...]] = {}
    waiting = [name.replace("-", "_") for name in wanted]
    first = tuple(waiting)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name not in places:
            raise UsageError(f"expected the kernel module {name} under {tree}; there is none")
        data = places[name].read_bytes()
        found[name] = lzma.decompress(data) if places[name].suffix == ".xz" else data
        needs[name] = tuple(n.replace("-", "_") for n in depends_on(found[name]))
        waiting += needs[name]
    return {name: found[name] for name in in_order(first, needs)}
