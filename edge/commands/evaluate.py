"""`framegate evaluate`: measure how well the picture alone tells the enrolled place from others."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path

from edge.commands._options import SEVERAL, Actions
from edge.commands._output import answer, say
from edge.errors import UsageError
from edge.policy.shipped import names

EXAMPLES = """\
examples:
  framegate evaluate recordings/                     every figure, as a table
  framegate evaluate recordings/ --out report/       and a page with pictures
  framegate evaluate recordings/ --only kiosk street --splices 0 --json
  framegate evaluate recordings/ --own               how available each own view is
  framegate evaluate recordings/ --masked --out report/   how well the masked lane hides people
  framegate evaluate pictures/ --scene               the scene model on your own empty rooms

The folder holds a MANIFEST.csv: file, kind (video), camera (mobile or
stationary), setting (controlled or uncontrolled), source and, if known, scene
(indoor, outdoor or vehicle) and true_causes (codes of what rightly blocks a
controlled recording: PEOPLE_CROWD where two people are there).
A splice cuts, fades, pans or walks from a view's own recording into another one;
the command counts the frames that a matcher would have received. It also plays
controlled recordings at the default dwell and prints the share of time that passed
and the cause of every blocked second.
With --scene the folder holds pictures in folders named indoor_private,
indoor_public, outdoor_urban, outdoor_nature and vehicle; any of them may be left
out, and a folder below names the site. 75 empty rooms or more of a site also tell
what a limit chosen from 50 of them would move. If there is a MANIFEST.csv of recordings,
they are read once a second as the guard does: a controlled one must never be vetoed.
Each figure is held, missed, reported (it has no goal) or not tried (with the reason).
exit code: 1 if a goal was missed or a recording could not be used, else 0. What was
not tried is no failure; the last line says so.
"""


def register(commands: Actions) -> None:
    parser = commands.add(
        "evaluate",
        "measure how well the picture alone protects",
        run,
        description=__doc__,
        epilog=EXAMPLES,
        pictures=True,
    )
    parser.path("folder", "folder with MANIFEST.csv")
    parser.path("--out DIR", "write figures.json and report.html")
    parser.text("--only WORD", "only recordings whose name contains a WORD", **SEVERAL)
    parser.choice("--pack", "policy (default strict)", names(), default="strict")
    parser.number("--splices N", "number of splices to try (default 1000)", 1000)
    parser.number("--seed SEED", "seed of the random choices (default 1)", 1)
    parser.number(
        "--jobs N",
        "number of processes (default: one a core); the figures stay the same",
        os.cpu_count() or 1,
    )
    parser.flag("--own", "measure availability only: play each view's own recording, forge nothing")
    parser.flag(
        "--masked",
        "play them through the lane view_masked instead: faces covered, by size, frames "
        "flowing, a recogniser's matches where dlib-bin and face_recognition_models are installed; "
        "--out gets masked.json, masked.html and pictures of what was missed",
    )
    parser.flag(
        "--scene",
        "ask the scene model instead: of pictures, a folder a class, what it keeps and takes "
        "of each source and how calibrated it is; of recordings, which are vetoed; --out gets "
        "scene.json",
    )
    parser.flag("--json", "print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print; 1 if a goal was missed or a recording had to be skipped."""
    from edge.commissioning.records import DEFAULT_DWELL_S
    from edge.evaluation.availability import as_json, table
    from edge.evaluation.figures import environment, figures
    from edge.evaluation.manifest import read_manifest
    from edge.evaluation.report.figure import exit_code
    from edge.evaluation.report.page import head_of, render
    from edge.evaluation.report.text import lines
    from edge.evaluation.run import Settings, evaluate
    from edge.models.pull import asset
    from edge.report.record import write_atomic

    if args.splices < 0 or args.jobs < 1 or args.seed < 0:
        raise UsageError("--splices and --seed must be 0 or more, --jobs 1 or more")
    if args.scene:
        return _scene(args)
    clips = read_manifest(args.folder)
    if args.only:
        clips = [c for c in clips if any(word in c.name for word in args.only)]
        if not clips:
            raise UsageError(f"--only {' '.join(args.only)}: no recording has such a name")
    if args.masked:
        return _masked(args, [clip.path for clip in clips])
    settings = Settings(
        asset("centerface.onnx"),
        args.pack,
        args.splices,
        args.seed,
        min(args.jobs, len(clips)),
        args.own,
    )
    found = evaluate(clips, settings, say)
    rows = figures(found, settings.splices, own_only=args.own)
    head = head_of(found, rows, own_only=args.own)
    daily = [(trial.clip, trial.view, trial.availability) for trial in found.daily]
    data = {
        "figures": [row.as_json() for row in rows],
        "availability": as_json(daily, DEFAULT_DWELL_S),
        "environment": environment(),
    }
    if args.out is not None:
        write_atomic(args.out / "report.html", render(found, rows, head))
    why = f"\nWhat blocked an honest user, after a dwell of {DEFAULT_DWELL_S:g} s"
    shown = [*lines(head, rows), why, *table([one for _, _, one in daily]), f"\n{head.found}"]
    _tell(args, "figures", data, shown, found.skipped)
    return exit_code(rows, found.skipped)


def _tell(
    args: argparse.Namespace, name: str, data: object, lines: Iterable[str], skipped: Iterable[str]
) -> None:
    """Print the figures, and what was skipped; they are kept, too, where a folder is named."""
    from edge.report.record import write_atomic

    if args.out is not None:
        write_atomic(args.out / f"{name}.json", json.dumps(data, indent=1) + "\n")
    answer(args, data, lines, indent=1)
    for line in skipped:
        say(f"skipped: {line}")


def _scene(args: argparse.Namespace) -> int:
    """The scene model on pictures and recordings; 1 if a goal was missed or one was unusable."""
    from dataclasses import asdict

    from edge.errors import CameraError
    from edge.evaluation.manifest import read_manifest
    from edge.evaluation.scene import recordings, run
    from edge.evaluation.scene.pictures import CLASSES, gather
    from edge.evidence.faces import FaceBoxes
    from edge.evidence.scene import SceneModel
    from edge.models.pull import asset

    if args.own or args.masked:
        raise UsageError("--scene cannot be joined with --own or --masked")
    wanted = args.only or [""]
    pictures = [p for p in gather(args.folder) if any(word in str(p.path) for word in wanted)]
    listed = (args.folder / "MANIFEST.csv").is_file()
    clips = read_manifest(args.folder) if listed else []
    clips = [clip for clip in clips if any(word in clip.name for word in wanted)]
    if not pictures and not clips:
        raise UsageError(
            f"{args.folder}: expected pictures in folders named {', '.join(CLASSES)}, or a "
            "MANIFEST.csv of recordings, found neither"
        )

    model, played, unusable = SceneModel.load(), [], []
    faces = FaceBoxes(asset("centerface.onnx")) if clips else None
    for number, clip in enumerate(clips, 1):
        say(f"[{number}/{len(clips)}] {clip.name}")
        assert faces is not None
        try:
            played.append(recordings.vetoes(clip, faces, model))
        except CameraError as err:
            unusable.append(f"{clip.name}: {err}")
    found = run.evaluate(pictures, model, say)
    unusable += found.skipped if found is not None else [str(p.path) for p in pictures]
    data = {
        "pictures": None if found is None else found.as_json(),
        "recordings": [asdict(row) for row in played],
    }
    shown = [] if found is None else [*run.lines(found)]
    between = [""] if played and shown else []
    _tell(args, "scene", data, [*recordings.lines(played), *between, *shown], unusable)
    falsely = any(row.controlled and row.vetoed for row in played)
    return 1 if unusable or falsely else 0


def _masked(args: argparse.Namespace, clips: list[Path]) -> int:
    """The masked lane; 1 if a goal was missed or a recording had to be skipped."""
    import cv2

    from edge.evaluation.figures import environment
    from edge.evaluation.masked.adversary import Recogniser, available
    from edge.evaluation.masked.figures import figures
    from edge.evaluation.masked.run import measure
    from edge.evaluation.report.figure import exit_code
    from edge.evaluation.report.masked_page import head_of, render
    from edge.evaluation.report.text import lines
    from edge.files import write_given
    from edge.models.pull import asset
    from edge.policy.engine import Policy
    from edge.report.record import write_atomic

    missing = available()
    recogniser = None if missing else Recogniser()
    policy = Policy.load(args.pack)
    found, skipped = measure(clips, asset("centerface.onnx"), policy, recogniser, say)
    rows = figures(found, missing)
    head = head_of(found, rows, skipped)
    data = {"figures": [row.as_json() for row in rows], "environment": environment()}
    if args.out is not None:
        write_atomic(args.out / "masked.html", render(found, rows, skipped, head))
        for one in found:
            for number, picture in enumerate(one.misses, 1):
                png = cv2.imencode(".png", picture)[1].tobytes()
                write_given(args.out / f"missed-{Path(one.name).stem}-{number}.png", png)
    _tell(args, "masked", data, [*lines(head, rows), f"\n{head.found}"], skipped)
    return exit_code(rows, skipped)
