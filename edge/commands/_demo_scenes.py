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
from pathlib import Path

from edge import isolation
from edge.cameras.recording_file import file_sha256
from edge.clock import S
from edge.commissioning.keys import KeyStore, RecordKind
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

_DEVICE = """\
camera = "{camera}"
mount = "{mount}"
site = "{site}"
dock_id = "{dock}"
publicly_accessible = {public}
lanes = [{lanes}]
dwell_s = 1
[operator]
user = "{user}"
by_or_for = "{by_or_for}"
jurisdiction = "{jurisdiction}"
[people]
max = 1
min_height = 0.1
[identity]
virtual_sha256 = ["{sha256}"]
"""
_VIEW = '[view]\nfingerprint = "kiosk.view"\n'
_SESSION = """\
operation = "{lane}"
gallery = "{gallery}"
consent = "{consent}"
active_involvement = {active}
authorisation = "none"
inference_backend = "on_device"
result_sink = "local"
"""
_KIOSK = {
    "camera": "fixed",
    "mount": "fixed_surveyed",
    "site": "till-2",
    "dock": "D-0017",
    "public": "false",
    "lane": "verify_1_1",
    "user": "private_business",
    "by_or_for": "neither",
    "jurisdiction": "EU",
    "gallery": "self_only",
    "consent": "valid",
    "active": "true",
}
_POLICE = {
    **_KIOSK,
    "lane": "identify_1_n",
    "user": "us_state_local_police",
    "by_or_for": "by",
    "jurisdiction": "US-TX",
    "gallery": "suspects_or_inmates",
    "consent": "none",
}
_STREET = {
    **_POLICE,
    "camera": "body_worn",
    "mount": "worn_moving",
    "site": "",
    "dock": "",
    "public": "true",
    "active": "false",
}


_VIEWER = {**_STREET, "lane": "view_masked", "gallery": "none"}  # of the session


@dataclass(frozen=True, slots=True)
class Scene:
    """One row of the table."""

    name: str
    clip: str
    words: dict[str, str]  # of the two records
    board: tuple[str, ...]
    enrolled: bool  # the kiosk's view is in the record
    must_happen: str
    holds: Callable[[SceneRecord, list[int]], str | None]  # what is wrong, or None
    viewer: bool = False  # a sink that keeps some of what it gets is on the camera as well


def _flows(record: SceneRecord, received: list[int]) -> str | None:
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


def _names(rule: str) -> Callable[[SceneRecord, list[int]], str | None]:
    def holds(record: SceneRecord, received: list[int]) -> str | None:
        if (wrong := _none(record, received)) is not None:
            return wrong
        named = any(rule in d.rules for d in record.decisions)
        return None if named else f"{rule} was not named"

    return holds


def _only_vision(record: SceneRecord, received: list[int]) -> str | None:
    if (wrong := _none(record, received)) is not None:
        return wrong
    causes = {r for d in record.decisions for r in d.reasons}
    other = {r for r in causes if r.family not in (Family.VISION, Family.WAITING)}
    if other:
        return f"not only vision blocked: {', '.join(sorted(r.value for r in other))}"
    return None if Reason.VIEW_FOREIGN in causes else "the foreign view was not noticed"


def _controlled_but_denied(record: SceneRecord, received: list[int]) -> str | None:
    if (wrong := _names("MS-01")(record, received)) is not None:
        return wrong
    controlled = any(d.context.value == "controlled" for d in record.decisions)
    return None if controlled else "the context was never controlled"


def _cut(record: SceneRecord, received: list[int]) -> str | None:
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


SCENES = (
    Scene("kiosk", "single_face.mp4", _KIOSK, ("--still",), True, "frames flow", _flows),
    Scene(
        "cut away",
        "face_noface.mov",
        _KIOSK,
        ("--still",),
        True,
        "frames flow, then none captured after the cut",
        _cut,
    ),
    Scene(
        "street",
        "bikes.mp4",
        _STREET,
        ("--walking",),
        False,
        "none arrives; MS-02 is named",
        _names("MS-02"),
    ),
    Scene(
        "forged",
        "carphone_pristine.mp4",
        _KIOSK,
        ("--still",),
        True,
        "none arrives; only vision blocks",
        _only_vision,
    ),
    Scene(
        "policy",
        "single_face.mp4",
        _POLICE,
        ("--still",),
        True,
        "none arrives; MS-01, although controlled",
        _controlled_but_denied,
    ),
    Scene(
        "masked view",
        "bikes.mp4",
        _STREET,
        ("--walking",),
        False,
        "one camera: the viewer's frames flow masked, the matcher gets none (MS-02)",
        _flows,
        viewer=True,
    ),
)


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
    return [_play(scene, out, store, without, live, say) for scene in SCENES]


def _play(
    scene: Scene,
    out: Path,
    store: KeyStore,
    without: str,
    live: Live,
    say: Callable[[str], None],
) -> SceneRecord:
    folder = _empty(out / scene.name.replace(" ", "-"))
    folder.mkdir()
    clip = asset(scene.clip)
    sessions = {"matcher": scene.words, **({"viewer": _VIEWER} if scene.viewer else {})}
    lanes = ", ".join(f'"{words["lane"]}"' for words in sessions.values())
    words = {**scene.words, "sha256": file_sha256(clip), "lanes": lanes}
    device = out / f"{folder.name}.device.toml"
    text = _DEVICE.format(**words) + (_VIEW if scene.enrolled else "")
    write_atomic(device, f"{text}[matcher]\nwithout = {without}\n")
    store.sign_file(device, RecordKind.DEVICE)
    plans = []
    for name, claim in sessions.items():
        session, room = out / f"{folder.name}.{name}.toml", folder / name
        write_atomic(session, _SESSION.format(**claim))
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
                board_arguments=scene.board,
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
    wrong = scene.holds(record, received)
    if wrong is None and not record.summary.audit_verified:
        wrong = "the audit log does not verify"
    notes: tuple[str, ...] = ()
    if scene.viewer:
        beside = scene_record(guard, name=scene.name, footage=scene.clip)
        got = _received(folder / "matcher" / "received.json")
        why = _names("MS-02")(beside, got)
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
