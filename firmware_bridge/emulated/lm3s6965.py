"""An emulated Cortex-M3 board: the real firmware image in QEMU's lm3s6965evb.

The interlock pin is watched by qtest on the emulated GPIO block itself, the
watchdog and resets by QMP. UART0 is a pseudo-terminal for the bridge, UART1
takes bench commands (`firmware/fault_injection.h`). Nothing here is needed by the guard.

A reset lets the pin float, and the pull-down that the wiring demands takes it
low: the watch counts a reset as low. The emulator's own memory of the level is
then stale and would swallow the next rise, so until that the pin is asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.clock import BootClock
from edge.errors import BridgeError
from edge.isolation import environment
from firmware_bridge import store
from firmware_bridge.images.memory_map import LM3S6965

QEMU = "qemu-system-arm"
_PORT_F = 0x40025000  # GPIOF in lm3s6965/registers.h
_START_S = 10.0
_PACE = 6  # 2^6 ns an instruction: 12.5 MHz at 0.8 of an instruction a cycle
_TICK_MS = 1 / 12_500
_STALL_MS = 1.5  # the board's timer calls every millisecond of its own time
_LINE_PIN = "0"
_LINE_READ = f"readl {_PORT_F + 4:#x}\n".encode()


def available() -> bool:
    """Whether this machine has the emulator."""
    return shutil.which(QEMU) is not None


@dataclass(frozen=True, slots=True)
class BoardDelay:
    """Milliseconds of board time to a change of the line, under 1,300 each."""

    since_host: float  # since the host's last byte had come
    since_bench: float  # since a sensor was last played
    stalled: bool  # this machine held the emulator up, so that its clock jumped meanwhile


class Emulator:
    """One powered board; `close` takes the power away. A rig of `firmware_bridge.checks`."""

    name = "qemu"
    plays_sensors = True
    watches_line = True
    has_watchdog = True

    def __init__(self, image: Path, root: bytes, *, paced: bool = False) -> None:
        """`paced`: an instruction takes 64 ns of board time, however slow this machine is."""
        if not available():
            raise BridgeError(f"{QEMU} is not installed: apt-get install qemu-system-arm")
        self.image = image
        self.line = False
        self.changes: list[tuple[int, bool]] = []  # CLOCK_BOOTTIME ns, level
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._clock = BootClock()
        self._answers: list[dict[str, Any]] = []
        self._folder = Path(tempfile.mkdtemp(prefix="framegate-board-"))
        (self._folder / "store").write_bytes(store.block(root))
        (self._folder / "seed").write_bytes(secrets.token_bytes(8))
        self._process = self._start(image, paced=paced)
        try:
            self.port, bench = self._terminals()
            self._held = [os.open(path, os.O_RDWR | os.O_NOCTTY) for path in (self.port, bench)]
            for fd in self._held:  # kept: QEMU looks for a new reader but once a second
                tty.setraw(fd)
            self._qmp = self._connect("qmp")
            self._qtest = self._connect("qtest")
            threading.Thread(target=self._read_qmp, daemon=True).start()
            self._command("qmp_capabilities")
            path = self._gpio_path()
            threading.Thread(target=self._read_qtest, daemon=True).start()
            self._qtest.sendall(f"irq_intercept_out {path}\n".encode())
            self._command("cont")
        except (OSError, BridgeError):
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def bench(self, command: str) -> None:
        """Send bench commands, one letter each."""
        os.write(self._held[1], command.encode())

    def ask_delay(self) -> None:
        """Let the board measure the time to the next change of its line."""
        self.bench("l")

    def delay(self, timeout_s: float = 2.0) -> BoardDelay:
        """The board's figures, once the line has changed."""
        line = b""
        end = time.monotonic() + timeout_s
        while not line.endswith(b"\n"):
            if not select.select([self._held[1]], [], [], max(end - time.monotonic(), 0))[0]:
                raise BridgeError(f"{QEMU}: the board did not report when its line changed")
            line += os.read(self._held[1], 64)
        host, bench, paused = (int(line[at : at + 8], 16) * _TICK_MS for at in (0, 8, 16))
        return BoardDelay(host, bench, stalled=paused > _STALL_MS)

    def wait_for(self, met: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `met`, asked at each change of pin or event; False on timeout."""
        with self._changed:
            return self._changed.wait_for(met, timeout_s)

    def reset(self) -> None:
        """Pull the reset line for a moment."""
        self._command("system_reset")

    def close(self) -> None:
        """End the emulator; a second call does nothing."""
        self._process.kill()
        self._process.wait()
        held, self._held = getattr(self, "_held", []), []
        for fd in held:
            os.close(fd)
        for name in ("_qmp", "_qtest"):
            if hasattr(self, name):
                getattr(self, name).close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, image: Path, *, paced: bool) -> subprocess.Popen[str]:
        prctl = ctypes.CDLL(None).prctl

        def end_with_parent() -> None:
            prctl(1, signal.SIGKILL, 0, 0, 0)

        command = [QEMU, "-M", "lm3s6965evb", "-kernel", str(image), "-S", "-display", "none"]
        command += ["-monitor", "none", "-serial", "pty", "-serial", "pty", "-accel", "tcg"]
        for name in ("qtest", "qmp"):
            command += [f"-{name}", f"unix:{self._folder / name},server=on,wait=off"]
        command += ["-qtest-log", "/dev/null", "-watchdog-action", "reset"]
        for name, address in (("store", LM3S6965.store), ("seed", LM3S6965.survives)):
            file = self._folder / name
            command += ["-device", f"loader,file={file},addr={address:#x},force-raw=on"]
        if paced:
            command += ["-icount", f"shift={_PACE}"]
        with (self._folder / "log").open("w") as log:
            return subprocess.Popen(
                command,
                env=environment(),
                stdout=log,
                stderr=log,
                text=True,
                preexec_fn=end_with_parent,
            )

    def _terminals(self) -> tuple[str, str]:
        end = time.monotonic() + _START_S
        while time.monotonic() < end and self._process.poll() is None:
            found = re.findall(r"redirected to (/dev/pts/\d+)", (self._folder / "log").read_text())
            if len(found) >= 2:
                return found[0], found[1]
            time.sleep(0.01)
        log = (self._folder / "log").read_text().strip()[-200:]
        raise BridgeError(f"{QEMU} did not start: {log or 'no output'}")

    def _connect(self, name: str) -> socket.socket:
        channel = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + _START_S
        while True:
            try:
                channel.connect(str(self._folder / name))
                return channel
            except OSError as err:
                if time.monotonic() > end:
                    raise BridgeError(f"{QEMU} offers no {name} socket: {err}") from err
                time.sleep(0.01)

    def _read_qmp(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for text in self._qmp.makefile():
                message = json.loads(text)
                with self._changed:
                    (self.events if "event" in message else self._answers).append(message)
                    if message.get("event") == "RESET" and self.line:
                        self._show(False)
                        threading.Thread(target=self._ask_pin, daemon=True).start()
                    self._changed.notify_all()

    def _read_qtest(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for text in self._qtest.makefile():
                words = text.split()
                with self._changed:
                    if words[:1] == ["IRQ"] and words[2] == _LINE_PIN:
                        self._show(words[1] == "raise")
                    elif words[:1] == ["OK"] and len(words) == 2 and int(words[1], 16) & 1:
                        self._show(True)

    def _show(self, level: bool) -> None:
        if level is not self.line:
            self.line = level
            self.changes.append((self._clock.now_ns(), level))
            self._changed.notify_all()

    def _ask_pin(self) -> None:
        with contextlib.suppress(OSError):
            while not self.line:
                self._qtest.sendall(_LINE_READ)
                time.sleep(0.002)

    def _command(self, name: str, **arguments: Any) -> Any:
        with self._changed:
            self._answers = [a for a in self._answers if "QMP" in a]
        text = json.dumps({"execute": name, "arguments": arguments})
        self._qmp.sendall(text.encode() + b"\n")

        def answered() -> bool:
            return any("return" in a or "error" in a for a in self._answers)

        if not self.wait_for(answered, _START_S):
            raise BridgeError(f"{QEMU} did not answer {name}")
        answer = next(a for a in self._answers if "QMP" not in a)
        if "error" in answer:
            raise BridgeError(f"{QEMU} refused {name}: {answer['error'].get('desc')}")
        return answer["return"]

    def _gpio_path(self) -> str:
        """Where the emulator keeps the GPIO block of port F."""
        for child in self._command("qom-list", path="/machine/unattached"):
            if "pl061" not in child["type"]:
                continue
            path = f"/machine/unattached/{child['name']}"
            for part in self._command("qom-list", path=path):
                if "memory-region" in part["type"]:
                    address = self._command(
                        "qom-get", path=f"{path}/{part['name']}", property="addr"
                    )
                    if address == _PORT_F:
                        return path
        raise BridgeError(f"{QEMU} has no GPIO block at {_PORT_F:#x}")
