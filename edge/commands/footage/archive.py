"""`framegate archive`: what another policy would have done with months of recordings."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands._options import Actions, Options
from edge.commands._output import answer, complain, say
from edge.commands.footage import _signers
from edge.errors import RecordError, UsageError

if TYPE_CHECKING:
    from edge.archive.manifest import Recording
    from edge.archive.tasks import Done, Extract, Judge

EXAMPLES = """\
examples:
  framegate archive list recordings/ --device D.toml --session S.toml > archive.jsonl
  framegate archive extract archive.jsonl --store tapes/     look at each recording once
  framegate archive extract archive.jsonl --store tapes/ --signers cameras.pem --refuse unsigned
  framegate archive judge archive.jsonl --store tapes/ --pack police
  framegate archive diff strict police archive.jsonl --store tapes/ --page diff.html
  framegate archive export archive.jsonl --store tapes/ --parquet for-others/
  framegate archive bench archive.jsonl                      what all this costs here
  framegate archive extract archive.jsonl --store tapes/ --engine dask --scheduler tcp://host:8786
  framegate archive judge archive.jsonl --store s3://bucket/archive    login by AWS_... variables

A tape holds what was seen in each frame and no picture. Judging needs no video and no models,
and decides what `framegate replay` would. Each task can be run again at any time, on any
machine that sees the store: what is there is not made again.
"""

_AT_ONCE = 32  # tapes that a worker judges before it reports: some milliseconds each
_STORE = "of the tapes: a folder, or a URL such as s3://bucket/archive"
_MANIFEST = "JSON lines; see framegate archive list"
_PACK = "strict, police, a directory with a pack's files, or a bundle"


def register(commands: Actions) -> None:
    actions = commands.add_group(
        "archive",
        "judge many recordings again under another policy, without their video",
        description=__doc__,
        epilog=EXAMPLES,
    )

    listed = actions.add("list", "print a manifest: one line for each recording", _list)
    listed.path("folder", "recordings, with CLIP.csv telemetry beside them")
    listed.path("--device DEVICE", "commissioning record, TOML", required=True)
    listed.path("--session SESSION", "session claim, TOML", required=True)

    extract = actions.add(
        "extract", "look at each recording once and keep a tape", _extract, pictures=True
    )
    _tasks(extract)

    judge = actions.add("judge", "decide every frame of the tapes under one policy", _judge)
    _tasks(judge)
    judge.text("--pack PACK", f"{_PACK} (default strict)", default="strict")
    judge.flag("--json", "one JSON line for each recording")

    diff = actions.add("diff", "what changes from one policy to another, by rule", _diff)
    diff.text("before PACK", f"the policy as it is: {_PACK}")
    diff.text("after PACK", "the policy to compare it with")
    _tasks(diff)
    diff.flag("--json", "print the comparison as JSON")
    diff.path("--page FILE", "write it as an HTML page")

    bench = actions.add(
        "bench", "what replay, extract and judge cost here, compared", _bench, pictures=True
    )
    bench.path("manifest", _MANIFEST)
    bench.text("--pack PACK", f"{_PACK} (default strict)", default="strict")
    bench.flag("--json", "print the figures as JSON")

    export = actions.add("export", "write tapes as Parquet, for other tools", _export)
    export.path("manifest", _MANIFEST)
    export.text("--store DIR", _STORE, required=True)
    export.path("--parquet DIR", "for the files", required=True)


def _tasks(parser: Options) -> None:
    from edge.archive.engines import NAMES

    parser.path("manifest", _MANIFEST)
    parser.text("--store DIR", _STORE, required=True)
    _signers.options(parser)
    parser.number(
        "--workers N", "recordings at a time (default: one for each processor)", os.cpu_count() or 1
    )
    parser.choice("--engine", "what spreads the work (default local)", NAMES, default="local")
    parser.text("--scheduler ADDRESS", "of a running Dask or Ray cluster", default="")


def _list(args: argparse.Namespace) -> int:
    from edge.archive.manifest import lines
    from edge.commissioning.records import load_device, load_session

    load_device(args.device)
    load_session(args.session)
    if not args.folder.is_dir():
        raise UsageError(f"expected a folder of recordings, got {args.folder}")
    count = 0
    for line in lines(args.folder, args.device, args.session):
        print(json.dumps(line), flush=True)
        count += 1
    if not count:
        raise UsageError(f"{args.folder}: expected recordings such as clip.mp4, found none")
    return 0


def _extract(args: argparse.Namespace) -> int:
    from edge.archive.tasks import Extract

    recordings, trust = _read(args), _signers.trust(args)
    store = _store(args)
    wanted = [Extract(one, store, trust=trust) for one in recordings]
    kept = []
    for done, what in _worked(args, recordings, wanted):
        kept.append(done)
        how = f"{done.bytes / 1000:.0f} kB" if done.fresh else "was there"
        note = f"; not all of it: {done.note}" if done.note else ""
        say(f"{what}: {done.frames} frames, {how}{note}; {done.signed}")
    frames = sum(done.frames for done in kept)
    print(f"{len(kept)} of {len(recordings)} recordings have a tape: {frames} frames")
    print(_signers.summary([done.signed for done in kept]))
    return 1 if len(kept) < len(wanted) or any(done.note for done in kept) else 0


def _judge(args: argparse.Namespace) -> int:
    from edge.archive.tasks import Judge

    recordings, trust = _read(args), _signers.trust(args)
    store = _store(args)
    wanted = [Judge(one, store, args.pack, trust=trust) for one in recordings]
    judged = []
    for done, what in _worked(args, recordings, wanted):
        judged.append(done)
        if args.json:
            row = {"recording": what.partition(": ")[2], "pack": args.pack, "frames": done.frames}
            row |= {"passed": done.passed, "decisions": str(done.place)}
            print(json.dumps({**row, "signature": done.signed and done.signed.as_json()}))
        else:
            say(f"{what}: {done.passed} of {done.frames} frames pass; {done.signed}")
    if not args.json:
        frames, passed = (sum(getattr(one, of) for one in judged) for of in ("frames", "passed"))
        print(f"{frames} frames under {args.pack}: {passed} passed, {frames - passed} blocked")
        print(_signers.summary([done.signed for done in judged]))
    return 1 if len(judged) < len(wanted) else 0


def _diff(args: argparse.Namespace) -> int:
    from edge.archive.manifest import names as names_of
    from edge.archive.outcome.diff import compare, in_words, page
    from edge.archive.tasks import Judge, decisions_of
    from edge.policy.signed.files import policy_in
    from edge.report.record import write_atomic

    recordings, trust = _read(args), _signers.trust(args)
    packs, store = (args.before, args.after), _store(args)
    wanted = [Judge(one, store, pack, trust=trust) for one in recordings for pack in packs]
    results = [(task.recording, done) for task, done in _results(args, wanted)]
    failed = {recording for recording, done in results if done is None}
    signed = {recording: str(done.signed) for recording, done in results if done is not None}
    found = []
    for name, one in zip(names_of(recordings), recordings, strict=True):
        if one not in failed:
            before, after = (decisions_of(Judge(one, store, pack)) for pack in packs)
            found.append(compare(name, before, after, signed[one]))
    if args.page is not None:
        write_atomic(args.page, page(packs, found, [policy_in(pack, None) for pack in packs]))
    lines = []
    for both in found:
        lines.append(
            f"{both.name}: {both.passed[0]} frames pass under {args.before}, {both.passed[1]} "
            f"under {args.after}, of {both.frames}; {both.signature}"
        )
        lines += [f"  {in_words(change)}" for change in both.changes]
    answer(args, [asdict(one) for one in found], lines, indent=2)
    return 1 if failed else 0


def _bench(args: argparse.Namespace) -> int:
    from edge.archive.manifest import read
    from edge.archive.outcome.bench import measure
    from edge.files import scratch_folder

    recordings = read(args.manifest)
    with scratch_folder("framegate-") as scratch:
        costs = measure(recordings, args.pack, scratch)
    if args.json:
        print(json.dumps(costs.as_json(), indent=2))
        return 0
    frames, length_s = costs.frames, costs.footage_s
    print(f"{costs.recordings} recordings, {frames} frames, {length_s:.0f} s, one process")
    for name in ("replay", "extract", "judge"):
        spent = getattr(costs, name)
        print(
            f"  {name:8} {spent.processor_s:8.2f} s of processor, {spent.wall_s:8.2f} s: "
            f"{1e6 * spent.processor_s / frames:8.1f} us a frame, "
            f"{length_s / spent.processor_s:8.1f} x real time, "
            f"{frames / spent.processor_s:8.0f} frames/s"
        )
    clock, (least, most) = costs.replay.wall_s / costs.judge.wall_s, costs.spread
    print(f"the same decisions; judge is {costs.faster:.0f} x as fast as replay, ", end="")
    print(f"{least:.0f} to {most:.0f} x in {len(costs.rounds_s)} rounds ", end="")
    print(f"({clock:.0f} x on the clock)")
    print(f"tapes: {costs.tape_bytes / frames:.0f} bytes a frame")
    large = costs.of_archive()
    print(
        f"40 TB at 4.5 Mbit/s ({large['footage_h']:.0f} h), hours of one processor: "
        f"replay {large['replay_h']:.0f}, extract {large['extract_h']:.0f}, "
        f"judge {large['judge_h']:.0f}; tapes {large['tapes_tb']:.2f} TB"
    )
    return 0


def _export(args: argparse.Namespace) -> int:
    from edge.archive.manifest import read
    from edge.archive.outcome.parquet import parquet
    from edge.archive.signed.step import known
    from edge.archive.signed.verdict import NOBODY
    from edge.archive.store import Store
    from edge.archive.tasks import tape_of

    store, failed = Store(_store(args)), 0
    out = Store(str(args.parquet))
    for recording in read(args.manifest):
        try:
            tape = tape_of(recording, store)
            signed = NOBODY.judge(known(recording, store))
        except RecordError as err:
            failed += complain(str(err))
            continue
        about = {"clip": recording.clip.name, "sha256": recording.sha256}
        about["signature"] = str(signed)
        place = args.parquet / f"{recording.clip.stem}-{recording.sha256[:12]}.parquet"
        out.keep(str(place), parquet(tape, about))
        print(place)
    return 1 if failed else 0


def _store(args: argparse.Namespace) -> str:
    """Where the store is; one by URL is asked first whether it answers."""
    from edge.archive import remote
    from edge.archive.store import is_url

    if not is_url(args.store):
        return str(Path(args.store).resolve())
    remote.check(args.store)
    return str(args.store)


def _read(args: argparse.Namespace) -> list[Recording]:
    from edge.archive.manifest import read

    if args.workers < 1:
        raise UsageError(f"--workers: expected 1 or more, got {args.workers}")
    return read(args.manifest)


def _worked(
    args: argparse.Namespace, recordings: Sequence[Recording], wanted: Sequence[Extract | Judge]
) -> Iterator[tuple[Done, str]]:
    """The result of each task that did not fail, when it is done, with `3 of 20: clip.mp4`."""
    from edge.archive.manifest import names as names_of

    shown = dict(zip(recordings, names_of(recordings), strict=True))
    for number, (task, done) in enumerate(_results(args, wanted), 1):
        if done is not None:
            yield done, f"{number} of {len(wanted)}: {shown[task.recording]}"


def _results(
    args: argparse.Namespace, wanted: Sequence[Extract | Judge]
) -> Iterator[tuple[Extract | Judge, Done | None]]:
    """Each task with its result; a failure is reported in one line."""
    from edge.archive.engines import run
    from edge.archive.tasks import Failed, Judge, work

    results = run(
        work,
        wanted,
        engine=args.engine,
        workers=args.workers,
        scheduler=args.scheduler,
        at_once=_AT_ONCE if isinstance(wanted[0], Judge) else 1,
        lost=Failed,
        tell=lambda what: say(f"framegate: {what}"),
    )
    for task, done in results:
        if isinstance(done, Failed):
            complain(f"{task.recording.clip}: {done.why}")
        yield task, None if isinstance(done, Failed) else done
