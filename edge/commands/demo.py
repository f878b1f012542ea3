"""`framegate demo`: the whole product on real footage."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.commands._options import Actions
from edge.commands._output import complain

EXAMPLES = """\
examples:
  framegate demo                 six scenes, a table, and report.html
  framegate demo --out shown/    keep the results in a folder of your choice

The exit code is 0 only if every scene ended as expected.
"""


def register(commands: Actions) -> None:
    parser = commands.add(
        "demo",
        "show the whole product on real footage",
        run,
        description="Play real clips through the real guard into a matcher that counts.",
        epilog=EXAMPLES,
        pictures=True,
    )
    parser.path("--out OUT", "folder for the results (out/demo)", default=Path("out/demo"))


def run(args: argparse.Namespace) -> int:
    """Run every scene and print the table; 1 if any did not do what it must."""
    from rich.console import Console

    from edge.commands._demo_scenes import run_demo
    from edge.files import scratch_folder
    from edge.report.live import Live, result_table
    from edge.report.page import write_report

    console = Console(highlight=False)
    with scratch_folder("framegate-demo-") as scratch:
        with Live(console) as live:
            records = run_demo(scratch, live, say=lambda line: None)
        console.print(result_table(records))
        write_report(args.out / "report.html", records)
    console.print(f"report: {args.out / 'report.html'}")
    wrong = [record for record in records if not record.ok]
    for record in wrong:
        complain(f"{record.name}: {' '.join(record.notes)}")
    return 1 if wrong else 0
