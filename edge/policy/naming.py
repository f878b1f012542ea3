"""How a policy is named: by its pack's name, or by the path of a signed bundle."""

from __future__ import annotations

import re
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")  # of a pack, as the log and the status write it


def bundle_file(pack: str) -> Path | None:
    """The file that `pack` means where it is no name: it has a slash, or ends in `.json`."""
    return Path(pack).expanduser() if "/" in pack or pack.endswith(".json") else None
