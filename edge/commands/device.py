"""`framegate device`: the guard on an emulated 64-bit ARM computer, with an emulated board."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edge.commands._options import REPEATABLE, Actions, Options
from edge.commands._output import needing, say
from edge.errors import UsageError

EXAMPLES = """\
examples:
  framegate device test                                   doctor, replay, tests, board duties
  framegate device test --machine pi-5-class --all        16 KiB pages; every demo clip
  framegate device test --only power-cut                  one chapter (repeatable)
  framegate device test --short --clips site/recordings   replay clips of your own, too
  framegate device run --machine zero-2w-class -- doctor  any framegate command, inside
  framegate device shell                                  a shell inside; `exit` turns it off
  framegate device speed --gips 1 --gips 2 --rate 15      how fast a device must be (minutes each)

The first start fetches packages and wheels and takes some minutes; later ones use what is
built. Needs a checkout, Linux, qemu-system-arm, and what `pip install 'framegate[test]'`
installs. Times of an emulated device say nothing about a real one; `speed` counts instructions
instead, and takes minutes for each speed.

exit code: `test` 1 if a line does not hold, `speed` 1 if a run released no frame, `run` that of its
command; 2 if nothing could be started; else 0.
"""


def register(subparsers: Actions) -> None:
    actions = subparsers.add_group(
        "device",
        "run the guard on an emulated ARM computer",
        description="Run the guard on an emulated 64-bit ARM computer. `pi-4-class` has 4 KiB "
        "pages, `pi-5-class` 16 KiB pages, `zero-2w-class` 512 MiB of memory.",
        epilog=EXAMPLES,
    )
    common = Options.shared()
    common.text(
        "--machine NAME", "pi-4-class (default), pi-5-class or zero-2w-class", default="pi-4-class"
    )
    common.path("--cache DIR", "folder for what is built (default ~/.cache/framegate/arm64)")
    common.text("--mirror URL", "Debian mirror (default: the one this machine's apt uses)")
    out = Options.shared()
    out.path(
        "--out DIR",
        "folder for logs and results; the class's folder in it is emptied (default out/arm64)",
        default=Path("out/arm64"),
    )

    test = actions.add("test", "run the suite inside, print a table", _test, parents=[common, out])
    test.flag("--all", "every demo clip, every chapter, more tests")
    test.flag("--short", "doctor, one replay, the board's duties")
    test.path(
        "--clips DIR",
        "replay also this folder's avi, mkv, mov, mp4 and webm files (3 to 5 minutes each)",
    )
    test.number("--seconds S", "replay so much of each clip's beginning (default 1.5)", 1.5)
    test.text(
        "--only CHAPTER",
        "this chapter and nothing else, such as power-cut (repeatable; an unknown name prints all)",
        **REPEATABLE,
    )
    test.flag("--json", "print JSON")

    run = actions.add(
        "run",
        "run one framegate command inside, without a board, print its output",
        _run,
        parents=[common, out],
    )
    run.text("arguments ARGUMENT", "after `--`: the command", nargs="+")

    speed = actions.add(
        "speed",
        "run the whole guard at known speeds, say whether frames flow",
        _speed,
        parents=[common, out],
        description="Run the whole guard in virtual time: the device executes a known number of "
        "instructions a second, however slow this host is. It has no caches, and its memory costs "
        "nothing.",
        epilog="example: framegate device speed --gips 1 --gips 2 --rate 15 --runs 5",
    )
    speed.text(
        "--gips N",
        "billion instructions a second, of all cores together: 0.25, 0.5, 1, 1.5, 2, 2.5, 3 "
        "or 4 (default 1; repeatable)",
        type=float,
        action="append",
    )
    speed.number("--cores N", "cores, which take turns, 1 to 8 (default 1)", 1)
    speed.text(
        "--rate HZ",
        "frames a second of the clip, 5 to 60 (default 15; repeatable)",
        type=int,
        action="append",
    )
    speed.number("--seconds S", "length of the clip, 4 to 60 (default 10)", 10)
    speed.number("--runs N", "runs at each speed, 1 to 20 (default 1)", 1)
    speed.flag("--json", "print JSON")

    actions.add("shell", "work inside by hand", _shell, parents=[common])


def _checkout() -> AbstractContextManager[None]:
    """What is imported within is in a checkout, and not in what is installed."""
    return needing("device: expected a checkout of framegate")


def _built(args: argparse.Namespace) -> Any:
    """The machine and what it starts from; builds what is missing."""
    with _checkout():
        from bench.device import host, machines
        from bench.device.image import recipe
        from bench.device.image.build import Builder
        from bench.device.image.cache import Cache
    from edge.models.pull import assets_dir

    # so that nothing is left in /tmp, and no emulator
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    machine = machines.machine(args.machine)
    folder = args.cache or assets_dir() / "arm64"
    mirror = None if args.mirror is None else recipe.checked_mirror(args.mirror)
    builder = Builder(Cache(folder, say), mirror)
    found = host.look(folder)
    if lack := host.lacking(found, machine, built=builder.built(machine.pages)):
        raise UsageError(lack)
    return machine, builder.build(machine.pages)


def _test(args: argparse.Namespace) -> int:
    if args.only:
        if args.all or args.short or args.clips:
            raise UsageError("device test: expected --only without --all, --short and --clips")
        return _chapters(args)
    if args.all and args.short:
        raise UsageError("device test: expected --all or --short; got both")
    if not 0 < args.seconds < math.inf:
        raise UsageError(f"device test: expected --seconds above 0; got {args.seconds:g}")
    machine, built = _built(args)
    from bench.device import boot, chapters, replays, suite

    out = args.out / machine.name
    boot.emptied(out)
    clips = replays.clips_in(args.clips) if args.clips else {}
    assets = boot.assets(None)
    clips |= {name: assets[name] for name in replays.demo_clips(every=args.all)}
    with TemporaryDirectory(prefix="framegate-clips-") as folder:
        copies = replays.copied(clips, Path(folder), args.seconds, say)
        clips |= {copy.path.name: copy.path for copy in copies.values()}
        pictures = {c.path.name: (name, c.sha256, c.smaller) for name, c in copies.items()}
        views = replays.views_in({copy.path.name: copy.path for copy in copies.values()})
        what = {"tests": not args.short, "board": True, "every": args.all}
        rows = suite.suite(list(pictures), **what, copied=pictures, views=views)
        # first: who edits the working copy meanwhile would have the host run other code
        ours = replays.host_decisions(rows, clips, views, args.out, say)
        say(f"{machine.name}: starting")
        ended = boot.run(machine, built, rows, out, say, clips=clips)
    lines = suite.judge(rows, ended.report, ended.logs(), ours)
    if args.all:
        rig = chapters.Rig(machine, built, out / "chapters", say)
        lines += [line for work in chapters.CHAPTERS.values() for line in work(rig)]
    seen = ended.report
    title = (
        f"{machine.name}: {machine.cpu}, {seen['cores']} cores, {machine.memory_mib} MiB, "
        f"{seen['page_bytes'] // 1024} KiB pages, Linux {seen['kernel']}, "
        f"Python {seen['python']}, up after {seen['boot_s']:g} s"
    )
    _tell(args, out, _result(machine.name, lines, seen), lambda: suite.table(title, lines))
    return 0 if all(line.holds for line in lines) else 1


def _tell(args: argparse.Namespace, out: Path, data: object, table: Callable[[], str]) -> None:
    """Keep the result, and print it as data or as a table."""
    from edge.report.record import write_atomic

    text = json.dumps(data, indent=1)
    write_atomic(out / "result.json", text)
    print(text if args.json else table())


def _chapters(args: argparse.Namespace) -> int:
    """Run single chapters; one table of all their lines."""
    with _checkout():
        from bench.device import chapters, suite
    names = chapters.chosen(args.only)
    machine, built = _built(args)
    rig = chapters.Rig(machine, built, args.out / machine.name / "chapters", say)
    lines = [line for name in names for line in chapters.CHAPTERS[name](rig)]
    title = f"{machine.name}: {machine.cpu}, {machine.memory_mib} MiB, {', '.join(names)}"
    _tell(args, rig.out, _result(machine.name, lines, {}), lambda: suite.table(title, lines))
    return 0 if all(line.holds for line in lines) else 1


def _speed(args: argparse.Namespace) -> int:
    """Run each speed; exit code 0 if frames flowed in every run."""
    with _checkout():
        from bench.device import speed, virtual
    wanted = speed.cells(args.gips or [1.0], args.cores, args.rate or [15], args.seconds, args.runs)
    if lack := virtual.lacking(args.cores, virtual.version()):
        raise UsageError(lack)
    machine, built = _built(args)
    out = args.out / machine.name / "speed"
    measured = [(cell, speed.measure(machine, built, cell, out, say)) for cell in wanted]
    data = [speed.result(machine.name, cell, runs) for cell, runs in measured]
    _tell(args, out, data, lambda: speed.table(measured))
    return 0 if all(run.flows for _, runs in measured for run in runs) else 1


def _result(name: str, lines: Any, device: Any) -> dict[str, Any]:
    rated = [
        {"name": x.name, "holds": x.holds, "found": x.found, "took_s": x.took_s} for x in lines
    ]
    return {"class": name, "device": device, "lines": rated}


def _run(args: argparse.Namespace) -> int:
    machine, built = _built(args)
    from bench.device import boot, suite

    row = suite.Row(suite.Kind.COMMAND, "command", ("framegate", *args.arguments))
    ended = boot.run(machine, built, [row], args.out / machine.name, say)
    came = ended.report["rows"][0]
    print(ended.logs()[came["log"]], end="")
    return came["code"] if isinstance(came["code"], int) else 1


def _shell(args: argparse.Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("expected a terminal; use `framegate device run -- COMMAND` without one")
    machine, built = _built(args)
    from bench.device import boot

    say(f"{machine.name}: starting; the board is at /dev/ttyS0, `exit` turns the device off")
    return boot.shell(machine, built)
