"""`python -m tests.fuzz`: as many rounds as asked for, each channel by itself."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.channels import channels


def main(argv: list[str]) -> int:
    """1 if a reader did not survive; prints the round's seed, which alone repeats it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20_000, help="for each channel")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("channel", nargs="*", help="some of them; all if none is named")
    args = parser.parse_args(argv)
    fallen = 0
    with tempfile.TemporaryDirectory(prefix="framegate-fuzz-") as folder:
        made = channels(Path(folder))
        unknown = sorted(set(args.channel) - {channel.name for channel in made})
        if unknown:
            print(f"no channel {', '.join(unknown)}: {', '.join(c.name for c in made)}")
            return 2
        for channel in made:
            if args.channel and channel.name not in args.channel:
                continue
            began = time.monotonic()
            assert channel.sound(), f"{channel.name}: a sound input is refused"
            for seed in range(args.seed, args.seed + args.rounds):
                try:
                    channel.feed(random.Random(seed))
                except Exception:  # the oracle: whatever comes here would end a process
                    print(f"{channel.name}: seed {seed}")
                    traceback.print_exc(limit=-3)
                    fallen += 1
                    break
            print(
                f"{channel.name:24} {seed - args.seed + 1:7} in {time.monotonic() - began:5.1f} s"
            )
    return 1 if fallen else 0


sys.exit(main(sys.argv[1:]))
