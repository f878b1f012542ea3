"""Which dependencies have no wheel for a processor: they would have to be compiled there.

Asked of the Python index in November 2026, for CPython 3.13 and the GNU C library;
`docs/devices.md` shows the same table.
"""

from __future__ import annotations

from edge.diagnosis.findings import Finding, State

NEEDED = {  # by what `uname -m` prints; what the guard itself needs
    "aarch64": (),
    "armv7l": ("opencv-python-headless", "onnxruntime", "numpy", "cedarpy", "PyYAML", "cffi"),
    "x86_64": (),
}
MEASURING = {  # only for `framegate bench` and some tests
    "aarch64": ("iceoryx2", "celine-regorus", "hdrhistogram"),
    "armv7l": ("iceoryx2", "celine-regorus", "hdrhistogram"),
    "x86_64": (),
}


def processor(machine: str, pointer_bits: int) -> Finding:
    """What the Python index offers for this processor.

    Args:
        machine: what `uname -m` prints.
        pointer_bits: of this Python; 32 on a 64-bit kernel means 32-bit wheels.
    """
    if machine in ("aarch64", "armv8l") and pointer_bits == 32:
        machine = "armv7l"
    if machine not in NEEDED:
        return Finding(
            "processor",
            State.DEGRADED,
            f"{machine}, {pointer_bits} bit: the guard was not tried on it",
            "use a 64-bit ARM or x86 computer",
        )
    found = f"{machine}, {pointer_bits} bit: "
    if NEEDED[machine]:
        return Finding(
            "processor",
            State.DEGRADED,
            f"{found}no wheel for {', '.join(NEEDED[machine])}",
            "install a 64-bit system: the guard is not tried on 32 bit",
        )
    found += "every needed dependency has a wheel"
    if MEASURING[machine]:
        found += f"; for measuring, none for {', '.join(MEASURING[machine])}"
    return Finding("processor", State.OK, found)
