"""A guard's start: spawn its processes, configure them, and wait until they are ready.

The processes import their modules in parallel and get their settings later, when
those are known. This object holds everything that was started, so whoever ends the
guard, even in the middle of its start, finds all of it.
"""

from __future__ import annotations

import math
import os
import select
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from edge import ipc
from edge.audit.schema import Board, Release
from edge.cameras.identity import MAX_SIDE_PX, CameraIdentity, Dating
from edge.clock import MS, BootClock, boot_id
from edge.decision.settings import DeciderSettings
from edge.errors import CameraError, GuardError, RecordError
from edge.frames import lifecycle
from edge.frames.lifecycle import CameraHello, Failed, Go, Ready, SourceNote
from edge.frames.output_format import Part
from edge.frames.pool import Pool
from edge.frames.ring import Ring
from edge.frames.settings import CaptureSettings, GateSettings, Outlet, PoolSize
from edge.guard.board import port_of, start_virtual_board
from edge.guard.plan import VIRTUAL, CheckedPlan
from edge.guard.processes import Child, spawn_from_template, spawn_unconfigured
from edge.heartbeat import Beats
from edge.lease import Binding
from edge.masking.polygons import covers_all
from edge.view.view_file import ViewFile
from firmware_bridge.settings import BridgeSettings

_TURN_S = 0.015
_MODULES = {
    "capture": "edge.frames.capture",
    "gate": "edge.frames.gate_process",
    "decider": "edge.decision.decider",
}
_BRIDGE = "firmware_bridge.process"
_SHARED = ("edge.frames.capture", "edge.frames.gate_process")  # loaded before they are forked


class Launch:
    """One guard's processes, channels and shared memory."""

    def __init__(self, checked: CheckedPlan, beats: Beats, say: Callable[[str], None]) -> None:
        """Nothing is started yet."""
        self._checked = checked
        self._start_limit_s = checked.plan.start_limit_s
        self._beats = beats
        self._say = say
        self._clock = BootClock()
        self.children: dict[str, Child] = {}
        self.sockets: list[socket.socket] = []  # this process's ends
        self.memory = [beats.fd]  # shared memory to let go of at the end
        self.ring: Ring | None = None
        self.board_kind = Board.NONE  # what the log's start says, known when the camera is
        self.gate: socket.socket | None = None
        self.decider: socket.socket | None = None
        self._numbers: dict[str, dict[str, int]] = {}  # the descriptors of each child
        self.outlet: Outlet | None = None  # of one that gets another's camera
        self._outlet_end: socket.socket | None = None
        self._others: tuple[Launch, ...] = ()  # that get this one's camera
        self._theirs: list[socket.socket] = []  # ends of children that are not started yet

    def spawn(self, socket_path: Path, others: Sequence[Launch] = ()) -> None:
        """Start the processes that need no more than descriptors.

        Args:
            socket_path: of the matcher's socket.
            others: begun already; they get frames of this camera too.
        """
        gate_capture, own = self._plan_matcher(socket_path)
        self._camera, capture_parent = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._camera.settimeout(self._start_limit_s)
        self.sockets.append(self._camera)
        ends = {"parent_fd": capture_parent, "gate_fd": gate_capture}
        self._plan("capture", ends, {"beats_fd": own.beats_fd, "pool_fd": own.pool_fd})
        self._others = tuple(others)
        plan = self._checked.plan
        if self._checked.interlocked and plan.board == VIRTUAL:
            self.children["board"] = start_virtual_board(
                self._checked.store.board_key(), plan.board_arguments, plan.line_fd
            )
        self._spawn()
        for other in others:
            other.release_outlet()

    def spawn_beside(self, socket_path: Path) -> None:
        """Start a gate and a decider for another matcher, on a camera that is started later."""
        end, self.outlet = self._plan_matcher(socket_path)
        self._outlet_end = end
        self._spawn()

    def release_outlet(self) -> None:
        """Capture has its end of the channel now."""
        if self._outlet_end is not None:
            self._outlet_end.close()
            self._outlet_end = None

    def _plan_matcher(self, socket_path: Path) -> tuple[socket.socket, Outlet]:
        """Gate and decider are to be started; returns capture's end of the gate's channel."""
        self._pool_fd, self._ring_fd = Pool.memory(), Ring.memory()
        self.memory += [self._pool_fd, self._ring_fd]
        gate_capture, capture_gate = ipc.pair()
        self.gate, gate_parent = ipc.pair()
        self.decider, decider_parent = ipc.pair()
        decider_gate, gate_decider = ipc.pair()
        self.sockets += [self.gate, self.decider]
        decider = {"gate_fd": decider_gate, "parent_fd": decider_parent}
        if self._checked.interlocked:
            decider["bridge_fd"], bridge_decider = ipc.pair()
            self._plan("bridge", {"decider_fd": bridge_decider}, {"beats_fd": self._beats.fd})
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(socket_path))
        listener.listen(4)
        memory = {"beats_fd": self._beats.fd, "pool_fd": self._pool_fd}
        ends = {
            "capture_fd": capture_gate,
            "decider_fd": gate_decider,
            "parent_fd": gate_parent,
            "listen_fd": listener,
        }
        self._plan("gate", ends, {**memory, "ring_fd": self._ring_fd})
        self._plan("decider", decider, memory)
        return gate_capture, Outlet(gate_capture.fileno(), self._pool_fd, self._beats.fd)

    def configure(self, token: str, tokens: Sequence[str] = ()) -> None:
        """Open the camera, and send each process its settings.

        Args:
            token: what the matcher must show.
            tokens: what those of the others must show, in their order.

        Raises:
            CameraError: the camera cannot be used.
            ipc.PeerGone: a process that was started is gone.
        """
        plan = self._checked.plan
        max_lag_ns = self._checked.device.max_lag_ms * MS
        outlets = tuple(other.outlet for other in self._others if other.outlet is not None)
        settings = CaptureSettings(
            plan.source,
            max_lag_ns,
            **self._numbers["capture"],
            others=outlets,
            start_limit_s=plan.start_limit_s,
        )
        self.children["capture"].configure(settings)
        hello = hello_of(self._camera)
        size = self._configure_matcher(hello, token)
        for other, shown in zip(self._others, tokens, strict=True):
            other._configure_matcher(hello, shown)  # its pool has this size as well
        ipc.tell(self._camera, lifecycle.encode(size))
        self._configure_bridge()

    def _configure_matcher(self, hello: CameraHello, token: str) -> PoolSize:
        """Make pool and ring for this camera's picture, and tell gate and decider."""
        checked, plan = self._checked, self._checked.plan
        identity, picture = hello.identity, hello.picture
        fingerprint = ViewFile.from_bytes(checked.view) if checked.view else None
        known = self._known(identity, fingerprint)
        self.board_kind = self._board_kind(known and identity.kind == "virtual")
        layout = picture.layout
        if covers_all(checked.device.masks.polygons, picture.height, picture.width):
            raise RecordError(
                f"{plan.device}: [mask] polygons cover all of the camera's "
                f"{picture.width}x{picture.height} picture: expected some of it left to see"
            )
        part = Part.of(checked.device.picture, picture.height, picture.width)
        pool = Pool.create(layout.bytes(picture.height, picture.width), layout, self._pool_fd)
        self.ring = Ring.create(part.bytes, fd=self._ring_fd)
        self.children["decider"].configure(
            DeciderSettings(
                picture=picture,
                pool=pool.size,
                camera=identity.digest,
                camera_known=known,
                virtual=identity.kind == "virtual",
                view=checked.view,
                policy=checked.policy.digest,
                device=checked.records[0],
                session=checked.records[1],
                device_path=plan.device,
                session_path=plan.session,
                keys=checked.store.directory,
                face_model=checked.face_model,
                audit=plan.audit,
                pack=plan.pack,
                policy_store=plan.policy,
                inbox=plan.inbox,
                release=Release(plan.release),
                board=self.board_kind,
                lag_ns=self._lag_ns(hello.dating),
                **self._numbers["decider"],
            )
        )
        lane = checked.session.operation
        self.children["gate"].configure(
            GateSettings(
                picture=picture,
                pool=pool.size,
                binding=Binding(identity.digest, boot_id(), checked.policy.digest, lane),
                view=checked.view,
                min_view_score=checked.min_view_score,
                output=checked.device.picture,
                masks=checked.device.masks,
                token=token,
                uid=os.getuid(),
                **self._numbers["gate"],
            )
        )
        return pool.size

    def go(self) -> None:
        """All are ready: let the camera deliver."""
        ipc.tell(self._camera, lifecycle.encode(Go()))

    def source_note(self) -> SourceNote | None:
        """What capture says of a recording that is over; None if all of it was given."""
        if not select.select([self._camera], [], [], 0)[0]:
            return None
        try:
            note = lifecycle.decode(ipc.await_word(self._camera, ipc.SHORT_MESSAGE))
        except (ipc.PeerGone, GuardError):
            return None  # it has ended, which is noticed elsewhere, or sent an unexpected message
        if not isinstance(note, SourceNote):
            return None
        words = "".join(
            sign for sign in note.words if sign.isprintable()
        )  # it parses hostile video
        return SourceNote(max(0, note.lost), words or "part of it was not given")

    def await_ready(self, name: str, beat: Callable[[], None]) -> None:
        """Wait until the gate or the decider says that it is ready; `beat` meanwhile."""
        channel = self.gate if name == "gate" else self.decider
        assert channel is not None
        deadline_ns = self._clock.now_ns() + round(self._start_limit_s * 1e9)
        while True:
            beat()
            select.select([channel], [], [], _TURN_S)
            try:
                data = ipc.receive(channel)
            except ipc.PeerGone as err:
                raise GuardError(self.children[name].describe_end()) from err
            if data is not None:
                break
            if self._clock.now_ns() > deadline_ns:
                raise GuardError(
                    f"{name}: not ready within {self._start_limit_s:g} s; where the device is only "
                    "slow, set a longer start_limit_s (--start-limit)"
                )
        match lifecycle.decode(data):
            case Ready(words) if words:
                self._say(f"{name}: {words}")
            case Failed(error):
                raise GuardError(error)

    def _plan(self, name: str, ends: dict[str, socket.socket], memory: dict[str, int]) -> None:
        """A process is to be started with these descriptors."""
        self._numbers[name] = {**{key: end.fileno() for key, end in ends.items()}, **memory}
        self._theirs += ends.values()

    def _spawn(self) -> None:
        """Start what is planned; this side lets go of their sockets."""
        parts = {
            name: (_MODULES[name], tuple(self._numbers[name].values()))
            for name in _MODULES  # in this order: the template becomes the last one
            if name in self._numbers
        }
        if "capture" in parts:
            module, fds = parts["capture"]
            taken = [other.outlet for other in self._others if other.outlet is not None]
            more = [fd for o in taken for fd in (o.gate_fd, o.pool_fd, o.beats_fd)]
            parts["capture"] = (module, (*fds, *more))
        try:
            if "bridge" in self._numbers:  # it holds a key, so it shares no memory with them
                given = self._numbers["bridge"].values()
                self.children["bridge"] = spawn_unconfigured("bridge", _BRIDGE, given)
            self.children.update(spawn_from_template(_SHARED, parts, self._start_limit_s))
        finally:
            for end in self._theirs:
                end.close()
            self._theirs.clear()

    def _known(self, identity: CameraIdentity, fingerprint: ViewFile | None) -> bool:
        """Whether this is the camera that the signed record and the enrolled view name."""
        if fingerprint is not None and fingerprint.camera != identity.digest:
            self._say(
                "CAM_IDENTITY: the view was enrolled with another camera; everything is blocked"
            )
            return False
        pinned = self._checked.device.identity
        known = pinned.names(identity)
        if not known and identity.kind == "virtual":
            self._say(
                "CAM_IDENTITY: a file stands in for the camera, and the signed record "
                f"does not name its SHA-256 (GD-05); everything is blocked. To allow it, add "
                f'virtual_sha256 = ["{identity.sha256}"] under [identity] of '
                f"{self._checked.plan.device} and sign the record again"
            )
        elif not known:
            self._say(
                f"CAM_IDENTITY: the signed record names {pinned}, the camera is {identity}; "
                "everything is blocked"
            )
        return known

    def _lag_ns(self, dating: Dating) -> int | None:
        """How late a frame may come; None if nothing bounds it.

        The record states the lag of the quickest frames of a stream; what capture delivers
        comes later than these by at most as much again.
        """
        accepted_ns = self._checked.device.max_lag_ms * MS
        if dating is Dating.SOURCE:
            return accepted_ns
        if accepted_ns:
            return 2 * accepted_ns
        if self._checked.interlocked:
            self._say(
                "LAG_UNBOUNDED: this source does not say when its frames were shot; everything is "
                "blocked until the signed record accepts a lag, [capture] max_lag_ms"
            )
        return None

    def _board_kind(self, recording: bool) -> Board:
        """Whether a simulated board may stand in: beside a named recording, or by the record."""
        if not self._checked.interlocked:
            return Board.NONE
        if not recording and not self._checked.device.virtual_board:
            return Board.REAL
        used = "in use" if self._checked.plan.board == VIRTUAL else "allowed"
        self._say(f"virtual board: a simulated board is {used}; its sensors prove nothing")
        return Board.VIRTUAL

    def _configure_bridge(self) -> None:
        """Send the bridge to the board, the virtual one's port being known by now."""
        if not self._checked.interlocked:
            return
        port = self._checked.plan.board
        if port == VIRTUAL:
            port = port_of(self.children["board"])
        settings = BridgeSettings(
            port,
            self._checked.store.board_key(),
            **self._numbers["bridge"],
            simulated=self.board_kind is Board.VIRTUAL,
        )
        self.children["bridge"].configure(settings)


def hello_of(channel: socket.socket) -> CameraHello:
    """The camera's greeting, waited for; a picture that no camera has is refused.

    Raises:
        CameraError: it cannot be opened, says nothing, or says what makes no sense.
    """
    try:
        data = ipc.await_word(channel)
    except TimeoutError as err:
        raise CameraError(f"the camera did not answer for {channel.gettimeout() or 0:g} s") from err
    hello = lifecycle.decode(data)
    if isinstance(hello, Failed):
        raise CameraError(hello.error)
    if not isinstance(hello, CameraHello):
        raise CameraError(f"expected the camera's greeting, got {type(hello).__name__}")
    picture = hello.picture
    sides = min(picture.height, picture.width), max(picture.height, picture.width)
    if not (0 < sides[0] <= sides[1] <= MAX_SIDE_PX and 0 <= picture.rate_hz < math.inf):
        raise CameraError(
            f"expected a picture of at most {MAX_SIDE_PX} px a side and a rate, got "
            f"{picture.width}x{picture.height} px at {picture.rate_hz:g} Hz"
        )
    return hello
