"""The memory map of each chip: one table for image, emulator and provisioning.

The build hands the table to C as macros and to the linker as a script; the
emulators and the provisioning read it as it is. Addresses and sizes in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template

_LINKER_SCRIPT = Path(__file__).parents[1] / "firmware" / "memory.ld.in"


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """Flash, from below: second stage (if any), image, counters (if in flash), key block."""

    board_kind: int  # the board's name in its greeting
    flash: int
    flash_size: int
    boot2_size: int  # of the second stage of the boot loader
    ram: int
    ram_size: int  # what the image may use
    store: int  # the provisioned key block; `firmware/store.h`
    counters: int  # the rollback counters; `firmware/rollback_counters.h`
    counters_size: int
    survives: int = 0  # RAM that a reset leaves alone, where the emulator puts its seed

    @property
    def image_end(self) -> int:
        """The first address behind the image's share of flash."""
        in_flash = self.flash <= self.counters < self.flash + self.flash_size
        return min(self.counters, self.store) if in_flash else self.store

    def macros(self) -> list[str]:
        """The table as options of the C compiler."""
        values = {
            "BOARD_KIND": self.board_kind,
            "FLASH_ADDRESS": self.flash,
            "STORE_ADDRESS": self.store,
            "COUNTERS_ADDRESS": self.counters,
            "COUNTERS_SIZE": self.counters_size,
            "SURVIVES_ADDRESS": self.survives,
        }
        return [f"-DFG_{name}={value:#x}U" for name, value in values.items()]

    def linker_script(self) -> str:
        """The table as a linker script."""
        image = self.flash + self.boot2_size
        return Template(_LINKER_SCRIPT.read_text()).substitute(
            boot2=f"{self.flash:#x}",
            boot2_size=f"{self.boot2_size:#x}",
            image=f"{image:#x}",
            image_size=f"{self.image_end - image:#x}",
            ram=f"{self.ram:#x}",
            ram_size=f"{self.ram_size:#x}",
        )


# QEMU models no flash of this chip that can be written: what must outlive a reset
# lies in the last 256 bytes of RAM, seed and boot count first.
LM3S6965 = MemoryMap(
    board_kind=3,
    flash=0x0000_0000,
    flash_size=0x4_0000,
    boot2_size=0,
    ram=0x2000_0000,
    ram_size=0xFF00,
    store=0x0003_FC00,
    counters=0x2000_FF20,
    counters_size=192,
    survives=0x2000_FF00,
)
RP2040 = MemoryMap(
    board_kind=4,
    flash=0x1000_0000,
    flash_size=0x20_0000,
    boot2_size=0x100,
    ram=0x2000_0000,
    ram_size=0x4_0000,
    store=0x101F_F000,
    counters=0x101F_D000,
    counters_size=0x2000,
)
