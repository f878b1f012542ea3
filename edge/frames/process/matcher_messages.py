"""Forwards the matcher's messages: comparisons, results, and that it connected."""

from __future__ import annotations

import socket

from edge import ipc
from edge.clock import MS
from edge.frames import lifecycle
from edge.frames.lifecycle import MatcherConnected, MatcherResult, ResultRefused
from edge.frames.matcher_endpoint import MatcherEndpoint
from edge.frames.messages import encode

COMPLAINT_NS = 1_000 * MS  # the parent hears of refused results this often at most


class MatcherMessages:
    """Serves the endpoint, and passes on what it took in."""

    def __init__(
        self, endpoint: MatcherEndpoint, decider: socket.socket, parent: socket.socket
    ) -> None:
        """`decider` is told of comparisons, `parent` of results and of new matchers."""
        self._endpoint = endpoint
        self._decider = decider
        self._parent = parent
        self._complained_ns = -COMPLAINT_NS

    def serve(self, now_ns: int) -> None:
        """Read the waiting messages at the endpoint."""
        endpoint = self._endpoint
        before = endpoint.listening
        endpoint.serve(now_ns)
        for report in endpoint.reports:
            if not ipc.send(self._decider, encode(report)):
                endpoint.show_out()  # the comparison is not counted: no more frames
        endpoint.reports.clear()
        for result in endpoint.results:
            ipc.send(self._parent, lifecycle.encode(MatcherResult(*result)))
        endpoint.results.clear()
        due = endpoint.broke_off or now_ns - self._complained_ns >= COMPLAINT_NS
        if endpoint.complaint and due:
            refused = ResultRefused(endpoint.complaint, endpoint.broke_off)
            if ipc.send(self._parent, lifecycle.encode(refused)):
                self._complained_ns, endpoint.complaint = now_ns, ""
                endpoint.broke_off = False
        if endpoint.listening and not before:
            ipc.send(self._parent, lifecycle.encode(MatcherConnected()))
