"""`framegate replay`: judge a recording offline, as if it were a live camera."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge.commands._options import SEVERAL, Actions
from edge.commands._output import answer, say
from edge.policy.shipped import names

if TYPE_CHECKING:
    from edge.report.record import Summary

EXAMPLES = """\
examples:
  framegate replay kiosk.mp4 --device D.toml --session S.toml --telemetry board.csv
  framegate replay street.mp4 --device D.toml --session S.toml --enroll-view kiosk.mp4:2
  framegate replay clip.mp4 --device D.toml --session S.toml --dwell 1 --out out/

The records may be unsigned here, and the result says so. Nothing is ever released.
"""


def register(commands: Actions) -> None:
    parser = commands.add(
        "replay",
        "judge a recording offline, as if it were a live camera",
        run,
        description=__doc__,
        epilog=EXAMPLES,
        pictures=True,
    )
    parser.path("clip", "a video file")
    parser.path("--device DEVICE", "commissioning record, TOML", required=True)
    parser.path("--session SESSION", "session claim, TOML", required=True)
    parser.path(
        "--telemetry TELEMETRY",
        "readings of the board's sensors, CSV; several files are merged by time",
        action="extend",
        **SEVERAL,
    )
    parser.choice("--pack", "policy (default strict)", names(), default="strict")
    parser.number("--dwell S", "dwell in seconds, 1 to 30", type=float)
    parser.text(
        "--enroll-view CLIP[:SECONDS]",
        "enrol the view from the first seconds (default 1) of a clip, with people masked",
    )
    parser.choice(
        "--release",
        "release a frame after later evidence (default), or at once",
        ("bracketed", "immediate"),
        default="bracketed",
    )
    parser.path("--out DIR", "folder for the results")
    parser.flag("--json", "print the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Replay and print the summary; 1 if part of the recording could not be judged."""
    from edge.replay.files import Job, replay

    record = replay(
        Job(
            clip=args.clip,
            device=args.device,
            session=args.session,
            telemetry=tuple(args.telemetry),
            pack=args.pack,
            dwell_s=args.dwell,
            enroll_view=args.enroll_view,
            release=args.release,
            out=args.out,
        ),
        say=say,
    )
    answer(args, record.summary.as_json(), _lines(record.summary), indent=2)
    return 1 if record.summary.recording else 0


def _lines(summary: Summary) -> Iterator[str]:
    """A run's summary for people."""
    yield f"{summary.frames} frames: {summary.passed} passed, {summary.blocked} blocked"
    if summary.recording:
        yield f"not all of the recording was judged: {summary.recording}"
    for reason, count in summary.blocked_by_reason.items():
        yield f"  {count:6}  {reason.value}"
    if summary.first_pass_s is not None:
        yield f"first frame passed at {summary.first_pass_s:.2f} s (dwell {summary.dwell_s:g} s)"
