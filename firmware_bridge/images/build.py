"""Builds the firmware: host library, host process, emulated board, RP2040 image.

    python -m firmware_bridge.images.build lm3s6965 OUT.elf
    python -m firmware_bridge.images.build rp2040 OUT.uf2      (.uf2: for the boot loader; else ELF)

The compiler is clang from the `ziglang` package, one tool for host and Cortex-M.
The rule (`interlock.c`, `protocol.c`, `rollback_counters.c`) is the same source in every target.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from edge.errors import UsageError
from edge.isolation import cleaned
from firmware_bridge.images import memory_map
from firmware_bridge.images.elf import rp2040_uf2

FIRMWARE = Path(__file__).parents[1] / "firmware"
RULE = (FIRMWARE / "interlock.c", FIRMWARE / "protocol.c", FIRMWARE / "rollback_counters.c")
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
_BARE = (
    *("-mfloat-abi=soft", "-Os", "-g", "-ffreestanding", "-nostdlib", "-lcompiler_rt"),
    *("-ffunction-sections", "-fno-sanitize=undefined", "-Wl,--gc-sections", "-Wl,-e,reset"),
    f"-I{FIRMWARE}",
)
_TRAPPED = ["-fsanitize=undefined", "-fsanitize-trap=all", "-fno-sanitize=function"]
_PLAYED = str(FIRMWARE / "fault_injection.c")  # where sensors can be played
_STORE = str(FIRMWARE / "store.c")


class Target(Enum):
    """What can be built."""

    LIBRARY = "library"  # shared; undefined behaviour ends the process
    HOST = "host"  # process on a pseudo-terminal
    LM3S6965 = "lm3s6965"  # Cortex-M3, runs in QEMU
    RP2040 = "rp2040"  # Cortex-M0+, real boards


CHIPS = {Target.LM3S6965: memory_map.LM3S6965, Target.RP2040: memory_map.RP2040}


def _cortex(target: Target, cpu: str) -> tuple[str, ...]:
    folder = FIRMWARE / target.value
    return (
        *("-target", "thumb-freestanding-eabi", f"-mcpu={cpu}", *_BARE, *CHIPS[target].macros()),
        *(str(path) for path in (*sorted(folder.glob("*.c")), *sorted(folder.glob("*.S")))),
        *(f"-I{folder}", str(FIRMWARE / "main_loop.c"), _STORE),
    )


def _flags(target: Target) -> tuple[str, ...]:
    match target:
        case Target.LIBRARY:
            return ("-shared", "-fPIC", "-O1", *_TRAPPED)
        case Target.HOST:
            program = str(FIRMWARE / "host" / "main.c")
            return ("-O1", "-D_GNU_SOURCE", f"-I{FIRMWARE}", program, _PLAYED, _STORE)
        case Target.LM3S6965:
            return (*_cortex(target, "cortex_m3"), _PLAYED)
        case Target.RP2040:
            return _cortex(target, "cortex_m0plus")


def build(target: Target, out: Path, *, extra: Sequence[str] = ()) -> Path:
    """Compile `target` to `out`; `extra` flags come last. An RP2040 image may be a UF2 file.

    Raises:
        UsageError: the compiler is not installed, or does not accept the source.
    """
    if importlib.util.find_spec("ziglang") is None:
        raise UsageError("no C compiler: install framegate[test], which brings ziglang")
    out.parent.mkdir(parents=True, exist_ok=True)
    if target is Target.RP2040 and out.suffix == ".uf2":
        elf = build(target, out.with_suffix(".elf"), extra=extra)
        out.write_bytes(rp2040_uf2(elf))
        return out
    command = [sys.executable, "-I", "-m", "ziglang", "cc", *STRICT, *map(str, RULE)]
    command += [*_flags(target), *extra, "-o", str(out)]
    with tempfile.TemporaryDirectory(prefix="framegate-build-") as folder:
        if target in CHIPS:
            script = Path(folder, "memory.ld")
            script.write_text(CHIPS[target].linker_script())
            command.append(f"-Wl,-T,{script}")
        done = subprocess.run(
            command, env=cleaned(os.environ), capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise UsageError(f"cannot build {target.value}: {done.stderr.strip()}")
    return out


def main(argv: Sequence[str]) -> int:
    """Build one target from the command line."""
    names = [target.value for target in Target]
    if len(argv) != 2 or argv[0] not in names:
        print(
            f"usage: python -m firmware_bridge.images.build {{{','.join(names)}}} OUT",
            file=sys.stderr,
        )
        return 2
    try:
        print(build(Target(argv[0]), Path(argv[1])))
    except UsageError as err:
        print(err, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
