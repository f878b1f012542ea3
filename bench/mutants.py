"""Change the lease, the gate and the policy loader in every small way; a test must notice.

    python -m bench.mutants [NAME...]
    python -m bench.mutants 'edge.policy.*'

Runs mutmut over the modules named in pyproject.toml, an hour and more, or over the
functions that a NAME with wildcards matches. `bench/mutants_equivalent.txt` must list
each change that no test notices, with the reason why it changes nothing. Otherwise the
exit code is 1.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LISTED = Path(__file__).with_name("mutants_equivalent.txt")
NOTICED = {"killed", "timeout", "segfault", "caught by type check"}


def listed(text: str) -> dict[str, str]:
    """Mutant -> reason, from lines `name: reason`; `#` begins a comment."""
    pairs = (line.partition(": ") for line in text.splitlines() if line and line[0] != "#")
    return {name: reason for name, _, reason in pairs if reason}


def unnoticed(lines: Iterable[str]) -> set[str]:
    """The mutants that no test noticed, by mutmut's results."""
    found = set()
    for line in lines:
        name, separator, status = line.strip().partition(": ")
        if separator and status not in NOTICED:
            found.add(name)
    return found


def chosen(lines: Iterable[str], names: Sequence[str]) -> list[str]:
    """The results of the mutants that match one of `names`; all results if `names` is empty."""
    results = [line.strip() for line in lines if ": " in line]
    return [
        line
        for line in results
        if not names or any(fnmatchcase(line.partition(": ")[0], name) for name in names)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the mutants and print those that no test noticed."""
    parser = argparse.ArgumentParser(prog="bench.mutants", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these functions")
    names = parser.parse_args(argv).names
    mutmut = [sys.executable, "-m", "mutmut"]
    shutil.rmtree(ROOT / "mutants", ignore_errors=True)  # mutmut would reuse old results
    run = subprocess.run([*mutmut, "run", *names], cwd=ROOT, capture_output=True, text=True)
    if run.returncode:
        print(run.stdout[-2000:] + run.stderr[-2000:], file=sys.stderr)
        return 2
    results = subprocess.run(
        [*mutmut, "results", "--all", "true"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = chosen(results.stdout.splitlines(), names)
    survivors = unnoticed(lines)
    equivalent = listed(LISTED.read_text())
    for name in sorted(survivors):
        print(f"{name}: {equivalent.get(name, 'NOT NOTICED BY ANY TEST')}")
    unlisted = survivors - set(equivalent)
    print(f"{len(lines)} mutants, {len(survivors)} survived, {len(unlisted)} of them unlisted")
    return 1 if unlisted or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
