"""A hundred thousand random lives are the same in Python and in the firmware's C."""

from __future__ import annotations

import pytest

from tests.firmware_bridge.test_virtual_board_differential import compare

pytestmark = pytest.mark.hil


@pytest.mark.timeout(900)
def test_a_hundred_thousand_random_lives_are_the_same(make_c, request):
    if not request.config.getoption("--emulated"):
        pytest.skip("the long run is part of `make hil`")

    seen = compare(make_c, range(100_000))

    assert seen["steps"] >= 1_300_000
    assert seen["permitted"] > seen["steps"] // 20
