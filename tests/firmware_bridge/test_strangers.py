"""A device that speaks, but is no board, is named by what it speaks."""

from __future__ import annotations

import random

import pytest

from firmware_bridge.strangers import TAIL, speaks

SENT = bytes(range(1, 60))


@pytest.mark.parametrize(
    ("tail", "named"),
    [
        (b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n" * 3, "NMEA"),
        (b"$GNRMC,081836,A\r\n", "NMEA"),
        (b"AT+GCAP\r\n" * 20, "AT commands"),
        (b"\r\nOK\r\n", "AT commands"),
        (b"Welcome to the boot loader\r\n> ", "text"),
        (bytes(TAIL), "zero bytes"),
        (random.Random(1).randbytes(TAIL), "no packets"),
        (b"\x7f" + SENT + b"\0", "echo"),
        (b"", ""),
    ],
)
def test_each_stranger_has_its_name(tail: bytes, named: str) -> None:
    found = speaks(tail, SENT)

    assert named in found if named else found == ""
