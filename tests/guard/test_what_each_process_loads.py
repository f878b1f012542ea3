"""No process of the guard loads what it does not use; each large library is memory and a start."""

import json
import subprocess

import pytest

from edge import isolation

LARGE = {
    *("numpy", "cv2", "onnxruntime", "cedarpy", "cryptography"),
    *("securesystemslib", "prometheus_client", "rich"),
    *("argparse", "ast", "html.entities", "importlib.resources", "statistics", "zipfile"),
}
SEES, DECIDES = {"numpy", "cv2", "ast"}, {"cedarpy", "cryptography", "ast"}
ENTRIES = {
    "edge.guard.supervisor": DECIDES,
    "edge.daemon.service": DECIDES,
    "edge.status.process": set(),
    "edge.frames.capture": SEES,
    "edge.frames.gate_process": SEES,
    "edge.decision.decider": SEES | DECIDES | {"onnxruntime"},
    "firmware_bridge.process": set(),
}


@pytest.mark.slow
@pytest.mark.parametrize("module", ENTRIES)
def test_a_process_loads_what_it_uses_and_no_more(module):
    command = isolation.python("tests.support.imports", module)

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert LARGE & set(json.loads(done.stdout)) == ENTRIES[module]


def test_the_guards_processes_are_told_to_keep_one_thread_and_one_heap():
    """NumPy's library makes a thread for each core when it is loaded, and each has a heap."""
    given = isolation.environment()

    assert {given[name] for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")} == {"1"}
    assert given["MALLOC_ARENA_MAX"] == "1"


def test_a_matcher_keeps_its_own_threads_and_heaps():
    names = {"OMP_NUM_THREADS": "4", "PATH": "/bin"}

    given = isolation.cleaned(names)

    assert given["OMP_NUM_THREADS"] == "4"
    assert "MALLOC_ARENA_MAX" not in given
