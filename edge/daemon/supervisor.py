"""The parent: checks the records, starts the processes, watches over them, wipes the ring.

It gives its own heartbeat, so that stopping it drops the interlock like
stopping any other. When the gate dies it zeroes the release ring through its
own mapping. A lost matcher is started again; the loss of any other process
ends the guard, blocked.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import select
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edge import ipc, scheduling
from edge.audit.schema import Board
from edge.clock import MS, BootClock, S, boot_id
from edge.config import Device, Session, parse_device, parse_session
from edge.daemon import sandbox
from edge.daemon.board import port_of, start_bridge, start_virtual_board
from edge.daemon.keeper import Keeper
from edge.daemon.processes import Child, bear_module
from edge.daemon.recorder import Recorder
from edge.daemon.run_folder import RunFolder, sweep
from edge.decision.evidence import Source
from edge.decision.fingerprint import Fingerprint, SceneCheck
from edge.errors import CameraError, GuardError, UsageError
from edge.frames.camera import CameraIdentity, is_live
from edge.frames.form import Shaper
from edge.frames.layout import Layout
from edge.frames.messages import ESCAPED, TOKEN, decode_resolved
from edge.frames.pool import Pool
from edge.frames.ring import Ring
from edge.heartbeat import Beats, Role
from edge.keys import KeyStore, RecordKind
from edge.matcher_models import check_matcher
from edge.models import SCENE
from edge.models.pull import asset
from edge.policy_choice import choose

TURN_MS = 15
BOARD_WAIT_NS = 3 * S  # how long the start waits for the board's first word
RT_PRIORITY = 1  # a late heartbeat of the parent would drop the interlock
MATCHER_WAIT_NS = 10 * S  # and this long for the matcher to connect
START_S = 30.0
ENDING_NS = 500 * MS  # for the cause of a loss to be seen behind what it took along
LAST_WORDS_NS = 3 * S  # for gate and decider to say what they released and wrote
MODEL_LIMIT_NS = 3 * S  # a model silent for this long has hung; permits ended after 200 ms
VIRTUAL = "virtual"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run; the arguments of `framegate run`."""

    source: str
    device: Path
    session: Path
    keys: Path | None = None
    board: str = VIRTUAL
    board_arguments: tuple[str, ...] = ("--still",)
    matcher: tuple[str, ...] = ()
    confinement: sandbox.Confinement | None = None  # the matcher's sandbox; None for none
    escaped: bool = False  # a matcher tried to get out: none is started, all is blocked
    pack: str = "strict"
    policy: Path | None = None  # folder of the installed bundle, if not the usual one
    release: str = "bracketed"
    audit: Path = Path("audit")
    desk: Path | None = None  # folder where consent is handed in and taken back
    line_fd: int = -1  # where a virtual board writes its interlock's transitions


class Guard:
    """A running guard; use as a context manager."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        """Check every record; `say` hears what an operator should know.

        Raises:
            GuardError: a record, key, view, policy or model is not what it should be.
        """
        self.plan = plan
        self._say = say
        self._clock = BootClock()
        self.store = KeyStore.open(plan.keys)
        device_bytes = self.store.read_verified(plan.device, RecordKind.DEVICE)
        session_bytes = self.store.read_verified(plan.session, RecordKind.SESSION)
        self.device: Device = parse_device(device_bytes, plan.device)
        self.session: Session = parse_session(session_bytes, plan.session)
        self.board_kind = Board.NONE  # what the log's start says, known when the camera is
        self._require_real_board()
        if self.device.receipts and plan.desk is None:
            raise UsageError(
                f"{plan.device} asks for receipts of consent: name the folder where they are "
                "handed in with --desk DIR"
            )
        if plan.desk is not None and not plan.desk.is_dir():
            raise UsageError(f"--desk {plan.desk}: expected a folder")
        self._records = (device_bytes.decode(), session_bytes.decode())
        self.view = b""
        if self.device.fingerprint is not None:
            self.view = self.store.read_verified(self.device.fingerprint, RecordKind.VIEW)
            fingerprint = Fingerprint.from_bytes(self.view)
            if is_live(plan.source) and fingerprint.trial:
                raise UsageError(
                    f"{self.device.fingerprint} is a trial (--unenforced), good for recordings "
                    "only: a camera needs a view enrolled by the full limits"
                )
            if fingerprint.scene is SceneCheck.OVERRIDDEN:
                self.store.check_override(self.view, self.device.fingerprint)
        chosen = choose(plan.pack, plan.policy)
        self.policy = chosen.policy
        self._min_view_score = chosen.min_view_score
        self.confinement = plan.confinement
        if plan.matcher and self.confinement is not None:
            without = frozenset(sandbox.Layer(name) for name in self.device.matcher_without)
            self.confinement = replace(self.confinement, without=without)
            sandbox.require(self.confinement)
            for layer in without:
                self._say(f"sandbox: {layer.value} is left out, as the signed record says")
        self._face_model = asset("centerface.onnx")
        chosen.check_models([self._face_model, SCENE])
        if plan.matcher:
            check_matcher(self.session.operation, self.device.matcher_models, chosen)
        self.children: dict[str, Child] = {}
        self.recorder = Recorder()
        self.beats = Beats.create()
        self._memory = [self.beats.fd]  # shared memory to let go of at the end
        self.ring: Ring | None = None
        self.over = False
        self.failure: str | None = None
        self.keeper = Keeper(plan.matcher, self.confinement, say, escaped=plan.escaped)
        self._escape_told = False
        self._model_began_ns = self._model_seen_ns = 0
        self._folder: RunFolder | None = None  # a guard that is only checked leaves no trace
        self.token = secrets.token_hex(16)  # what the next matcher shows
        self._sockets: list[socket.socket] = []
        self._bridge_end: socket.socket | None = None
        self._numbers: dict[str, dict[str, int]] = {}  # the descriptors of each child
        self._gate: socket.socket | None = None
        self._decider: socket.socket | None = None

    @property
    def _interlocked(self) -> bool:
        return self.session.operation.identifying

    @property
    def environment(self) -> dict[str, str]:
        """What the next matcher of a started guard needs to connect, once."""
        assert self._folder is not None
        return {
            "FRAMEGATE_SOCKET": str(self._folder.socket),
            "FRAMEGATE_TOKEN": self.token,
            "FRAMEGATE_LANE": self.session.operation.value,
        }

    def __enter__(self) -> Guard:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def turn(self) -> None:
        """One turn of the parent's loop, a few milliseconds."""
        now_ns = self._clock.now_ns()
        self.beats.beat(Role.PARENT, now_ns)
        assert self._gate is not None and self._decider is not None
        poll = select.poll()
        for channel in (self._gate, self._decider):
            poll.register(channel, select.POLLIN)
        for child in self.children.values():
            poll.register(child.pidfd, select.POLLIN)
        for fd in self.keeper.fds():
            poll.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(TURN_MS)}
        self.beats.beat(Role.PARENT, self._clock.now_ns())
        self._bury([child for child in self.children.values() if child.pidfd in ready])
        self._end_a_hung_model(now_ns)
        with contextlib.suppress(ipc.PeerGone):
            for data in ipc.drain(self._decider):
                self.recorder.decider_said(data)
            for data in ipc.drain(self._gate):
                self._gate_said(data)
        self.keeper.turn(ready, now_ns, over=self.over)
        if self.keeper.escaped and not self._escape_told:
            with contextlib.suppress(ipc.PeerGone):  # all is revoked, and the log says why
                self._escape_told = ipc.send(self._decider, ESCAPED)
        if self.keeper.failure and self.failure is None:
            self.failure = self.keeper.failure

    def run(self, each_turn: Callable[[Recorder], None] = lambda recorder: None) -> None:
        """Turn until the stream is over or a process is lost (see `failure`)."""
        while not self.over and self.failure is None:
            self.turn()
            each_turn(self.recorder)
        self._let_matcher_finish()

    def close(self) -> None:
        """End every process in order: the decider writes the end of its log first."""
        scheduling.give_back()
        self._hear_last_words()
        for channel in self._sockets:
            channel.close()
        for name in ("decider", "bridge", "gate"):
            if name in self.children:
                self.children[name].end(wait_s=3.0)
        for child in self.children.values():
            child.end()
        self.keeper.close()
        if self.ring is not None:
            self.ring.wipe_all()
        for fd in self._memory:
            os.close(fd)
        self._memory.clear()
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _hear_last_words(self) -> None:
        """Say that this is the end, and take what gate and decider still have to tell."""
        hear = {"gate": self._gate_said, "decider": self.recorder.decider_said}
        channels = {"gate": self._gate, "decider": self._decider}
        speaking = {c: hear[name] for name, c in channels.items() if c and name in self.children}
        for child in self.children.values():
            child.dismiss()
        for channel in speaking:
            with contextlib.suppress(OSError):  # it is gone already
                channel.shutdown(socket.SHUT_WR)
        until_ns = self._clock.now_ns() + LAST_WORDS_NS
        while speaking and self._clock.now_ns() < until_ns:
            for channel in select.select(list(speaking), [], [], TURN_MS / 1000)[0]:
                try:
                    for data in ipc.drain(channel):
                        speaking[channel](data)
                except ipc.PeerGone:
                    del speaking[channel]
        self._gate = self._decider = None

    # starting

    def _start(self) -> None:
        sweep()
        self._folder = RunFolder()
        scheduling.hold_real_time(RT_PRIORITY)
        ipc.hide_memory()
        pool_fd, ring_fd = Pool.memory(), Ring.memory()
        self._memory += [pool_fd, ring_fd]
        camera = self._bear_all(pool_fd, ring_fd)
        if self._interlocked and self.plan.board == VIRTUAL:
            self.children["board"] = start_virtual_board(
                self.store.board_key(), self.plan.board_arguments, self.plan.line_fd
            )
        self._order("capture", {"source": self.plan.source})
        hello = _hello(camera)
        identity = CameraIdentity(
            hello["kind"], hello["driver"], hello["card"], hello["bus"], hello["sha256"]
        )
        height, width = int(hello["height"]), int(hello["width"])
        fingerprint = Fingerprint.from_bytes(self.view) if self.view else None
        known = self._known(identity, fingerprint)
        self.board_kind = self._board_kind(known and identity.kind == "virtual")
        layout = Layout(hello["layout"])
        shaper = Shaper(self.device.picture, layout, height, width)
        pool = Pool.create(layout.bytes(height, width), layout, pool_fd)
        self.ring = Ring.create(shaper.bytes, fd=ring_fd)
        size = {"slots": pool.slots, "slot_bytes": pool.slot_bytes}
        camera.send(json.dumps(size).encode())
        common = {
            **size,
            "height": height,
            "width": width,
            "rate_hz": float(hello["rate_hz"]),
            "layout": layout.value,
            "camera": identity.digest.hex(),
            "view": base64.b64encode(self.view).decode(),
            "policy": self.policy.digest.hex(),
        }
        self._order(
            "decider",
            {
                "bridge_fd": None,
                **common,
                "device": self._records[0],
                "session": self._records[1],
                "device_path": str(self.plan.device),
                "session_path": str(self.plan.session),
                "keys": str(self.store.directory),
                "face_model": str(self._face_model),
                "audit": str(self.plan.audit),
                "pack": self.plan.pack,
                "policy_store": str(self.plan.policy) if self.plan.policy is not None else None,
                "release": self.plan.release,
                "desk": str(self.plan.desk) if self.plan.desk is not None else None,
                "camera_known": known,
                "virtual": identity.kind == "virtual",
                "board": self.board_kind.value,
            },
        )
        self._order(
            "gate",
            {
                **common,
                "boot": boot_id().hex(),
                "lane": self.session.operation.value,
                "token": self.token,
                "uid": os.getuid(),
                "min_view_score": self._min_view_score,
                "picture": asdict(self.device.picture),
            },
        )
        self._start_bridge()
        self._await_ready("gate")
        if not self.ring.sealed:
            raise GuardError("the gate did not seal the release ring")
        self.keeper.start(lambda: self.environment, self._clock.now_ns())
        self._await_ready("decider")
        self._await_board()
        self._await_matcher()
        camera.send(b"go")

    def _bear_all(self, pool_fd: int, ring_fd: int) -> socket.socket:
        """Start the processes that need no more than descriptors; returns the camera's channel."""
        camera, capture_parent = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        camera.settimeout(START_S)
        gate_capture, capture_gate = ipc.pair()
        self._gate, gate_parent = ipc.pair()
        self._decider, decider_parent = ipc.pair()
        decider_gate, gate_decider = ipc.pair()
        self._sockets += [camera, self._gate, self._decider]
        decider = {"gate_fd": decider_gate, "parent_fd": decider_parent}
        if self._interlocked:
            decider["bridge_fd"], self._bridge_end = ipc.pair()
            self._sockets.append(self._bridge_end)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(self.environment["FRAMEGATE_SOCKET"])
        listener.listen(4)
        memory = {"beats_fd": self.beats.fd, "pool_fd": pool_fd}
        ends = {"parent_fd": capture_parent, "gate_fd": gate_capture}
        self._bear("capture", "edge.frames.capture", ends, memory)
        self._bear("decider", "edge.decision.decider", decider, memory)
        ends = {
            "capture_fd": capture_gate,
            "decider_fd": gate_decider,
            "parent_fd": gate_parent,
            "listen_fd": listener,
        }
        self._bear("gate", "edge.frames.gate_process", ends, {**memory, "ring_fd": ring_fd})
        return camera

    def _bear(
        self, name: str, module: str, ends: dict[str, socket.socket], memory: dict[str, int]
    ) -> None:
        """Start a process with these descriptors; this side lets go of the sockets."""
        numbers = {**{key: end.fileno() for key, end in ends.items()}, **memory}
        self.children[name] = bear_module(name, module, numbers.values())
        self._numbers[name] = numbers
        for end in ends.values():
            end.close()

    def _order(self, name: str, settings: dict[str, Any]) -> None:
        self.children[name].order({**settings, **self._numbers[name]})

    def _known(self, identity: CameraIdentity, fingerprint: Fingerprint | None) -> bool:
        """Whether this is the camera that the signed record and the enrolled view name."""
        if fingerprint is not None and fingerprint.camera != identity.digest:
            self._say("CAM_IDENTITY: the view was enrolled with another camera; all is blocked")
            return False
        pinned = self.device.identity
        known = pinned.names(identity)
        if not known and identity.kind == "virtual":
            self._say(
                "CAM_IDENTITY: a file stands in for the camera, and the signed record "
                "does not name its SHA-256 (GD-05); everything is blocked"
            )
        elif not known:
            self._say(
                f"CAM_IDENTITY: the signed record names {pinned}, the camera is {identity}; "
                "everything is blocked"
            )
        return known

    def _require_real_board(self) -> None:
        """A virtual board says what it is told to: beside a camera only a signed record lets it."""
        wanted = self.plan.board == VIRTUAL and self.session.operation.identifying
        if wanted and is_live(self.plan.source) and not self.device.virtual_board:
            raise UsageError(
                "a camera needs a real board: expected its serial port in --board, or board in the "
                "daemon's configuration, got virtual; "
                f"{self.plan.device} does not say [board] virtual = true"
            )

    def _board_kind(self, recording: bool) -> Board:
        """Whether a simulated board may stand in: beside a named recording, or by the record."""
        if not self._interlocked:
            return Board.NONE
        if not recording and not self.device.virtual_board:
            return Board.REAL
        self._say("virtual board: a simulated one may stand in; its sensors prove nothing")
        return Board.VIRTUAL

    def _start_bridge(self) -> None:
        """Start the bridge to the board, the virtual one's port being known by now."""
        if self._bridge_end is None:
            return
        port = self.plan.board
        if port == VIRTUAL:
            port = port_of(self.children["board"])
        simulated = self.board_kind is Board.VIRTUAL
        self.children["bridge"] = start_bridge(
            port, self.store.board_key(), self.beats.fd, self._bridge_end, simulated=simulated
        )
        self._bridge_end.close()

    def _await_ready(self, name: str) -> None:
        """Wait until the gate or the decider says that it is ready."""
        channel = self._gate if name == "gate" else self._decider
        assert channel is not None
        deadline_ns = self._clock.now_ns() + round(START_S * 1e9)
        while True:
            self.beats.beat(Role.PARENT, self._clock.now_ns())
            select.select([channel], [], [], TURN_MS / 1000)
            try:
                data = ipc.receive(channel)
            except ipc.PeerGone as err:
                raise GuardError(self.children[name].describe_end()) from err
            if data is not None:
                break
            if self._clock.now_ns() > deadline_ns:
                raise GuardError(f"not ready within {START_S:g} s: {name}")
        if data.startswith(b"ready"):
            self._say(f"{name}: {data[6:].decode()}")
        elif b'"error"' in data:
            raise GuardError(json.loads(data)["error"])

    def _await_board(self) -> None:
        """Give the board a moment to be heard, so that a camera's first frames count."""
        deadline_ns = self._clock.now_ns() + BOARD_WAIT_NS
        while self._interlocked and not self.recorder.has_heard_of(Source.DOCK.value):
            self.turn()
            if self._clock.now_ns() > deadline_ns or self.failure is not None:
                self._say("LINK_LOST: the board has not answered; the guard starts blocked")
                return

    def _await_matcher(self) -> None:
        """Give a matcher the time to load what it needs, so that it misses nothing."""
        deadline_ns = self._clock.now_ns() + MATCHER_WAIT_NS
        keeper = self.keeper
        while keeper.child is not None and not keeper.connected and self.failure is None:
            self.turn()
            if self._clock.now_ns() > deadline_ns:
                self._say("MATCHER_LOST: the matcher has not connected yet; starting without it")
                return

    # watching

    def _gate_said(self, data: bytes) -> None:
        if data == b"over":
            self.over = True
        elif data == b"matcher":
            self.keeper.connected = True
            self.token = secrets.token_hex(16)  # the one it showed is spent
            if self._gate is not None:
                ipc.send(self._gate, TOKEN + self.token.encode())
        else:
            self.recorder.resolved(decode_resolved(data))

    def _bury(self, ended: list[Child]) -> None:
        lost = {child.name for child in ended} - {"matcher"}
        # whichever end is seen first: others may end of the gate's end before it is seen itself
        if self.ring is not None and ("gate" in lost or (lost and not self.over)):
            self.ring.wipe_all()
        if ended and not self.over and self.failure is None:
            self.failure = self._first_lost(ended).describe_end()

    def _first_lost(self, ended: list[Child]) -> Child:
        """One loss takes others along, which end in good order: the one that did not.

        It may be seen last, for a large process takes its time to be gone.
        """
        until_ns = self._clock.now_ns() + ENDING_NS
        poll = select.poll()
        for child in self.children.values():
            poll.register(child.pidfd, select.POLLIN)
        while True:
            for child in ended:
                if child.process.wait() != 0:
                    return child
                poll.unregister(child.pidfd)
            left_ms = (until_ns - self._clock.now_ns()) // MS
            gone = {fd for fd, _ in poll.poll(max(0, left_ms))}
            if not gone:
                return ended[0]
            ended = [child for child in self.children.values() if child.pidfd in gone]

    def _end_a_hung_model(self, now_ns: int) -> None:
        """A model that does not come back takes its process with it; leases ended long before."""
        began_ns, decider = self.beats.model_began_ns, self.children["decider"]
        if began_ns == 0 or began_ns != self._model_began_ns:
            self._model_began_ns, self._model_seen_ns = began_ns, now_ns
        elif now_ns - self._model_seen_ns > MODEL_LIMIT_NS and self.failure is None:
            if decider.stopped:  # by someone: it may go on yet, and finds a gap in time then
                self._model_seen_ns = now_ns
                return
            decider.process.kill()
            limit_s = MODEL_LIMIT_NS / S
            self.failure = f"MODEL_TIMEOUT: a model did not answer for {limit_s:g} s"

    def _let_matcher_finish(self) -> None:
        """The stream is over: a matcher that reads to the end gets the time to say so."""
        deadline_ns = self._clock.now_ns() + 3 * S
        while (
            self.keeper.child is not None
            and self.failure is None
            and self._clock.now_ns() < deadline_ns
        ):
            self.turn()


def _hello(channel: socket.socket) -> dict[str, Any]:
    try:
        data = channel.recv(4096)
    except TimeoutError as err:
        raise CameraError(f"the camera said nothing for {START_S:g} s") from err
    if not data:
        raise CameraError("the capture process ended without a word")
    hello: dict[str, Any] = json.loads(data)
    if "error" in hello:
        raise CameraError(hello["error"])
    return hello
