"""`framegate board`: look at, test and provision the companion board."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands._options import Actions, Options
from edge.commands._output import answer
from edge.errors import BridgeError, UsageError, failing, wrong_in

if TYPE_CHECKING:
    from firmware_bridge.checks.duties import Result
    from firmware_bridge.checks.figures import Figure
    from firmware_bridge.checks.harness import Harness
    from firmware_bridge.checks.rigs import Rig

EXAMPLES = """\
examples:
  framegate board status --port /dev/ttyACM0         what the board says of itself
  framegate board test --port /dev/ttyACM0           every duty, as a table
  framegate board test --emulated --rounds 100       the ARM image in QEMU, with figures
  framegate board cost                               instructions, flash, RAM
  framegate board provision --platform rp2040        write the key file for its flash tool
"""
ANSWER_MS = 3000


def register(subparsers: Actions) -> None:
    actions = subparsers.add_group(
        "board",
        "look at, test and provision the companion board",
        description="Look at, test and provision the companion board and its interlock.",
        epilog=EXAMPLES,
    )
    keys = Options.shared()
    keys.path("--keys DIR", "key store with board.key")

    status = actions.add("status", "print the board's state", _status, parents=[keys])
    status.text("--port PORT", "serial port of the board", required=True)
    status.flag("--json", "print JSON")

    test = actions.add(
        "test", "test everything the board must do, print a table", _test, parents=[keys]
    )
    where = test.one_of()
    where.text("--port PORT", "serial port of a real board")
    where.flag("--emulated", "the ARM image in QEMU")
    where.flag("--process", "the firmware as a process")
    test.number("--rounds N", "measure each figure N times", 0)
    test.flag("--json", "print JSON")

    cost = actions.add(
        "cost", "measure the firmware's instructions and bytes, and the bridge's time", _cost
    )
    cost.flag("--json", "print JSON")

    provision = actions.add(
        "provision", "write the key file for the board's own flash tool", _provision, parents=[keys]
    )
    provision.choice("--platform", "the kind of board", ("rp2040", "lm3s6965"), required=True)
    provision.path("--out FILE", "default board-key.uf2 or .bin")
    provision.flag("--flash", "run the flash tool as well")


def _root(args: argparse.Namespace) -> bytes:
    from edge.commissioning.keys import KeyStore

    return KeyStore.open(args.keys).board_key()


def _status(args: argparse.Namespace) -> int:
    from firmware_bridge.checks.harness import Harness
    from firmware_bridge.checks.rigs import PortRig
    from firmware_bridge.payloads import BOARDS

    harness = Harness(PortRig(args.port), _root(args))
    try:
        _require_answer(harness)
        greeting, status = harness.session.greeting, harness.status
        assert greeting is not None
        sample = harness.samples[-1] if harness.samples else None
    finally:
        harness.close()
    rows = {
        "port": args.port,
        "board": BOARDS.get(greeting.board, "?"),
        "firmware": greeting.firmware.hex(),
        "interlock": "permits" if status.permitted else "inhibits",
        "decision": status.decision,
        "fault": status.fault.name,
        "objects": _objections(status.veto),
        "dock": None if sample is None else sample.dock_id,
        "refused": status.refused,
        "noise": status.noise,
        "uptime_s": round(status.t_us / 1e6, 1),
    }
    shown = {k: ", ".join(v) if isinstance(v, list) else v for k, v in rows.items()}
    answer(args, rows, (f"{name:10} {value}" for name, value in shown.items()), indent=2)
    return 0


def _objections(bits: int) -> list[str]:
    from firmware_bridge.virtual.sensors import Veto

    return [str(veto.name) for veto in Veto if bits & veto]


def _require_answer(harness: Harness) -> None:
    """Wait for the link; if none comes, say in one line which of the causes it is."""
    from edge.reasons import Reason
    from firmware_bridge.strangers import speaks

    def up() -> bool:
        return harness.session.up(harness.clock.now_ns())

    if harness.pump(ANSWER_MS, up):
        harness.pump(100)
        return
    troubles = harness.session.troubles(harness.clock.now_ns())
    port = harness.rig.port
    if Reason.LINK_KEY in troubles:
        raise BridgeError(f"{port}: the board has another key; run `framegate board provision`")
    if Reason.LINK_VERSION in troubles:
        raise BridgeError(f"{port}: the board speaks another version; update the older of the two")
    if found := speaks(harness.session.tail, harness.sent):
        raise BridgeError(f"{port}: not a board, it speaks {found}")
    raise BridgeError(f"{port}: nothing answers; is it a board, with power, and provisioned?")


def _test(args: argparse.Namespace) -> int:
    from firmware_bridge.checks import duties as checks
    from firmware_bridge.checks import figures
    from firmware_bridge.checks.harness import Harness

    if args.rounds < 0:
        raise UsageError(f"--rounds is {args.rounds}, expected 0 or more")
    root = _root(args) if args.port else bytes(range(32))
    with tempfile.TemporaryDirectory(prefix="framegate-board-") as folder:
        rig = _rig(args, Path(folder), root)
        try:
            harness = Harness(rig, root)
            try:
                _require_answer(harness)
            finally:
                harness.close()
            results = []
            for name, check, needs in checks.CHECKS:
                results.append(checks.run(name, check, needs, rig, root))
                if not args.json:
                    print(_row(results[-1]), flush=True)
            measured = _figures(args, rig, root) if args.rounds else []
        finally:
            rig.close()
    failed = [result for result in results if result.failure]
    passed = [result for result in results if not result.failure and not result.skipped]
    counted = figures.Figure("duties failed", len(failed), 0, "checks", not failed)
    measured = [counted, *measured]
    if args.json:
        print(json.dumps(figures.report(measured, board=rig.name, rounds=args.rounds), indent=2))
    else:
        for figure in measured[1:]:
            print(_line(figure))
        skipped = len(results) - len(passed) - len(failed)
        print(f"{len(passed)} passed, {len(failed)} failed, {skipped} cannot be run on this rig")
    return 0 if all(figure.holds for figure in measured) else 1


def _cost(args: argparse.Namespace) -> int:
    from firmware_bridge.checks import cost, figures

    with tempfile.TemporaryDirectory(prefix="framegate-board-") as folder:
        found = cost.measure(Path(folder))
    answer(args, figures.report(found), map(_line, found), indent=2)
    return 0 if all(figure.holds for figure in found) else 1


def _line(figure: Figure) -> str:
    target = "" if figure.target is None else f"   target {figure.target} {figure.unit}"
    return f"{figure.name:36} {figure.value:>8} {figure.unit}{target}"


def _figures(args: argparse.Namespace, rig: Rig, root: bytes) -> list[Figure]:
    from firmware_bridge.checks import figures
    from firmware_bridge.checks.harness import CheckFailed
    from firmware_bridge.emulated.lm3s6965 import Emulator

    with wrong_in(f"{rig.port}: cannot measure", CheckFailed, as_=BridgeError):
        found = figures.measure(rig, root, args.rounds)
        if isinstance(rig, Emulator):
            with contextlib.closing(Emulator(rig.image, root, paced=True)) as paced:
                found += figures.measure_board(paced, root, args.rounds)
    return found


def _rig(args: argparse.Namespace, folder: Path, root: bytes) -> Rig:
    from firmware_bridge.checks.rigs import HostRig, PortRig
    from firmware_bridge.emulated.lm3s6965 import Emulator
    from firmware_bridge.images.build import Target, build

    if args.port:
        return PortRig(args.port)
    if args.emulated:
        return Emulator(build(Target.LM3S6965, folder / "board.elf"), root)
    return HostRig(build(Target.HOST, folder / "board"), root)


def _row(result: Result) -> str:
    took = "" if result.measured_ms is None else f"{result.measured_ms:8.1f} ms"
    if result.skipped:
        return f"{result.name:32} skipped  {result.skipped}"
    if result.failure:
        return f"{result.name:32} FAILED   {result.failure}"
    return f"{result.name:32} passed   {took}".rstrip()


def _provision(args: argparse.Namespace) -> int:
    from edge.isolation import environment
    from firmware_bridge.provision import PLACES, Platform, write

    platform = Platform(args.platform)
    out = args.out or Path(f"board-key.{PLACES[platform].suffix}")
    path, command = write(platform, _root(args), out)
    print(f"wrote {path}: it holds the key; delete it once it is on the board")
    if not args.flash:
        print("put it on the board with:", " ".join(command))
        return 0
    with failing(f"cannot run {command[0]}"):
        return 0 if subprocess.run(command, env=environment(), check=False).returncode == 0 else 1
