"""Images: from the linked ELF to the bytes in flash, and to the RP2040's UF2 file."""

from __future__ import annotations

import struct
from pathlib import Path

from edge.errors import UsageError
from firmware_bridge.provision import uf2

_ELF = struct.Struct("<16sHHIIIIIHHHHHH")
_SEGMENT = struct.Struct("<8I")
_LOAD = 1
BOOT2_SIZE = 256


def flash_bytes(elf: bytes, start: int, end: int) -> bytes:
    """What the loadable segments put into flash from `start` on, gaps as 0xFF."""
    head = _ELF.unpack_from(elf)
    if head[0][:5] != b"\x7fELF\x01":
        raise UsageError("expected a 32-bit ELF file")
    flash = bytearray()
    for number in range(head[10]):
        segment = _SEGMENT.unpack_from(elf, head[5] + number * head[9])
        kind, offset, _, address, size = segment[:5]
        if kind != _LOAD or not size or not start <= address < end:
            continue
        at = address - start
        flash.extend(b"\xff" * (at + size - len(flash)))
        flash[at : at + size] = elf[offset : offset + size]
    return bytes(flash)


def boot_crc(boot2: bytes) -> int:
    """CRC-32 as the RP2040's boot ROM takes it: 0x04C11DB7, start all ones, nothing reflected."""
    crc = 0xFFFF_FFFF
    for byte in boot2:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C1_1DB7 if crc & 1 << 31 else crc << 1) & 0xFFFF_FFFF
    return crc


def rp2040_uf2(elf: Path) -> bytes:
    """The UF2 file of a linked image, its second stage sealed with the boot ROM's CRC."""
    flash = flash_bytes(elf.read_bytes(), 0x1000_0000, 0x1020_0000)
    boot2 = flash[: BOOT2_SIZE - 4]
    sealed = boot2 + boot_crc(boot2).to_bytes(4, "little") + flash[BOOT2_SIZE:]
    return uf2(sealed.ljust(-(-len(sealed) // 256) * 256, b"\xff"), 0x1000_0000)
