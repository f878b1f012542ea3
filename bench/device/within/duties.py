"""The first duties of the board that any rig can check, over the device's UART.

    python -m bench.device.within.duties PORT --first 10

`framegate board test` runs all of them. The last line counts as that command's does.
"""

from __future__ import annotations

import argparse
import sys

from edge.commissioning.keys import KeyStore
from firmware_bridge.checks import duties
from firmware_bridge.checks.rigs import PortRig


def main() -> int:
    parser = argparse.ArgumentParser(description="check the first duties of the board")
    parser.add_argument("port")
    parser.add_argument("--first", type=int, default=10, help="how many (default 10)")
    args = parser.parse_args()
    rig, root = PortRig(args.port), KeyStore.open(None).board_key()
    chosen = [check for check in duties.CHECKS if not check[2]][: args.first]
    failed = 0
    for name, check, needs in chosen:
        found = duties.run(name, check, needs, rig, root)
        failed += bool(found.failure)
        print(f"{name:32} {f'FAILED   {found.failure}' if found.failure else 'passed'}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
