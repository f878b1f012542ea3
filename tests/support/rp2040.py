"""The RP2040 image on an emulated Raspberry Pi Pico, in the emulated chip's own time.

Boots the UF2 files that a real board is flashed with, in the npm package
`rp2040js`: UART, pins, I2C chips, timer, SysTick, watchdog and flash. Nothing
depends on how fast this machine is. Not modelled: the boot ROM (what it does
is played), voltages, and how long a flash cell really takes.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edge.errors import BridgeError
from edge.isolation import environment
from firmware_bridge import store
from firmware_bridge.images.memory_map import RP2040
from firmware_bridge.images.uf2 import uf2
from firmware_bridge.provision import PLACES, Platform

_HARNESS = Path(__file__).with_name("rp2040.cjs")


def library() -> Path | None:
    """The folder of rp2040js, if this machine has it and node to run it."""
    if shutil.which("node") is None:
        return None
    folders = [os.environ.get("RP2040JS", ""), f"{sys.prefix}/node_modules/rp2040js"]
    return next((Path(f) for f in folders if f and Path(f, "package.json").exists()), None)


@dataclass(frozen=True, slots=True)
class Answer:
    """The results of one span of time."""

    us: int  # since power came
    uart: bytes
    line: list[tuple[int, bool]]  # microseconds, level of GPIO16
    resets: list[str]  # pin, watchdog


class Pico:
    """One board, flashed and provisioned; its floors last as long as it does."""

    def __init__(self, image: bytes, root: bytes, folder: Path) -> None:
        """`image` is the UF2 file of the firmware; `folder` takes the flash content."""
        found = library()
        if found is None:
            raise BridgeError("no emulated Pico: npm install --prefix .venv rp2040js")
        key = store.block(root).ljust(256, b"\xff")
        flash = bytearray(b"\xff" * RP2040.flash_size)
        for file in (image, uf2(key, PLACES[Platform.RP2040].address)):
            for at in range(0, len(file), 512):
                address, size = struct.unpack_from("<II", file, at + 12)
                start = address - RP2040.flash
                flash[start : start + size] = file[at + 32 : at + 32 + size]
        path = folder / "flash.bin"
        path.write_bytes(flash)
        self._process = subprocess.Popen(
            ["node", str(_HARNESS), str(found), str(path)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, us: int, uart: bytes = b"", bench: str = "") -> Answer:
        """Let `us` microseconds pass, after bytes for the UART and bench letters."""
        request = json.dumps({"us": us, "uart": uart.hex(), "bench": bench})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as err:
            raise BridgeError(f"the emulated Pico has ended: {err}") from err
        line = [(at_us, bool(level)) for at_us, level in answer["line"]]
        return Answer(answer["us"], bytes.fromhex(answer["uart"]), line, answer["resets"])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
