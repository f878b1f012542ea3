"""The bridge turns half as often while the decider needs little, and as often as ever otherwise."""

from __future__ import annotations

import os

import pytest

from edge import ipc
from edge.clock import MS
from edge.heartbeat import LEASED, REST_MARK_NS, Beats
from firmware_bridge import process
from firmware_bridge.bridge import GAP_NS
from firmware_bridge.packets import Keys
from firmware_bridge.process import REST_TURN_MS, TURN_MS, Loop
from firmware_bridge.session import LINK_LIFE_NS, PING_NS, Session
from firmware_bridge.settings import BAUD
from tests.support.boards import ROOT


@pytest.mark.parametrize("ahead_ns", [0, REST_MARK_NS])
def test_a_turn_is_longer_only_while_the_decider_rests(monkeypatch, ahead_ns):
    waited = []
    monkeypatch.setattr(process.select, "select", lambda *given: waited.append(given[-1]))
    ours, theirs = os.openpty()
    mine, decider = ipc.pair()
    beats = Beats.create()
    loop = Loop(os.ttyname(theirs), BAUD, Session(Keys.derive(ROOT)), beats, decider)
    now_ns = 10**9
    for role in LEASED:
        beats.beat(role, now_ns)
    beats.rest(now_ns + ahead_ns if ahead_ns else 0)

    loop.turn(now_ns)
    loop.wait()

    assert waited == [(REST_TURN_MS if ahead_ns else TURN_MS) / 1000]
    for end in (mine, decider):
        end.close()
    os.close(ours)
    os.close(theirs)


def test_a_turn_at_rest_is_no_pause_and_keeps_the_link():
    assert REST_TURN_MS * MS < GAP_NS
    assert REST_TURN_MS * MS <= PING_NS < LINK_LIFE_NS // 2
