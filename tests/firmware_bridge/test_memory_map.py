"""One table says where things lie on a chip; nothing overlaps and nobody keeps a second one."""

from __future__ import annotations

import itertools
import re

import pytest

from firmware_bridge.images.build import CHIPS, FIRMWARE
from firmware_bridge.images.memory_map import LM3S6965, RP2040, MemoryMap
from firmware_bridge.provision import PLACES, Platform
from firmware_bridge.store import SIZE


@pytest.mark.parametrize("chip", CHIPS.values(), ids=lambda chip: f"kind {chip.board_kind}")
def test_image_counters_and_key_block_lie_apart(chip: MemoryMap) -> None:
    image = (chip.flash, chip.image_end)
    counters = (chip.counters, chip.counters + chip.counters_size)
    store = (chip.store, chip.store + SIZE)
    ram = (chip.ram, chip.ram + chip.ram_size)

    places = sorted([image, counters, store, ram])

    assert all(before[1] <= after[0] for before, after in itertools.pairwise(places))
    assert chip.flash <= chip.store < chip.flash + chip.flash_size


def test_provisioning_writes_where_the_image_reads() -> None:
    assert PLACES[Platform.RP2040].address == RP2040.store
    assert PLACES[Platform.LM3S6965].address == LM3S6965.store


def test_no_source_file_has_a_memory_address_of_its_own() -> None:
    known = {chip.store for chip in CHIPS.values()} | {chip.counters for chip in CHIPS.values()}
    sources = [*FIRMWARE.rglob("*.[ch]"), *FIRMWARE.parent.glob("*.py")]

    found = {
        (path.name, number)
        for path in sources
        if path.name != "memory_map.py"
        for number in re.findall(r"\b0x[0-9A-Fa-f_]+", path.read_text())
        if int(number, 16) in known
    }

    assert found == set()
