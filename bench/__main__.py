"""`python -m bench` is `framegate bench`."""

import sys

from edge.cli import main

if __name__ == "__main__":
    sys.exit(main(["bench", *sys.argv[1:]]))
