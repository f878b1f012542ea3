"""Says which modules are loaded once another one is, as a process of the guard loads it."""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    importlib.import_module(sys.argv[1])
    print(json.dumps(sorted(sys.modules)))
