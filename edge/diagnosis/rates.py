"""What a measured pace means: which evidence will not keep up here, and how long a start takes.

The decider reads one evidence frame after the other. In the longest round it looks at view and
motion and for people. A frame that waited for such a round is read in a short one: view, motion,
at times the scene. A reading that is older than its validity blocks, so the next one must be there
before. Pure.
"""

from __future__ import annotations

import math

from edge.clock import MS, S
from edge.diagnosis.findings import Finding, State
from edge.diagnosis.pace import Pace
from edge.evidence.context import REQUIRED
from edge.evidence.readings import Source
from edge.evidence.vision import PEOPLE_NS, SCENE_NS, VIEW_NS
from edge.frames.gate import Limits
from edge.scheduling import MAX_START_LIMIT_S

START_FACTOR = 2.0  # a start's processes load at the same time, on few processors
BUSY = 0.8  # share of one processor from which on the decider has no room left


def unmeasured(why: str) -> Finding:
    return Finding("speed", State.DEGRADED, f"not measured: {why}", "mend that and ask again")


def start(pace: Pace, limit_s: float) -> Finding:
    """`limit_s`: what each process of the guard has to be ready."""
    found = f"a process is ready after {pace.ready_s:.1f} s, the limit is {limit_s:g} s"
    wanted = math.ceil(pace.ready_s * START_FACTOR)
    if wanted <= limit_s:
        return Finding("start time", State.OK, found, needed=True)
    state = State.DEGRADED if pace.ready_s <= limit_s else State.MISSING
    todo = f"set start_limit_s = {min(wanted, MAX_START_LIMIT_S)} (--start-limit)"
    return Finding("start time", state, found, todo, needed=True)


def rates(pace: Pace, *, bracketed: bool = True) -> Finding:
    """`bracketed`: whether each frame waits for evidence from after it."""
    parts = (
        ("people", pace.people_ns, PEOPLE_NS),
        ("view", pace.view_ns, VIEW_NS),
        ("motion", pace.motion_ns, VIEW_NS),
        ("scene", pace.scene_ns, SCENE_NS),
    )
    load = sum(spent_ns / period_ns for _, spent_ns, period_ns in parts)
    found = f"at {pace.width}x{pace.height}: " + ", ".join(
        f"{name} {_rate(S / max(1, spent_ns))}/s of {S / period_ns:g} needed"
        for name, spent_ns, period_ns in parts
    )
    found += f"; together {load:.0%} of one processor"
    slow = _too_slow(pace, bracketed=bracketed)
    if slow:
        todo = (
            "frames will stay blocked: use a faster device; a smaller picture helps view and motion"
        )
        return Finding("evidence rates", State.MISSING, f"{found}; {slow}", todo, needed=True)
    if load > BUSY:
        todo = (
            "permits will be lost when the device is busy: use a smaller picture or a faster device"
        )
        return Finding("evidence rates", State.DEGRADED, found, todo, needed=True)
    return Finding("evidence rates", State.OK, found, needed=True)


def _too_slow(pace: Pace, *, bracketed: bool) -> str:
    """What will not keep up, in words; empty if all does."""
    common_ns = pace.view_ns + pace.motion_ns
    long_ns, short_ns = common_ns + pace.people_ns, max(VIEW_NS, common_ns + pace.scene_ns)
    people_ns = max(PEOPLE_NS, long_ns + short_ns) + long_ns
    ages = ((Source.VIEW, "view", short_ns + long_ns), (Source.PEOPLE, "people", people_ns))
    slow = []
    for source, name, age_ns in ages:
        valid_ns = REQUIRED[source].valid_ns
        if age_ns >= valid_ns:
            slow.append(
                f"{name} will not keep up: a reading is {age_ns // MS} ms old before the next one "
                f"is there, and counts for {valid_ns // MS} ms"
            )
    patience_ns = Limits().max_age_ns
    if bracketed and people_ns > patience_ns:
        slow.append(
            f"a frame waits {patience_ns // MS} ms at most for the next look for people, which "
            f"ends after up to {people_ns // MS} ms"
        )
    return "; ".join(slow)


def _rate(hz: float) -> str:
    return f"{hz:.0f}" if hz >= 10 else f"{hz:.1f}"
