"""What the gate's loop waits for: its channels, the matcher's socket, and the next frame's time."""

from __future__ import annotations

import select
from collections.abc import Iterable

from edge.clock import MS, Clock
from edge.frames.warm_up import WarmUp
from edge.heartbeat import REST_TURN_MS

TURN_MS = 40  # no heartbeat of a process that a lease needs is older


class Wait:
    """Polls for a turn at most, so that revocation never waits for a camera."""

    def __init__(self, channels: Iterable[int], clock: Clock, warm_up: WarmUp | None) -> None:
        """`channels` are polled always; `warm_up` is held before a frame that is due."""
        self._clock = clock
        self._warm_up = warm_up
        self._poll = select.poll()
        for fd in channels:
            self._poll.register(fd, select.POLLIN)
        self._watched: set[int] = set()  # descriptors of the endpoint

    def watch(self, fds: Iterable[int]) -> None:
        """Poll these descriptors of the endpoint from now on, and no others of it."""
        wanted = set(fds)
        for fd in self._watched - wanted:
            self._poll.unregister(fd)
        for fd in wanted - self._watched:
            self._poll.register(fd, select.POLLIN)
        self._watched = wanted

    def watched(self, ready: set[int]) -> bool:
        """Whether a descriptor of the endpoint is among `ready`."""
        return not self._watched.isdisjoint(ready)

    def ready(self, *, leased: bool, ends_ns: int | None = None, resting: bool = False) -> set[int]:
        """What is ready; under a lease a cache warm-up may be held, and ends the waiting.

        So does the end of the lease, at `ends_ns`: what was released under it is wiped at once.
        While the decider is `resting` and nothing is leased, a turn lasts longer.
        """
        now_ns = self._clock.now_ns()
        warm_up, wait_ms = self._warm_up, TURN_MS if leased or not resting else REST_TURN_MS
        if ends_ns is not None:
            wait_ms = min(wait_ms, max(0, -((now_ns - ends_ns) // MS)))
        if warm_up is not None and leased:
            early_ms = warm_up.pace.wait_ms(now_ns)
            if early_ms is not None and early_ms <= wait_ms:
                ready = {fd for fd, _ in self._poll.poll(early_ms)}
                if ready:
                    return ready
                warm_up.run()
                wait_ms = 0
        return {fd for fd, _ in self._poll.poll(wait_ms)}

    def frame_came(self, now_ns: int) -> None:
        """A frame came at `now_ns`; the next one's time follows."""
        if self._warm_up is not None:
            self._warm_up.pace.arrived(now_ns)
