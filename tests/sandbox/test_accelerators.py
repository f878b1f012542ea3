"""Accelerators by name: their device nodes and requests, and nothing else."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge import isolation
from edge.commissioning.records import parse_device
from edge.errors import RecordError
from edge.sandbox import accelerators, spec
from edge.sandbox.seccomp import MACHINES, program
from edge.sandbox.spec import Confinement
from edge.wire import to_json
from tests.attacks.test_matcher_calls import ALLOW, REFUSE, judged_by

MISSING = frozenset(spec.missing())
TRIES = """
import fcntl, json, os, sys
def tried(work):
    try:
        return work()
    except OSError as err:
        return err.strerror
node = sys.argv[1]
fd = tried(lambda: os.open(node, os.O_RDWR))
found = {"open": fd if isinstance(fd, str) else "done"}
found["tty"] = tried(lambda: fcntl.ioctl(0, 0x5412, b"x"))
if not isinstance(fd, str):
    found["read"] = os.read(fd, 4).hex()
    found["own"] = tried(lambda: fcntl.ioctl(fd, 0x6700))
    found["camera"] = tried(lambda: fcntl.ioctl(fd, 0x5600))
print(json.dumps(found))
"""


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """A stand-in for /dev: a node that gives zeros, named as an accelerator's."""
    folder = tmp_path / "dev"
    folder.mkdir()
    (folder / "hailo.txt").write_text("no node")
    (folder / "hailo1").write_text("no node either")
    try:
        os.mknod(folder / "hailo0", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        os.close(os.open(folder / "hailo0", os.O_RDWR))
    except OSError as err:
        pytest.skip(f"no device node can be made or opened here: {err.strerror}")
    return folder


def tries(node: Path, confinement: Confinement) -> dict[str, str]:
    command = (sys.executable, "-I", "-c", TRIES, str(node))
    order = spec.order(command, confinement, -1)
    done = subprocess.run(
        isolation.python("edge.sandbox.launcher", to_json(order)),
        env=spec.environment({}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_node_that_the_record_names_is_opened_and_asked_and_no_other(dev: Path) -> None:
    (node,) = accelerators.nodes("hailo", dev)
    given = Confinement(without=MISSING, accelerators=("hailo",), devices=(node,))

    found = tries(node, given)

    assert (found["open"], found["read"]) == ("done", "00000000")
    assert found["own"] == "Inappropriate ioctl for device"  # it reached the driver of zeros
    assert found["camera"] == found["tty"] == "Operation not permitted"  # these reached nobody


def test_without_the_record_the_node_is_closed(dev: Path) -> None:
    assert tries(dev / "hailo0", Confinement(without=MISSING))["open"] != "done"


def test_only_device_nodes_count_and_a_codec_only_by_its_drivers_word(dev: Path) -> None:
    os.mknod(dev / "video0", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    (dev / "dri").mkdir()
    os.mknod(dev / "dri" / "renderD128", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    os.mknod(dev / "dri" / "card0", stat.S_IFCHR | 0o600, os.makedev(1, 5))

    assert accelerators.nodes("hailo", dev) == (dev / "hailo0",)
    assert accelerators.nodes("v4l2-m2m", dev) == ()
    assert accelerators.nodes("dri", dev) == (dev / "dri" / "renderD128",)
    assert accelerators.nodes("nvidia", dev) == ()


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", accelerators.NAMES)
def test_the_filter_lets_an_accelerators_requests_by_and_never_a_terminals(
    machine: str, name: str
) -> None:
    number = MACHINES[machine].judged["ioctl"]
    kinds = accelerators.types((name,))
    code = program(machine, 1, requests=kinds)

    for kind in range(256):
        expected = ALLOW if kind in kinds else REFUSE
        request = 0xC0000000 | kind << 8 | 0xFF
        assert judged_by(code, machine, number, 5, request) == expected
        assert judged_by(program(machine, 1), machine, number, 5, request) == REFUSE
    assert judged_by(code, machine, number, 0, 0x5412) == REFUSE  # typing into a terminal


@pytest.mark.parametrize(
    ("text", "good"),
    [('["hailo", "dri"]', True), ("[]", True), ('["camera"]', False), ('"hailo"', False)],
)
def test_the_record_takes_the_known_names_alone(text: str, good: bool) -> None:
    data = f'camera = "fixed"\n[matcher]\naccelerators = {text}\n'.encode()

    if good:
        assert parse_device(data, Path("D.toml")).matcher_accelerators == tuple(json.loads(text))
    else:
        with pytest.raises(RecordError, match="accelerators"):
            parse_device(data, Path("D.toml"))
