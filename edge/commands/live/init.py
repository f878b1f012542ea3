"""`framegate init`: a site in one folder, from keys to a configuration, and a first run."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge import isolation
from edge.commands._options import REPEATABLE, Actions, command_words
from edge.commands._output import complain
from edge.commands.live._ask import YES_NO, Asker
from edge.errors import UsageError
from edge.files import read_named
from edge.policy.vocabulary import VOCABULARY
from edge.reasons import Family, Reason
from edge.sandbox.order import Layer

EXAMPLES = """\
examples:
  framegate init till-2 --source 0 --board /dev/ttyACM0 --matcher "venv/bin/python matcher.py"
  framegate init trial --source clip.mp4 --trial --lane verify_1_1 --operator private_business \\
    --jurisdiction EU --public no --consent valid --taking-part yes --matcher "python3 matcher.py"

What is not given is asked for in a terminal; elsewhere everything that is missing is
named at once. A WORD that is not known is answered with the known ones. Facts of law
are never guessed. Nothing is overwritten. The camera must
see the empty place; --trial takes a recording with people in it, and is for recordings.
Afterwards the guard runs for some seconds and says whether frames pass, and if not, why.
"""
_DEFAULT_GALLERY = {"verify_1_1": "self_only", "detect": "none", "redact": "none"}
_TRY_S = 12.0


def register(commands: Actions) -> None:
    parser = commands.add(
        "init",
        "set up a new site: keys, records, view and configuration",
        run,
        description="Make a folder with all that a daemon needs: keys, both signed records, the "
        "enrolled view and guard.toml; check a first run; say what to do next.",
        epilog=EXAMPLES,
        pictures=True,
    )
    parser.path("folder DIR", "folder to make; its name is the site")
    parser.text("--source SOURCE", "the camera: index, device, address, pipeline or file")
    for name, key, what in _WORDS:
        parser.choice(f"--{name}", what, VOCABULARY[key], metavar="WORD")
    parser.text("--jurisdiction PLACE", "such as EU, FR, US-OR")
    parser.choice("--public", "whether anybody may enter the place", YES_NO)
    parser.choice("--taking-part", "whether people come to the camera on purpose", YES_NO)
    parser.text("--matcher CMD", "command that reads the released frames")
    parser.text("--board PORT", "serial port of the board")
    parser.text("--dock ID", "number of the dock (D-0017)", default="D-0017")
    parser.number("--dwell-s DWELL_S", "the dwell: seconds before a permit, 1 to 30 (3)", 3.0)
    parser.flag(
        "--trial", "for a trial: enrol a recording by the lower limits, leave people in it out"
    )
    parser.flag(
        "--virtual-board", "for a trial with a camera: no real board, so its sensors prove nothing"
    )
    parser.choice(
        "--without LAYER",
        "a layer of the sandbox that this machine lacks and you do without (repeatable)",
        tuple(layer.value for layer in Layer),
        **REPEATABLE,
    )
    parser.flag("--unkept-clock", "no time service keeps this machine's clock")
    parser.flag("--no-run", "skip the first run")


_WORDS = (
    ("lane", "operation", "what the matcher does, such as verify_1_1"),
    ("gallery", "gallery", "whom it compares with (verify_1_1: self_only)"),
    ("operator", "user", "who operates the device, such as private_business"),
    ("by-or-for", "by_or_for", "by or for the police, or neither (neither)"),
    ("consent", "consent", "of the people in front of it, such as valid"),
)


def run(args: argparse.Namespace) -> int:
    """Make the site; 1 if it stands but a start would fail, 2 if nothing was made."""
    from edge.commissioning.new_site import coverage, make_site, refuse_existing
    from edge.daemon.check import problems

    refuse_existing(args.folder)
    answers = _answers(args)
    print(f"looking at {answers.source} and making {args.folder} ...", flush=True)
    site = make_site(args.folder, answers)
    print("the enrolled view, as it lies in the picture (# has lasting contrasts):")
    print("\n".join(f"  {row}" for row in coverage(site.view)))
    print(f"made keys, device.toml, session.toml, camera.view and guard.toml in {site.folder}")
    found = problems(site.config)
    for line in found:
        complain(line)
    if not found and not args.no_run:
        print(_first_run(site.config), flush=True)
    print(f"next: framegate daemon --config {shlex.quote(str(site.config))}")
    print(f"  keep {site.folder / 'keys' / 'record.key'} off the device; `keys sign` needs it")
    return 1 if found else 0


def _answers(args: argparse.Namespace) -> Any:
    """The answers given, and those asked for.

    Raises:
        UsageError: a value is missing without a terminal to ask on, or an answer is not allowed.
    """
    from edge.cameras.source import parse_source
    from edge.commissioning.new_site import Answers
    from edge.commissioning.records import DWELL_S
    from edge.sandbox.spec import check_script
    from firmware_bridge.virtual.sensors import DOCK_ID_SIZE

    ask = Asker(args, sys.stdin.isatty() and sys.stdout.isatty())
    source = ask.text("source", "the camera (index, device, address, pipeline or file)")
    lane = ask.word("lane", VOCABULARY["operation"], "what does the matcher do")
    gallery = (
        args.gallery
        or _DEFAULT_GALLERY.get(lane)
        or ask.word("gallery", VOCABULARY["gallery"], "whom does it compare with")
    )
    operator = ask.word("operator", VOCABULARY["user"], "who operates the device")
    jurisdiction = ask.known_place("jurisdiction", "where does it stand (EU, FR, US-OR, ...)")
    public = ask.word("public", YES_NO, "may anybody enter the place")
    consent = ask.word("consent", VOCABULARY["consent"], "the consent of those in front of it")
    taking_part = ask.word("taking_part", YES_NO, "do people come to the camera on purpose")
    live = bool(source) and parse_source(source).live
    board = "virtual"
    if live and not args.virtual_board:
        board = args.board or ask.text("board", "serial port of the board")
    ask.finish()
    without = _without(args, ask)
    matcher = _rooted(command_words("--matcher", args.matcher))
    if matcher:
        check_script(tuple(matcher), None)
    if not DWELL_S[0] <= args.dwell_s <= DWELL_S[1]:
        raise UsageError(
            f"--dwell-s: expected {DWELL_S[0]:g} to {DWELL_S[1]:g}, got {args.dwell_s:g}"
        )
    if not 0 < len(args.dock) <= DOCK_ID_SIZE or not args.dock.isascii():
        raise UsageError(
            f"--dock: expected 1 to {DOCK_ID_SIZE} ASCII characters, as the dock's chip holds, "
            f"got {args.dock!r}"
        )
    if args.trial and live:
        raise UsageError("--trial is for recordings: a camera must see the empty place")
    return Answers(
        source=source,
        site=args.folder.absolute().name,
        lane=lane,
        gallery=gallery,
        operator=operator,
        by_or_for=args.by_or_for or "neither",
        jurisdiction=jurisdiction,
        public=public == "yes",
        consent=consent,
        taking_part=taking_part == "yes",
        board=args.board or board,
        dock_id=args.dock,
        dwell_s=args.dwell_s,
        matcher=tuple(matcher),
        without=without,
        virtual_board=args.virtual_board,
        trial=args.trial,
        unkept_clock=args.unkept_clock,
    )


def _without(args: argparse.Namespace, ask: Asker) -> tuple[str, ...]:
    """The layers of the matcher's sandbox that a person goes without, by option or answer.

    Raises:
        UsageError: one is missing, and nobody says so.
    """
    from edge.sandbox.spec import missing

    given = tuple(args.without)
    lacking = {} if not args.matcher else {k.value: why for k, why in missing().items()}
    short = {name: why for name, why in lacking.items() if name not in given}
    if all(
        ask.agreed(f"{why}. Go without {name}, in the signed record") for name, why in short.items()
    ):
        return (*given, *short)
    options = " ".join(f"--without {name}" for name in short)
    raise UsageError(
        f"{'; '.join(short.values())}. Nothing was made. Start as a user who can, or, for a record "
        f"that goes without: {options}"
    )


def _rooted(command: Sequence[str]) -> list[str]:
    """A command whose files are named by whole paths: the daemon starts elsewhere."""
    if not command:
        return []
    first, *rest = command
    return [
        _interpreter(first),
        *(str(Path(p).absolute()) if Path(p).exists() else p for p in rest),
    ]


def _interpreter(program: str) -> str:
    """The program itself; where `python` is a script that picks one, the one that it picks."""
    from edge.sandbox.spec import program_of

    found = program_of((program,))
    if Path(found).name.startswith("python") and read_named(Path(found), 2) == b"#!":
        command = [found, "-c", "import sys; print(sys.executable)"]
        names = isolation.environment()
        asked = subprocess.run(command, env=names, capture_output=True, text=True, timeout=20)
        answer = asked.stdout.strip()
        return answer or found
    return found


def _first_run(config: Path) -> str:
    """Run the guard until a frame passes or the time is over; report the result."""
    import time
    from contextlib import closing
    from dataclasses import replace

    from edge.daemon.settings import load_settings
    from edge.files import scratch_folder
    from edge.guard.supervisor import Guard
    from framegate_client import connect

    print(f"a first run, {_TRY_S:g} s at most ...", flush=True)
    began_s = time.monotonic()
    with scratch_folder("framegate-init-") as folder:
        plan = replace(load_settings(config).plan, matcher=(), audit=folder / "audit")
        own = replace(plan, confinement=None)
        with Guard(own, say=lambda line: None) as guard:
            with closing(connect(*guard.environment.values())) as matcher:
                while time.monotonic() - began_s < _TRY_S and not guard.over:
                    guard.turn()
                    if matcher.read(0.0) is not None:
                        return f"frames pass, {time.monotonic() - began_s:.1f} s after the start"
                    if guard.failure is not None:
                        return f"the guard stopped: {guard.failure}"
            recorder = guard.recorder
            reasons = recorder.outlook.reasons if recorder.outlook is not None else ()
            over, dwell_s = guard.over, guard.device.dwell_s
    return _why_none(reasons, over, dwell_s)


def _why_none(reasons: Sequence[Reason], over: bool, dwell_s: float) -> str:
    """Why no frame passed in the first run; `over`: the recording ended in it."""
    if over and Reason.DWELL in reasons and all(r.family is Family.WAITING for r in reasons):
        return (
            "no frame passed: the recording was over before everything had held for the dwell of "
            f"{dwell_s:g} s. Take a longer one; for a trial, --dwell-s can be 1"
        )
    words = "; ".join(f"{r.value}: {r.happened} {r.next_step}" for r in reasons[:3])
    return f"no frame passed yet: {words or 'nothing was decided'}"
