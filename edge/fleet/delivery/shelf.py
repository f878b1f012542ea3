"""What a device has taken: a folder whose content changes in one step.

    current -> g000007      everything, as KIND/NAME; readers use this name
    g000007, g000006        this generation and the one before
    g000007/manifest.json   which serial each file is

A new generation is written whole beside the old one, and then the link is replaced. Whatever
moment the power goes, readers see the old one or the new one. Files that stay are hard links.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.errors import UsageError
from edge.files import move_over, read_named, sync_directory, write_new

CURRENT = "current"
_MANIFEST = "manifest.json"
_MAX_MANIFEST = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Item:
    """One file that is to be put there."""

    serial: int
    data: Path  # written whole, on the same file system


class Shelf:
    """The folder; one process at a time writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def serials(self) -> dict[str, int]:
        """Which serial lies at each place.

        Raises:
            UsageError: the folder is not one that was written here.
        """
        path = self.folder / CURRENT / _MANIFEST
        try:
            found = json.loads(read_named(path, _MAX_MANIFEST))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as err:
            raise UsageError(f"{path}: expected a manifest: {err}") from err
        if not isinstance(found, dict) or not all(type(n) is int for n in found.values()):
            raise UsageError(f"{path}: expected serials by place")
        return found

    def put(self, items: Mapping[str, Item]) -> None:
        """Put these at their places, and keep what lies at other ones.

        Raises:
            OSError: it cannot be done; readers still see what was there.
        """
        old = self._generation()
        serials = self.serials()
        fresh = self.folder / f".g{old + 1:06d}"
        shutil.rmtree(fresh, ignore_errors=True)  # of a run that was cut off
        fresh.mkdir(parents=True)
        places = {place: self.folder / CURRENT / place for place in serials}
        places.update({place: item.data for place, item in items.items()})
        for place, data in places.items():
            target = fresh / place
            target.parent.mkdir(exist_ok=True)
            os.link(data, target)
            sync_directory(target.parent)
        serials.update({place: item.serial for place, item in items.items()})
        write_new(fresh / _MANIFEST, json.dumps(serials, indent=1, sort_keys=True).encode())
        sync_directory(fresh)
        named = self.folder / f"g{old + 1:06d}"
        shutil.rmtree(named, ignore_errors=True)  # was never current
        move_over(fresh, named)
        link = self.folder / f".{CURRENT}"
        link.unlink(missing_ok=True)
        link.symlink_to(named.name)
        move_over(link, self.folder / CURRENT)
        sync_directory(self.folder)
        for path in self.folder.glob("g[0-9]*"):
            if path.name not in (named.name, f"g{old:06d}"):
                shutil.rmtree(path, ignore_errors=True)

    def _generation(self) -> int:
        link = self.folder / CURRENT
        if not link.is_symlink():
            return 0
        number = link.readlink().name.removeprefix("g")
        return int(number) if number.isdecimal() else 0
