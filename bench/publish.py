"""Run the bench several times and publish: bench/results.json and the table in docs/benchmarks.md.

    python -m bench.publish [--runs 5]

A published figure is the median over the runs; its spread is their minimum and maximum.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench.figures import Figure, State
from edge.report.record import write_atomic

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
_BEGIN, _END = "<!-- figures: python -m bench.publish -->", "<!-- end of figures -->"


def merged(runs: list[list[dict[str, object]]]) -> list[Figure]:
    """One figure for each name: median, minimum and maximum over the runs."""
    figures = []
    for rows in zip(*runs, strict=True):
        first = rows[0]
        values = [float(row["value"]) for row in rows if row["value"] is not None]
        whole = len(values) == len(rows)
        figures.append(
            Figure(
                str(first["name"]),
                median(values) if whole else None,
                str(first["target"]),
                str(first["unit"]),
                min(values) if whole else None,
                max(values) if whole else None,
                note=str(first["note"]),
            )
        )
    return figures


def markdown(figures: list[Figure]) -> str:
    """The figures as a table, targets first."""
    lines = ["| figure | now | target | spread | result |", "|---|---|---|---|---|"]
    for figure in sorted(figures, key=lambda f: not f.target):
        fields = figure.as_json()
        least, most = fields["spread"]  # type: ignore[misc]
        now, spread = f"{fields['value']} {figure.unit}", f"{least} to {most}"
        if figure.state is State.NOT_TRIED:
            now, spread = "", figure.note
        result = "**missed**" if figure.state is State.MISSED else figure.word
        lines.append(f"| {figure.name} | {now} | {figure.target} | {spread} | {result} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and publish."""
    parser = argparse.ArgumentParser(prog="bench.publish", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    runs, where = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for i in range(args.runs):
            print(f"run {i + 1} of {args.runs}", file=sys.stderr)
            command = [sys.executable, "-m", "edge.cli", "bench", "--json", "--out", folder]
            done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
            answer = json.loads(done.stdout)
            runs.append(answer["figures"])
            where = answer["environment"]
    where |= {"runs": args.runs, "command": "python -m bench.publish"}
    figures = merged(runs)
    rows = [figure.as_json() for figure in figures]
    write_atomic(RESULTS, json.dumps({"figures": rows, "environment": where}, indent=2) + "\n")
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    machine = ", ".join(f"{k} {v}" for k, v in where.items() if k not in ("packages", "missing"))
    write_atomic(PAGE, f"{before}{_BEGIN}\n{markdown(figures)}\n\n{machine}.\n{_END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
