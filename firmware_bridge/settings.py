"""What the bridge process is told on its standard input."""

from __future__ import annotations

from dataclasses import dataclass, field

BAUD = 115_200


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Written by the guard, read once."""

    port: str  # path of the board's serial port
    key: bytes = field(repr=False)  # the board's root key
    beats_fd: int
    decider_fd: int  # the bridge's end of the channel
    simulated: bool = False  # a board with simulated sensors may answer; otherwise only a real one
    baud: int = BAUD
