"""Cost of the board: instructions and size of the firmware, and the bridge on the host.

The images themselves run in Unicorn, one call of the rule at a time, and every
instruction is counted: no clock is read, so the counts are the same each time
on any machine. Needs the `test` extra. The bridge runs as the guard runs it, with 20
leases and 50 evidence packets a second, and its processor time is taken.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

from edge import ipc, isolation
from edge.clock import MS, BootClock
from edge.errors import UsageError
from edge.evidence.board_link import BoardStatus, Claim, decode, encode
from edge.heartbeat import LEASED, Beats
from edge.wire import to_json
from firmware_bridge.checks.figures import Figure
from firmware_bridge.images.build import CHIPS, Target, build
from firmware_bridge.images.elf import segments, symbols
from firmware_bridge.packets import Keys
from firmware_bridge.session import Session
from firmware_bridge.settings import BridgeSettings
from firmware_bridge.virtual.board import TX_ROOM
from firmware_bridge.virtual.sensors import LAYOUT, Sensors

ROOT = bytes(range(32))
STILL = Sensors(docked=True, dock_id=b"D-0017", tampered=False, gyro=(8, -5, 3), accel=(0, 0, 4905))
START_S = 20.0  # for the start of the bridge and the virtual board
LEASE_LIMIT = 62_500  # 5 ms of a Cortex-M3 at 12.5 MHz, an instruction a cycle
_RAM, _RAM_SIZE = 0x2000_0000, 0x42000
_SCRATCH = 0x2003_0000  # in RAM of the emulated core alone: arguments, buffers
_STACK = 0x2003_F000
_END = 0x2004_1000


class Core:
    """One image in an emulated Cortex-M core; `call` counts the instructions of a function."""

    def __init__(self, target: Target, image: Path) -> None:
        try:
            unicorn: Any = importlib.import_module("unicorn")
        except ImportError as err:
            raise UsageError("cannot count instructions: install framegate[test]") from err
        self._arm: Any = importlib.import_module("unicorn.arm_const")
        model = self._arm.UC_CPU_ARM_CORTEX_M3
        if target is Target.RP2040:
            model = self._arm.UC_CPU_ARM_CORTEX_M0
        self._uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self._uc.ctl_set_cpu_model(model)
        self._uc.mem_map(CHIPS[target].flash, CHIPS[target].flash_size)
        self._uc.mem_map(_RAM, _RAM_SIZE)
        elf = image.read_bytes()
        self.symbols = symbols(elf)
        for address, content in segments(elf):
            self._uc.mem_write(address, content)
        self._count = 0
        self._uc.hook_add(unicorn.UC_HOOK_CODE, self._step)

    def write(self, offset: int, content: bytes) -> int:
        """Put bytes into scratch memory; their address."""
        self._uc.mem_write(_SCRATCH + offset, content)
        return _SCRATCH + offset

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._uc.mem_read(address, size))

    def call(self, name: str, registers: tuple[int, ...], stack: bytes = b"") -> tuple[int, int]:
        """Run one function; its result and the instructions it took."""
        arm = self._arm
        top = _STACK - (len(stack) + 7) // 8 * 8
        self._uc.mem_write(top, stack)
        numbers = (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3)
        for number, value in zip(numbers, registers, strict=False):
            self._uc.reg_write(number, value)
        self._uc.reg_write(arm.UC_ARM_REG_SP, top)
        self._uc.reg_write(arm.UC_ARM_REG_LR, _END | 1)
        self._count = 0
        self._uc.emu_start(self.symbols[name] | 1, _END)
        return int(self._uc.reg_read(arm.UC_ARM_REG_R0)), self._count

    def _step(self, *_: object) -> None:
        self._count += 1


class CountedBoard:
    """The rule inside an image, with the methods of a board; each returns its instructions."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._board = core.symbols["board"]
        root, firmware = core.write(0, ROOT), core.write(64, bytes(8))
        stack = struct.pack("<I4xQII", root, 77, 4, firmware)
        core.call("fg_init", (self._board, 0, 0, 0), stack)

    def receive(self, data: bytes, now_us: int) -> int:
        stack = struct.pack("<II", self._core.write(256, data), len(data))
        return self._core.call("fg_receive", self._at(now_us), stack)[1]

    def sense(self, reading: Sensors, now_us: int) -> int:
        packed = LAYOUT.unpack(reading.pack(0))
        c = struct.pack("<H3h3hxxiiHxxI12s", packed[0], *packed[2:])
        return self._core.call(
            "fg_sense", self._at(now_us), struct.pack("<I", self._core.write(512, c))
        )[1]

    def tick(self, now_us: int) -> int:
        return self._core.call("fg_tick", self._at(now_us))[1]

    def take(self) -> bytes:
        out = self._core.write(1024, b"")
        size, _ = self._core.call("fg_take", (self._board, out, TX_ROOM))
        return self._core.read(out, size)

    def _at(self, now_us: int) -> tuple[int, ...]:
        return (self._board, 0, now_us & 0xFFFF_FFFF, now_us >> 32)


def instructions(target: Target, image: Path) -> dict[str, int]:
    """Instructions for a lease taken and answered, an evidence packet sent, a reading judged."""
    board = CountedBoard(Core(target, image))
    session = Session(Keys.derive(ROOT))
    board.sense(STILL, 1000)
    board.receive(session.due(MS), 1000)
    session.receive(board.take(), MS)
    judged = board.sense(STILL, 30_000)
    sent = board.tick(30_000)
    session.receive(board.take(), 30 * MS)
    lease = session.lease(5, 200, releasing=False, now_ns=31 * MS)
    taken = board.receive(lease, 31_000)
    session.receive(board.take(), 31 * MS)
    status = session.status
    if status is None or not status.permitted:
        raise UsageError(f"the {target.value} image did not permit in the emulated core")
    return {"lease": taken, "evidence": sent, "reading": judged}


def sizes(image: Path) -> tuple[int, int]:
    """Bytes of flash (code, constants, start values) and of RAM (all but the stack)."""
    elf = image.read_bytes()
    named = symbols(elf)
    flash = named["image_end"] - named["image_start"]
    return flash, named["bss_end"] - named["data_start"]


def bridge_share(seconds: float) -> float:
    """Processor time of the running bridge under a permit, in percent of one core.

    The process that the guard starts, system calls and waking up included, on a
    pseudo-terminal with a virtual board at its other end; that is not counted.
    """
    beats = Beats.create()
    ours, theirs = ipc.pair()
    with ours, theirs, contextlib.ExitStack() as stack:
        key_fd, write_fd = os.pipe()
        os.write(write_fd, ROOT)
        os.close(write_fd)
        stack.callback(os.close, key_fd)
        board = _spawn(stack, "virtual.process", ["--still", "--key-fd", str(key_fd)], (key_fd,))
        assert board.stdout is not None
        port = board.stdout.readline().decode().strip()
        settings = BridgeSettings(port, ROOT, beats.fd, theirs.fileno(), simulated=True)
        bridge = _spawn(stack, "process", [], (beats.fd, theirs.fileno()), to_json(settings))
        if not _play_guard(beats, ours, START_S, until_permitted=True):
            raise UsageError("the virtual board did not permit")
        before_ns, began = _spent_ns(bridge.pid), time.monotonic()
        _play_guard(beats, ours, seconds, until_permitted=False)
        spent_ns = _spent_ns(bridge.pid) - before_ns
        took_s = time.monotonic() - began
    os.close(beats.fd)
    return spent_ns / (took_s * 1e9) * 100


def _spawn(
    stack: contextlib.ExitStack,
    module: str,
    options: list[str],
    fds: tuple[int, ...],
    order: str = "",
) -> subprocess.Popen[bytes]:
    """A process of the bridge's package, told `order`; ended with the stack."""
    process = subprocess.Popen(
        isolation.python(f"firmware_bridge.{module}", *options),
        env=isolation.environment(),
        pass_fds=fds,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    stack.callback(process.communicate)
    stack.callback(process.kill)
    assert process.stdin is not None
    process.stdin.write(order.encode())
    process.stdin.close()
    process.stdin = None  # `communicate` would write to it
    return process


def _play_guard(
    beats: Beats, bridge: socket.socket, seconds: float, *, until_permitted: bool
) -> bool:
    """Beat for the guard's processes and claim a permit; whether the board permits."""
    clock, until = BootClock(), time.monotonic() + seconds
    permitted = False
    while time.monotonic() < until and not (permitted and until_permitted):
        for role in LEASED:
            beats.beat(role, clock.now_ns())
        for message in map(decode, ipc.drain(bridge)):
            if isinstance(message, BoardStatus):
                permitted = message.permitted
        if not permitted:
            ipc.send(bridge, encode(Claim(5, releasing=True)))
        time.sleep(0.02)
    return permitted


def _spent_ns(pid: int) -> int:
    """Processor time of a process with one thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def measure(folder: Path, seconds: float = 5.0) -> list[Figure]:
    """Every figure; images are built in `folder`."""
    found = []
    for target in (Target.LM3S6965, Target.RP2040):
        image = build(target, folder / f"{target.value}.elf")
        name = target.value
        counts = instructions(target, image)
        limit = LEASE_LIMIT if target is Target.LM3S6965 else None
        fits = limit is None or counts["lease"] <= limit
        found.append(Figure(f"{name}, a lease", counts["lease"], limit, "instructions", fits))
        flash, ram = sizes(image)
        for what, value, unit in (
            ("a tick with evidence", counts["evidence"], "instructions"),
            ("a reading", counts["reading"], "instructions"),
            ("flash", flash, "bytes"),
            ("RAM less stack", ram, "bytes"),
        ):
            found.append(Figure(f"{name}, {what}", value, None, unit, True))
    share = round(bridge_share(seconds), 2)
    found.append(Figure("bridge, 20 leases and 50 evidence/s", share, None, "% of a core", True))
    return found
