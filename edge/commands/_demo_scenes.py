"""The demo: six scenes of real footage through the real guard, counted at the matcher.

Every scene starts all of the guard's processes, a virtual board on a serial
line and a matcher that counts; in the last one a viewer that keeps a few masked
frames shares the camera with it. The clips play once, in real time; none is looped, because a
loop is an attack. The room lasts 2.4 seconds, so the dwell is one second here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from edge import isolation
from edge.cameras.recording_file import file_sha256
from edge.clock import S
from edge.commissioning.keys import KeyStore, RecordKind
from edge.commissioning.toml_text import parse_toml
from edge.errors import CameraError
from edge.evidence.faces import FaceBoxes
from edge.files import read_named, write_new
from edge.guard.live_feed import Feed
from edge.guard.plan import Plan, share
from edge.guard.results import scene_record
from edge.guard.supervisor import Guard
from edge.models.pull import asset
from edge.reasons import Family, Reason
from edge.replay.files import enrol_opening
from edge.report.live import Live
from edge.report.record import Outcome, SceneRecord, write_atomic
from edge.sandbox import spec as sandbox

DWELL_S = 1.0
SETTLE_NS = 600_000_000  # "after the dwell" begins this long after it, see docs/design.md
_MOST = 0.95

_TABLE = parse_toml(files("edge.commands").joinpath("demo.toml").read_bytes(), 1 << 16)
_VIEW = '[view]\nfingerprint = "kiosk.view"\n'
_RECORDS: dict[str, dict[str, str]] = _TABLE["records"]
_VIEWER = {**_RECORDS["street"], "lane": "view_masked", "gallery": "none"}  # of the session


@dataclass(frozen=True, slots=True)
class Scene:
    """One row of the table, as `demo.toml` has it."""

    name: str
    clip: str
    records: str  # whose words stand in the two records
    must_happen: str
    holds: str  # the check in `_CHECKS`
    rule: str = ""  # what it needs to be named
    viewer: bool = False  # a sink that keeps some of what it gets is on the camera as well

    @property
    def words(self) -> dict[str, str]:
        """Of the two records."""
        return _RECORDS[self.records]

    @property
    def worn(self) -> bool:
        """Whether nobody enrolled the view, and the board walks."""
        return self.words["camera"] == "body_worn"

    def wrong(self, record: SceneRecord, received: list[int]) -> str | None:
        """What did not happen as it must, or None; `received`: times of the frames, ns."""
        return _CHECKS[self.holds](record, received, self.rule)


def _flows(record: SceneRecord, received: list[int], _: str) -> str | None:
    after_ns = round(DWELL_S * S) + SETTLE_NS
    due = [d for d in record.decisions if d.captured_ns >= after_ns]
    passed = [d for d in due if d.verdict is Outcome.PASS]
    if not due or len(passed) < _MOST * len(due):
        return f"{len(passed)} of {len(due)} frames after the dwell passed"
    released = sum(d.verdict is Outcome.PASS for d in record.decisions)
    if len(received) != released:
        return f"{released} released, {len(received)} received"
    return None


def _none(record: SceneRecord, received: list[int]) -> str | None:
    released = sum(d.verdict is Outcome.PASS for d in record.decisions)
    if received or released:
        return f"{released} released, {len(received)} received, expected none"
    return None if record.decisions else "no frame was seen"


def _names(record: SceneRecord, received: list[int], rule: str) -> str | None:
    if (wrong := _none(record, received)) is not None:
        return wrong
    named = any(rule in d.rules for d in record.decisions)
    return None if named else f"{rule} was not named"


def _only_vision(record: SceneRecord, received: list[int], _: str) -> str | None:
    if (wrong := _none(record, received)) is not None:
        return wrong
    causes = {r for d in record.decisions for r in d.reasons}
    other = {r for r in causes if r.family not in (Family.VISION, Family.WAITING)}
    if other:
        return f"not only vision blocked: {', '.join(sorted(r.value for r in other))}"
    return None if Reason.VIEW_FOREIGN in causes else "the foreign view was not noticed"


def _controlled_but_denied(record: SceneRecord, received: list[int], rule: str) -> str | None:
    if (wrong := _names(record, received, rule)) is not None:
        return wrong
    controlled = any(d.context.value == "controlled" for d in record.decisions)
    return None if controlled else "the context was never controlled"


def _cut(record: SceneRecord, received: list[int], _: str) -> str | None:
    """Frames pass first, and none captured after the first foreign one ever arrives."""
    foreign = [d for d in record.decisions if Reason.VIEW_FOREIGN in d.reasons]
    passed = [d for d in record.decisions if d.verdict is Outcome.PASS]
    if not passed or not received:
        return "no frame passed before the cut"
    if not foreign:
        return "the cut was not noticed"
    late = [d for d in passed if d.captured_ns > foreign[0].captured_ns]
    if late or len(received) != len(passed):
        return f"{len(late)} frames passed after the cut; {len(received)} received"
    return None


_CHECKS: dict[str, Callable[[SceneRecord, list[int], str], str | None]] = {
    "flows": _flows,
    "cut": _cut,
    "names": _names,
    "only_vision": _only_vision,
    "controlled_but_denied": _controlled_but_denied,
}


def run_demo(out: Path, live: Live, say: Callable[[str], None]) -> list[SceneRecord]:
    """Play every scene; results of each are in `out`/<scene>, as are its keys and records."""
    out.mkdir(parents=True, exist_ok=True)
    say(f"the room lasts 2.4 s, so the dwell is {DWELL_S:g} s here instead of 3 s")
    store = KeyStore.init(_empty(out / "keys"))
    view = out / "kiosk.view"
    faces = FaceBoxes(asset("centerface.onnx"))
    write_new(view, enrol_opening(asset("single_face.mp4"), 1.0, faces).to_bytes())
    store.sign_file(view, RecordKind.VIEW)
    lacking = sandbox.missing()
    for why in lacking.values():
        say(f"sandbox: {why}; the demo goes without, as its signed records say")
    without = json.dumps([layer.value for layer in lacking])
    scenes = (Scene(**row) for row in _TABLE["scenes"])
    return [_play(scene, out, store, without, live, say) for scene in scenes]


def _play(
    scene: Scene, out: Path, store: KeyStore, without: str, live: Live, say: Callable[[str], None]
) -> SceneRecord:
    folder = _empty(out / scene.name.replace(" ", "-"))
    folder.mkdir()
    clip = asset(scene.clip)
    sessions = {"matcher": scene.words, **({"viewer": _VIEWER} if scene.viewer else {})}
    lanes = ", ".join(f'"{words["lane"]}"' for words in sessions.values())
    words = {**scene.words, "sha256": file_sha256(clip), "lanes": lanes}
    device = out / f"{folder.name}.device.toml"
    text = _TABLE["device"].format(**words) + ("" if scene.worn else _VIEW)
    write_atomic(device, f"{text}[matcher]\nwithout = {without}\n")
    store.sign_file(device, RecordKind.DEVICE)
    plans = []
    for name, claim in sessions.items():
        session, room = out / f"{folder.name}.{name}.toml", folder / name
        write_atomic(session, _TABLE["session"].format(**claim))
        store.sign_file(session, RecordKind.SESSION)
        room.mkdir()
        if os.geteuid() == 0:
            os.chown(room, sandbox.NOBODY, sandbox.NOBODY)  # in its sandbox it is this user
        command = {
            "matcher": ("framegate_client.counter", str(room / "received.json")),
            "viewer": ("edge.sink.writer", "stills", str(room)),
        }
        plans.append(
            Plan(
                source=str(clip),
                device=device,
                session=session,
                keys=store.directory,
                board_arguments=("--walking",) if scene.worn else ("--still",),
                matcher=tuple(isolation.python(*command[name])),
                confinement=sandbox.Confinement(writes=(room,)),
                audit=folder / f"{name}.audit",
                name=name,
            )
        )
    first, *others = plans
    live.scene(f"{scene.name}: {scene.clip}")
    with Guard(share(replace(first, name=""), others), say) as guard:
        feed = Feed(live)
        guard.run(feed.show)
    if guard.failure is not None:
        raise CameraError(f"{scene.name}: {guard.failure}")
    shown = guard.others[0] if scene.viewer else guard
    record = scene_record(shown, name=scene.name, footage=scene.clip, must_happen=scene.must_happen)
    received = _received(folder / (shown.plan.name or "matcher") / "received.json")
    wrong = scene.wrong(record, received)
    if wrong is None and not record.summary.audit_verified:
        wrong = "the audit log does not verify"
    notes: tuple[str, ...] = ()
    if scene.viewer:
        beside = scene_record(guard, name=scene.name, footage=scene.clip)
        got = _received(folder / "matcher" / "received.json")
        why = _names(beside, got, scene.rule)
        wrong = wrong or (why and f"the matcher beside it: {why}")
        notes = (
            f"On the same camera, in the same guard, the matcher (lane {scene.words['lane']}) "
            f"received {len(got)} of {beside.summary.frames} frames.",
        )
    return replace(
        record,
        received=len(received),
        ok=wrong is None,
        notes=notes if wrong is None else (*notes, f"Wrong: {wrong}."),
        pictures=tuple(
            read_named(path, 1 << 24) for path in sorted(folder.glob("viewer/still-*.png"))
        ),
    )


def _received(path: Path) -> list[int]:
    if not path.exists():
        return []
    times: list[int] = json.loads(read_named(path, 1 << 24))["captured_ns"]
    return times


def _empty(folder: Path) -> Path:
    """`folder`, moved aside if an earlier demo left one."""
    if folder.exists():
        number = 1
        while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
            number += 1
        folder.rename(aside)
    return folder
