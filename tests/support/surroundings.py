"""A module that reports the imports of its process, and a folder that tries to be imported."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

NAMES = ("json", "cv2", "numpy", "argparse", "sitecustomize", "usercustomize", "edge/__init__")
EARLY = ("pathlib", "re", "runpy")  # so early that a Python with these in its way cannot go on


def trap(folder: Path, names: Iterable[str] = NAMES) -> Path:
    """Fill `folder` with modules that leave a mark when imported; returns the mark's path."""
    mark = folder / "mark"
    for name in names:
        file = folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"open({str(mark)!r}, 'a').write(__name__ + '\\n')\n")
    return mark


if __name__ == "__main__":
    print(json.dumps({"path": sys.path, "environment": dict(os.environ), "json": json.__file__}))
