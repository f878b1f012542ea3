"""Change the lease and the gate in every small way and see that a test notices.

    python -m bench.mutants

Runs mutmut over the modules named in pyproject.toml. A change that no test
notices must be listed in `bench/mutants_equivalent.txt` with the reason why it
changes nothing; one that is not ends this with exit code 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTED = Path(__file__).with_name("mutants_equivalent.txt")
NOTICED = {"killed", "timeout", "segfault", "caught by type check"}


def listed(text: str) -> dict[str, str]:
    """Mutant -> reason, from lines `name: reason`; `#` begins a comment."""
    pairs = (line.partition(": ") for line in text.splitlines() if line and line[0] != "#")
    return {name: reason for name, _, reason in pairs if reason}


def unnoticed(lines: Iterable[str]) -> set[str]:
    """The mutants that mutmut's results do not call noticed."""
    found = set()
    for line in lines:
        name, separator, status = line.strip().partition(": ")
        if separator and status not in NOTICED:
            found.add(name)
    return found


def main() -> int:
    """Run every mutant and print those that nobody noticed."""
    mutmut = [sys.executable, "-m", "mutmut"]
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # old results would be believed
    run = subprocess.run([*mutmut, "run"], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        print(run.stdout[-2000:] + run.stderr[-2000:], file=sys.stderr)
        return 2
    results = subprocess.run(
        [*mutmut, "results", "--all", "true"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = [line for line in results.stdout.splitlines() if ": " in line]
    survivors = unnoticed(lines)
    equivalent = listed(LISTED.read_text())
    for name in sorted(survivors):
        print(f"{name}: {equivalent.get(name, 'NOT NOTICED BY ANY TEST')}")
    unlisted = survivors - set(equivalent)
    print(f"{len(lines)} mutants, {len(survivors)} survived, {len(unlisted)} of them unlisted")
    return 1 if unlisted or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
