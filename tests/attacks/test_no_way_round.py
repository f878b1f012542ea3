"""No environment variable, option or key of a configuration opens the gate.

What there is is counted out of the code and listed here with what it does, so
that a new one has to be thought about. None may be named like a way round, and
setting everything a hopeful operator would set lets no frame through.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import edge
import firmware_bridge
import framegate_client
from edge.cli import build_parser
from edge.daemon.setting_keys import ALSO_KEYS, KEYS
from tests.support import render
from tests.support.guards import Site, running, site

ENVIRONMENT = {
    "FRAMEGATE_FD": "the matcher's: its end of the socket",
    "FRAMEGATE_SOCKET": "the matcher's: where it connects",
    "FRAMEGATE_TOKEN": "the matcher's: proves that it is the one that was started",
    "FRAMEGATE_LANE": "the matcher's: what it asks for; another lane than the record's is refused",
    "LIBCAMERA_LOG_LEVELS": "quiet",
    "LISTEN_FDS": "systemd's: the socket of the status page",
    "LISTEN_PID": "systemd's: whose socket that is",
    "NOTIFY_SOCKET": "systemd's: where the daemon says that it is well",
    "OPENBLAS_NUM_THREADS": "threads of the matcher's interpreter in its sandbox",
    "OPENCV_FFMPEG_LOGLEVEL": "quiet",
    "OPENCV_LOG_LEVEL": "quiet",
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "set, never read: how long a silent camera is waited for",
    "ORT_DISABLE_TELEMETRY": "set, never read",
    "PYTHONPATH": "what the matcher may read",
    "WATCHDOG_USEC": "systemd's: how often it wants to hear",
    "XDG_CACHE_HOME": "where model files lie; each has a pinned digest",
}
WEB = {
    "HTTP_HOST",
    "PATH_INFO",
    "QUERY_STRING",
    "REQUEST_METHOD",
}  # of a request to the page, in WSGI's words
LIMITS = {"SC_OPEN_MAX"}  # asked of the kernel
OPTIONS = {
    "--also": "who else gets frames, by a signed session, a gate and a sandbox of its own",
    "--board": "a made-up one only where a signed record lets it",
    "--desk": "where signed receipts are handed in; with it consent is believed only with one",
    "--device": "signed",
    "--help": "",
    "--keys": "the keys that the records must be signed with",
    "--matcher": "who gets what is released, in a sandbox",
    "--matcher-cwd": "where it starts, within what its sandbox lets it read",
    "--matcher-env": "the matcher's alone, never the guard's or its launcher's",
    "--matcher-read": "what its sandbox lets it read",
    "--matcher-write": "where its sandbox lets it write",
    "--out": "where results go",
    "--pace": "one choice",
    "--pack": "one of two policies; neither lets an uncontrolled setting pass",
    "--policy": "where a signed bundle lies",
    "--results": "where its small reports go: a closed form, no pictures",
    "--release": "with or without the evidence after a frame; written in the log",
    "--session": "signed",
    "--sink": "shows the masked view alone; nothing else has a sink",
    "--sink-port": "loopback",
    "--start-limit": "how long a start may take; until it is done nothing passes",
    "--source": "only the camera that the signed record names",
}
SETTINGS = {
    "source": "as --source",
    "device": "as --device",
    "session": "as --session",
    "keys": "as --keys",
    "board": "as --board",
    "pack": "as --pack",
    "policy": "as --policy",
    "release": "as --release",
    "start_limit_s": "as --start-limit",
    "desk": "as --desk",
    "audit": "where the log lies; without one nothing passes",
    "matcher.command": "as --matcher",
    "matcher.uid": "its user",
    "matcher.cwd": "as --matcher-cwd",
    "matcher.env": "as --matcher-env",
    "matcher.results": "as --results",
    "matcher.read": "as --matcher-read",
    "matcher.write": "as --matcher-write",
    "status.listen": "loopback only",
    "status.file": "where the status is written",
    "log.keep_months": "what audit prune keeps; the guard does not read it",
    "log.witnesses": "who must have seen what audit prune removes",
    "also.session": "as the first word of --also; signed",
    "also.name": "what another matcher is called",
    "also.audit": "where its log lies; without one nothing passes to it",
    "also.command": "as the second word of --also",
    "also.uid": "its user",
    "also.cwd": "as --matcher-cwd",
    "also.env": "as --matcher-env",
    "also.results": "as --results",
    "also.read": "as --matcher-read",
    "also.write": "as --matcher-write",
}
_WAY_ROUND = re.compile(
    r"skip|force|bypass|unsafe|insecure|debug|disable(?!_telemetry)|allow|ignore|"
    r"no[-_]|open(?!blas|cv)|permit|trust|dry|fake|mock|test",
    re.IGNORECASE,
)
HOPEFUL = ("DEBUG", "SKIP", "FORCE", "INSECURE", "DISABLE", "BYPASS", "ALLOW", "TEST", "UNSAFE")


def _names() -> Iterator[str]:
    """Every text that is looked up, anywhere, and looks like the name of a variable."""
    for package in (edge, firmware_bridge, framegate_client):
        for path in Path(package.__path__[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                args: list[ast.expr] = []
                if isinstance(node, ast.Subscript):
                    args = [node.slice]
                elif isinstance(node, ast.Compare):
                    args = [node.left]
                elif isinstance(node, ast.Call) and node.args:
                    args = node.args[:1]
                for arg in args:
                    if isinstance(arg, ast.Constant) and isinstance(arg.value, str):
                        yield arg.value


def _options() -> set[str]:
    commands = next(
        action for action in build_parser()._actions if isinstance(action.choices, dict)
    )
    assert isinstance(commands.choices, dict)
    run: argparse.ArgumentParser = commands.choices["run"]
    return {action.option_strings[-1] for action in run._actions if action.option_strings}


@pytest.mark.slow
def test_every_variable_that_is_read_is_known() -> None:
    found = {name for name in _names() if re.fullmatch(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+", name)}
    found |= {name for name in _names() if name in ("PYTHONPATH",)}
    codes = {name for name in found if name in _reasons()}

    assert found - codes - WEB - LIMITS == set(ENVIRONMENT)


def _reasons() -> set[str]:
    from edge.reasons import Reason

    return {reason.value for reason in Reason}


def test_every_option_of_run_is_known() -> None:
    assert _options() == set(OPTIONS)


def test_every_key_of_the_configuration_is_known() -> None:
    assert {f"{key.table}.{key.name}".lstrip(".") for key in (*KEYS, *ALSO_KEYS)} == set(SETTINGS)


@pytest.mark.parametrize("name", [*ENVIRONMENT, *OPTIONS, *SETTINGS])
def test_nothing_is_named_like_a_way_round(name: str) -> None:
    assert not _WAY_ROUND.search(name)


@pytest.mark.guard
@pytest.mark.parametrize("view", ["street", "room"])
def test_all_a_hopeful_operator_would_set_opens_nothing(
    view: str,
    tmp_path: Path,
    lived_in: Callable[[int], Path],
    face_model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = lived_in(90)
    clip = room
    if view == "street":
        clip = render.write_clip(tmp_path / "street.avi", render.drive(60))
    place: Site = site(tmp_path / "site", clip, room, face_model)
    for word in HOPEFUL:
        for name in (word, f"FRAMEGATE_{word}", f"FRAMEGATE_{word}_GATE", f"EDGE_{word}"):
            monkeypatch.setenv(name, "1")
    for name in ("FRAMEGATE_LANE", "FRAMEGATE_TOKEN", "FRAMEGATE_SOCKET"):
        monkeypatch.setenv(name, "identify_1_n")

    with running(place) as run:
        run.process.wait(timeout=120)
        got = (
            len(run.received()["captured_ns"])
            if (run.out / "matcher" / "received.json").exists()
            else 0
        )

    assert (got > 0) is (view == "room"), got
    assert os.environ["FRAMEGATE_DEBUG"] == "1"
