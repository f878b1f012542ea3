"""`framegate run`: the guard in the foreground."""

from __future__ import annotations

import argparse
import contextlib
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.commands._options import REPEATABLE, Actions, command_words
from edge.commands._output import complain, say
from edge.errors import UsageError
from edge.files import write_whole
from edge.policy.shipped import names
from edge.scheduling import MAX_START_LIMIT_S, MIN_START_LIMIT_S, START_LIMIT_S

if TYPE_CHECKING:
    from edge.guard.plan import Plan
    from edge.lease import Lane

EXAMPLES = """\
examples:
  framegate run --source 0 --device D.toml --session S.toml --board /dev/ttyACM0 \
    --matcher 'python match.py'
  framegate run --source kiosk.mp4 --pace real --device D.toml --session S.toml
  framegate run --source 0 --device D.toml --session masked.toml --sink mjpeg
  framegate run --source 0 --device D.toml --session S.toml --matcher 'python match.py' \
    --also counting.toml 'python count.py'

The records must be signed (`framegate keys sign`). CMD runs in a sandbox: its own
user, no network, few system calls, and only its program's files. Without --matcher,
the guard prints the name of a file. That file holds what one matcher needs to
connect; after a matcher connected, it holds what the next one needs.
"""


def register(commands: Actions) -> None:
    parser = commands.add(
        "run",
        "run the guard in the foreground",
        run,
        description="Run the guard in the foreground, with signed records, until ^C or the end.",
        epilog=EXAMPLES,
        pictures=True,
    )
    parser.text(
        "--source SOURCE",
        "V4L2 index or device, picamera2:N, a URL, gst:PIPELINE, or a video file",
        required=True,
    )
    parser.path("--device DEVICE", "signed commissioning record", required=True)
    parser.path("--session SESSION", "signed session claim", required=True)
    parser.text(
        "--board BOARD",
        "serial port; virtual (default) needs a recording or a signed record that allows it",
        default="virtual",
    )
    parser.text("--matcher CMD", "command that reads the released frames")
    parser.text(
        "--also",
        "one more matcher on this camera, with a signed session claim of its own in a lane "
        "that does not identify; its results go to OUT/also/NAME, NAME being SESSION's without "
        "its ending (repeatable)",
        nargs=2,
        metavar=("SESSION", "CMD"),
        **REPEATABLE,
    )
    parser.path(
        "--matcher-read PATH",
        "a file or folder the matcher may read besides its program (repeatable)",
        **REPEATABLE,
    )
    parser.path(
        "--matcher-write DIR",
        "a folder the matcher may write to; without it, none (repeatable)",
        **REPEATABLE,
    )
    parser.path("--matcher-cwd DIR", "the folder the matcher starts in (default: this one)")
    parser.text(
        "--matcher-env NAME=TEXT",
        "an environment variable for the matcher only (repeatable)",
        type=_variable,
        **REPEATABLE,
    )
    parser.text(
        "--results TARGET",
        "where to send the matcher's results: stdout, or unix:PATH of a datagram socket",
        default="",
        type=_target,
    )
    parser.choice(
        "--sink",
        "in the lane view_masked: show the frames in a browser on this machine, or write "
        "OUT/sink/masked.mp4, by a program in the sandbox",
        ("mjpeg", "mp4"),
    )
    parser.number("--sink-port PORT", "of --sink mjpeg, on loopback (default 8377)", 8377)
    parser.path("--keys KEYS", "key store (default ~/.config/framegate)")
    parser.text(
        "--pack NAME|BUNDLE",
        f"{', '.join(names())}, the name of the installed bundle's pack, or the path of a "
        "bundle signed by the keys trusted in --policy (default strict)",
        default="strict",
    )
    parser.path(
        "--policy DIR",
        "where the policy bundle is installed (default ~/.local/state/framegate/policy)",
    )
    parser.path(
        "--desk DIR",
        "consent inbox: a folder for receipts, authorisations, claims, withdrawals and "
        "opt-outs; consent then needs a receipt",
    )
    parser.choice(
        "--release",
        "release a frame after later evidence (default), or at once",
        ("bracketed", "immediate"),
        default="bracketed",
    )
    parser.text(
        "--start-limit S",
        "seconds that each process and the camera have to be ready (default 30, 10 to 600); "
        "more on a slow device",
        type=_start_limit_s,
        default=START_LIMIT_S,
    )
    parser.choice("--pace", "how a file is played: in real time", ("real",), default="real")
    parser.path("--out OUT", "folder for log and results", default=Path("framegate-out"))


def _start_limit_s(text: str) -> float:
    try:
        given = float(text)
    except ValueError:
        given = 0.0
    if not MIN_START_LIMIT_S <= given <= MAX_START_LIMIT_S:
        raise argparse.ArgumentTypeError(
            f"expected {MIN_START_LIMIT_S} to {MAX_START_LIMIT_S} seconds, got {text!r}"
        )
    return given


def run(args: argparse.Namespace) -> int:
    """Run until the stream ends or ^C.

    1 after a loss, an escape attempt, a log that could not be written or a damaged recording.
    """
    from edge.cameras.source import parse_source
    from edge.commissioning.records import load_session
    from edge.guard.live_feed import Feed
    from edge.guard.plan import VIRTUAL, Plan, share
    from edge.guard.results import finish_run
    from edge.guard.run_log import RunLog
    from edge.guard.supervisor import Guard
    from edge.reasons import Reason
    from edge.report.live import Live
    from edge.sandbox.spec import Confinement
    from edge.sink.plan import with_sink
    from firmware_bridge.port import expect_port

    plan = Plan(
        source=args.source,
        device=args.device,
        session=args.session,
        keys=args.keys,
        board=args.board,
        matcher=command_words("--matcher", args.matcher),
        confinement=Confinement(
            reads=tuple(args.matcher_read),
            writes=tuple(args.matcher_write),
            cwd=args.matcher_cwd,
            env=tuple(args.matcher_env),
        ),
        results=args.results,
        pack=args.pack,
        policy=args.policy,
        release=args.release,
        start_limit_s=args.start_limit,
        inbox=args.desk,
        audit=args.out / "audit",
    )
    if args.sink:
        plan = with_sink(plan, args.sink, load_session(args.session), args.out / "sink")
    plan = share(plan, [_another(plan, args.out, *given) for given in args.also])
    guard = Guard(plan, say=say)
    if guard.session.operation.identifying and plan.board != VIRTUAL:
        expect_port(plan.board)  # a daemon waits for its board; who sits here plugs it in
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    with Live() as live, guard, _shown(args, guard.session.operation):
        live.scene(f"{parse_source(args.source).shown}, lane {guard.session.operation.value}")
        token = guard.token
        if not plan.matcher:
            say(f"a matcher connects with the values in {_environment_file(args.out, guard)}")
        feed = Feed(live)
        log = RunLog(args.out)
        others = [(other, RunLog(args.out / "also" / other.plan.name)) for other in guard.others]
        try:
            while not guard.over and guard.failure is None and not stopped:
                guard.turn()
                feed.show(guard.recorder)
                log.keep_up(guard.recorder)
                for other, its_log in others:
                    its_log.keep_up(other.recorder)
                if guard.token != token and not plan.matcher:  # spent: the next one needs another
                    token = guard.token
                    _environment_file(args.out, guard)
        except KeyboardInterrupt:
            stopped.append(signal.SIGINT)
        if guard.over:
            guard.run()
    summary = finish_run(guard, args.out, log)
    print(f"{summary.frames} frames: {summary.passed} released, {summary.blocked} blocked")
    runs = [(plan.audit, summary)]
    for other, its_log in others:
        its = finish_run(other, args.out / "also" / other.plan.name, its_log)
        runs.append((other.plan.audit, its))
        named = f"matcher {other.plan.name}, lane {other.session.operation.value}"
        print(f"{named}: {its.frames} frames: {its.passed} released, {its.blocked} blocked")
    if guard.failure is not None:
        return complain(f"{guard.failure}; everything is blocked")
    escaped = [one for one in (guard, *guard.others) if one.matcher.escaped]
    for one in escaped:
        named = f"matcher {one.plan.name}" if one.plan.name else "matcher"
        complain(
            f"{Reason.MATCHER_ESCAPE_ATTEMPT.value}: the {named} tried: "
            f"{one.matcher.attempt}; it was ended and everything was blocked"
            + (" for it" if guard.others else "")
        )
    if escaped:
        return 1
    for (audit, its), one in zip(runs, (guard, *guard.others), strict=True):
        if one.unrecorded:
            return complain(
                f"{Reason.AUDIT_UNAVAILABLE.value}: the audit log in {audit} did not take its last "
                "entry, which counts the frames"
            )
        if Reason.AUDIT_UNAVAILABLE in its.blocked_by_reason:
            return complain(
                f"{Reason.AUDIT_UNAVAILABLE.value}: the audit log in {audit} could not always be "
                "written; frames were blocked meanwhile"
            )
    if plan.matcher and not summary.passed and Reason.MATCHER_LOST in summary.blocked_by_reason:
        return complain("the matcher was never connected while frames passed")
    if summary.recording:
        return complain(f"not all of the recording was judged: {summary.recording}")
    return 0


def _another(plan: Plan, out: Path, session: str, command: str) -> Plan:
    """One more matcher on the camera of `plan`, named by its session's file."""
    from edge.sandbox.spec import Confinement

    name, words = Path(session).stem, command_words(f"--also {session}", command)
    if not words:
        raise UsageError(f"--also {session}: expected a command, got none")
    return replace(
        plan,
        name=name,
        session=Path(session),
        matcher=words,
        confinement=Confinement(),
        results="",
        audit=out / "also" / name / "audit",
    )


@contextlib.contextmanager
def _shown(args: argparse.Namespace, lane: Lane) -> Iterator[None]:
    """While this lasts a browser may look, if asked for; `lane` is the signed record's."""
    if args.sink and not lane.masked:
        raise UsageError(f"--sink: the signed session is {lane.value}, expected view_masked")
    if args.sink != "mjpeg":
        yield
        return
    from edge.sink.server import start

    server = start(args.out / "sink", args.sink_port)
    say(f"sink: http://127.0.0.1:{args.sink_port}/ shows the masked view")
    try:
        yield
    finally:
        server.end()


def _variable(given: str) -> tuple[str, str]:
    from edge.sandbox.spec import check_variable

    name, equals, text = given.partition("=")
    try:
        check_variable(name if equals else "", text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"expected NAME=TEXT, got {given!r}") from err
    return name, text


def _target(value: str) -> str:
    from edge.sandbox.result_relay import ALLOWED, result_target

    try:
        return result_target(value, Path.cwd())
    except ValueError as err:
        raise argparse.ArgumentTypeError(f"expected {ALLOWED}, got {value[:60]!r}") from err


def _environment_file(out: Path, guard: Any) -> Path:
    """Write what the next matcher needs to connect where only this user can read it."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "matcher.env"
    lines = (f"{key}={value}\n" for key, value in guard.environment.items())
    write_whole(path, "".join(lines).encode(), 0o600)
    return path
