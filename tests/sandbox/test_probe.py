"""What the sandbox's probe says of a layer: present only if it was put on, and by word."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from edge.errors import SandboxError
from edge.sandbox import launcher, privileges, spec
from edge.sandbox.spec import LAYERS, Confinement, Layer


def fails(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


BROKEN: dict[str, tuple[Callable[[], None], str]] = {
    "a refusal": (fails(SandboxError("no such layer")), "no such layer"),
    "the kernel's": (fails(OSError(1, "Operation not permitted")), "Operation not permitted"),
    "a bug": (fails(ValueError("odd")), "ValueError: odd"),
    "a missing symbol": (fails(AttributeError("prctl")), "AttributeError: prctl"),
    "an interrupt": (fails(KeyboardInterrupt()), "KeyboardInterrupt"),
    "an early end": (lambda: os._exit(0), "ended with code 0"),
    "a signal": (lambda: os.kill(os.getpid(), signal.SIGKILL), "ended by signal 9"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("work", "expected"), BROKEN.values(), ids=list(BROKEN))
def test_a_layer_that_fails_in_any_way_is_missing(work: Callable[[], None], expected: str) -> None:
    assert expected in launcher._in_child(work)


def test_a_layer_that_was_put_on_is_present() -> None:
    assert launcher._in_child(lambda: None) == ""


@pytest.mark.slow
def test_a_layer_that_the_next_ones_cannot_stand_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def put_on(layer: Layer, order: object) -> None:
        on.append(layer)
        if layer is Layer.OWN_UID and Layer.NETWORK in on:
            raise SandboxError("own_uid: not in this namespace")

    on: list[Layer] = []  # a fork's copy: each try begins with none
    monkeypatch.setattr(launcher, "_put_on", put_on)
    monkeypatch.setattr(privileges, "has", lambda capability: True)

    found = launcher._probe()

    assert found.pop("own_uid") == "own_uid: not in this namespace"
    assert set(found.values()) == {""}


@pytest.mark.parametrize("admin", [True, False])
def test_the_order_goes_by_the_capability_and_not_by_being_root(
    admin: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(privileges, "has", lambda capability: admin)

    ordered = launcher._in_order(LAYERS)

    assert (ordered.index(Layer.NETWORK) < ordered.index(Layer.OWN_UID)) is admin
    assert set(ordered) == set(LAYERS)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="root's capabilities are taken from root")
def test_root_without_cap_sys_admin_gets_every_layer() -> None:
    """A bounding set without CAP_SYS_ADMIN, as a container has it."""
    without_admin = (
        "import ctypes, os, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.prctl(24, 21, 0, 0, 0)\n"  # PR_CAPBSET_DROP; gone at the next exec
        "os.execv(sys.executable, [sys.executable, '-m', 'edge.sandbox.launcher', '--probe'])"
    )
    run = subprocess.run([sys.executable, "-c", without_admin], capture_output=True, timeout=60)
    here = spec.missing()

    found = spec.lacking(run.stdout)

    if "network_namespace" in {layer.value for layer in found}:
        pytest.skip("no user namespace can be made here")
    assert set(found) == set(here)


WHOLE = {layer.value: "" for layer in LAYERS}


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_that_the_answer_leaves_out_is_missing(layer: Layer) -> None:
    answer = {name: why for name, why in WHOLE.items() if name != layer.value}

    assert set(spec.lacking(json.dumps(answer).encode())) == {layer}
    assert spec.lacking(json.dumps(WHOLE).encode()) == {}


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"null", b'"none missing"'])
def test_what_is_no_answer_says_nothing_of_the_layers(answer: bytes) -> None:
    with pytest.raises(SandboxError, match="could not be tried: expected"):
        spec.lacking(answer)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("/nowhere/python", "No such file or directory"),
        ("/bin/false", "ended with code 1: no output"),
    ],
)
def test_a_probe_that_cannot_run_advises_to_give_up_no_layer(
    program: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program)

    with pytest.raises(SandboxError) as caught:
        spec.require(Confinement())

    assert expected in str(caught.value)
    assert "without" not in str(caught.value)


def test_a_missing_layer_is_named_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        spec, "missing", lambda: {Layer.LANDLOCK: "landlock: none", Layer.NO_CORE: ""}
    )

    with pytest.raises(SandboxError, match=r'without = \["landlock"\]$'):
        spec.require(Confinement(without=frozenset({Layer.NO_CORE})))
    spec.require(Confinement(without=frozenset({Layer.NO_CORE, Layer.LANDLOCK})))
