"""Images: from the linked ELF to the bytes in flash, and to the RP2040's UF2 file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from edge.errors import UsageError
from firmware_bridge.images.memory_map import RP2040
from firmware_bridge.images.uf2 import uf2

_ELF = struct.Struct("<16sHHIIIIIHHHHHH")
_SEGMENT = struct.Struct("<8I")
_SECTION = struct.Struct("<10I")
_SYMBOL = struct.Struct("<IIIBBH")
_LOAD = 1
_SYMBOLS = 2
_FUNCTION = 2


def _head(elf: bytes) -> tuple[int, ...]:
    if elf[:5] != b"\x7fELF\x01":
        raise UsageError("expected a 32-bit ELF file")
    found: tuple[int, ...] = _ELF.unpack_from(elf)[1:]
    return found


def segments(elf: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each loadable segment lies in memory before the start, and what it holds."""
    head = _head(elf)
    for number in range(head[9]):
        segment = _SEGMENT.unpack_from(elf, head[4] + number * head[8])
        kind, offset, _, address, size = segment[:5]
        if kind == _LOAD and size:
            yield address, elf[offset : offset + size]


def symbols(elf: bytes) -> dict[str, int]:
    """Addresses by name; of functions without the Thumb bit."""
    head = _head(elf)
    sections = [_SECTION.unpack_from(elf, head[5] + n * head[10]) for n in range(head[11])]
    table = next(section for section in sections if section[1] == _SYMBOLS)
    names = sections[table[6]][4]
    found = {}
    for at in range(table[4], table[4] + table[5], _SYMBOL.size):
        name, address, _, info, _, _ = _SYMBOL.unpack_from(elf, at)
        end = elf.index(b"\0", names + name)
        is_function = info & 15 == _FUNCTION
        found[elf[names + name : end].decode()] = address & ~1 if is_function else address
    return found


def flash_bytes(elf: bytes, start: int, end: int) -> bytes:
    """What the loadable segments put into flash from `start` on, gaps as 0xFF."""
    flash = bytearray()
    for address, content in segments(elf):
        if start <= address < end:
            at = address - start
            flash.extend(b"\xff" * (at + len(content) - len(flash)))
            flash[at : at + len(content)] = content
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
    flash = flash_bytes(elf.read_bytes(), RP2040.flash, RP2040.flash + RP2040.flash_size)
    boot2 = flash[: RP2040.boot2_size - 4]
    sealed = boot2 + boot_crc(boot2).to_bytes(4, "little") + flash[RP2040.boot2_size :]
    return uf2(sealed.ljust(-(-len(sealed) // 256) * 256, b"\xff"), RP2040.flash)
