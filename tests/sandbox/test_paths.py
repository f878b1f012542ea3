"""Which paths a matcher may be given: none that makes its sandbox none."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from edge.commissioning import keys
from edge.commissioning.records import Device
from edge.errors import SandboxError
from edge.guard.plan import Plan, matcher_faults
from edge.sandbox.paths import OwnFiles, path_faults, refused, withheld
from edge.sandbox.spec import Confinement, Layer, check_script


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in ("keys", "audit", "out", "gallery"):
        (tmp_path / name).mkdir()
    for name in ("device.toml", "model.onnx"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("keys")
    return tmp_path


def found(site: Path, read: str | None = None, write: str | None = None) -> list[str]:
    confinement = Confinement(
        reads=(site / read,) if read else (),
        writes=(site / write,) if write else (),
        without=frozenset({Layer.OWN_UID}),
    )
    own = OwnFiles(secret=(site / "keys", site / "audit"), signed=(site / "device.toml",))
    return path_faults(confinement, own)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "the whole disk"),
        ("/proc", "one of /proc"),
        ("/proc/1/mem", "one of /proc"),
        ("/dev", "one of /dev"),
        ("/dev/video0", "one of /dev"),
        ("/usr/../dev", "one of /dev"),
        ("nosuch", "found none"),
        ("keys", "the guard's own"),
        ("keys/..", "the guard's own"),
        ("link", "the guard's own"),
        ("audit/sub/..", "the guard's own"),
    ],
)
@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_path_that_opens_the_sandbox_is_refused_in_one_line(
    site: Path, kind: str, path: str, expected: str
) -> None:
    (line,) = found(site, **{kind: path})

    assert line.startswith(f"matcher {kind} ")
    assert expected in line


@pytest.mark.parametrize("path", ["model.onnx", "/usr", "/etc"])
def test_a_file_and_a_system_folder_are_not_written(site: Path, path: str) -> None:
    assert len(found(site, write=path)) == 1
    assert found(site, read=path) == []


def test_a_matchers_own_places_are_given(site: Path) -> None:
    assert found(site, read="gallery") == found(site, read="model.onnx") == []
    assert found(site, write="out") == []


def plan(site: Path, **given: object) -> Plan:
    return Plan(
        source="0",
        device=site / "device.toml",
        session=site / "session.toml",
        keys=site / "keys",
        audit=site / "audit",
        matcher=("python3", "match.py", str(site / "gallery")),
        confinement=Confinement(**given),  # type: ignore[arg-type]
    )


def test_each_path_that_a_plan_cannot_give_is_a_line_of_its_own(site: Path) -> None:
    wrong = plan(site, uid=os.getuid() or 1, reads=(Path("nosuch"),), writes=(site,))
    right = plan(site, uid=os.stat(site).st_uid, writes=(site / "out",), cwd=site)

    first, second = map(str, matcher_faults(wrong, None))

    assert first.startswith("matcher read 'nosuch': ")
    assert "the guard's own" in second
    assert matcher_faults(right, None) == []
    assert "cwd" in str(matcher_faults(plan(site, cwd=site / "nosuch"), None)[0])


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("python3 nosuch.py", True),
        ("python3 -u -X dev nosuch.py --port 1", True),
        ("/opt/venv/bin/python3.12 -I sub/nosuch.py", True),
        ("python3 match.py nosuch.bin", False),
        ("python3 -c nosuch.py", False),
        ("python3 -m nosuch.py", False),
        ("python3 -", False),
        ("python3", False),
        ("./matcher nosuch.py", False),
    ],
)
def test_a_script_that_is_not_there_is_named_and_nothing_else_is_taken_for_one(
    site: Path, words: str, missing: bool
) -> None:
    (site / "match.py").touch()
    refused = pytest.raises(SandboxError, match=r"nosuch\.py': expected a file, found none")

    with refused if missing else contextlib.nullcontext():
        check_script(tuple(words.split()), Confinement(cwd=site))


def test_the_usual_key_store_is_the_guards_own_as_well(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "DEFAULT_DIR", site / "keys")
    asked = replace(plan(site, reads=(site / "keys",)), keys=None)

    (line,) = map(str, matcher_faults(asked, None))

    assert "the guard's own" in line


@pytest.mark.parametrize(("mode", "kind"), [(0o755, "write"), (0o750, "read")])
def test_what_the_matchers_user_may_not_use_is_said_with_the_cure(
    site: Path, mode: int, kind: str
) -> None:
    folder = site / "out"
    folder.chmod(mode)
    given = {"reads": (folder,)} if kind == "read" else {"writes": (folder,)}
    other = os.stat(folder).st_uid + 4242

    (line,) = map(str, matcher_faults(plan(site, uid=other, **given), None))

    assert f"expected what user {other} may {kind}" in line
    assert line.endswith(f"(chown {other} {folder})" if kind == "write" else f"o+rX {folder})")
    folder.chmod(0o777)
    assert matcher_faults(plan(site, uid=other, **given), None) == []
    without = Device(camera="fixed", matcher_without=("own_uid",))
    folder.chmod(mode)
    assert matcher_faults(plan(site, uid=other, **given), without) == []


def test_a_folder_that_the_command_names_is_told_with_the_line_that_gives_it(site: Path) -> None:
    asked = plan(site)
    assert asked.confinement is not None

    (line,) = withheld(asked.matcher, asked.confinement)

    assert f'write read = ["{site}/gallery"] under [matcher]' in line
    assert withheld(asked.matcher, Confinement(reads=(site,))) == []
    assert withheld((*asked.matcher[:2], f"--in={site}/gallery"), Confinement()) == [line]


def test_a_file_of_the_command_that_the_matchers_user_may_not_read_is_told(site: Path) -> None:
    model = site / "model.onnx"
    model.chmod(0o600)
    other = Confinement(uid=model.stat().st_uid + 4242)
    command = ("/usr/bin/python3", "-c", "pass", str(model))

    (line,) = withheld(command, other)

    assert line.endswith(f"which user {other.uid} may not read; to allow it, chmod o+r {model}")
    assert withheld(command, replace(other, without=frozenset({Layer.OWN_UID}))) == []
    assert withheld(command, replace(other, models=((model, "0" * 64),))) == []
    assert withheld(command, replace(other, hidden=(model,))) == []
    model.chmod(0o604)
    assert withheld(command, other) == []


def test_what_no_matcher_may_read_comes_without_a_cure_that_would_be_refused() -> None:
    line = 'Permission denied, filesystem path: "/sys/bus"'

    found = refused(line, Confinement())
    (named,) = withheld(("/usr/bin/python3", "-c", "pass", "/proc/self"), Confinement())

    assert found == "/sys/bus is there, and the sandbox withholds it; no matcher gets it"
    assert named.endswith("does not let it read; no matcher gets it")


@pytest.mark.parametrize(
    "line",
    [
        "PermissionError: [Errno 13] Permission denied: '{site}/gallery'",
        "FileNotFoundError: [Errno 2] No such file or directory: 'gallery'",  # covered, not closed
        'cv2.error: can\'t open/read file: "{site}/gallery"',
    ],
)
def test_a_refusal_that_the_matcher_prints_is_told_with_its_cure(site: Path, line: str) -> None:
    given = Confinement(cwd=site, hidden=(site / "keys",))
    line = line.format(site=site)

    assert f'write read = ["{site}/gallery"]' in refused(line, given)
    assert refused(line, replace(given, reads=(site,))) == ""  # it was given: another cause


@pytest.mark.parametrize(
    "line",
    [
        "No such file or directory: 'nosuch'",
        "Permission denied: 'keys'",  # the guard's own
        "read 'gallery'",
        "Permission denied",
        "Permission denied: 'a\0b'",
        "Permission denied: '" + "x" * 4000 + "'",
    ],
)
def test_nothing_is_said_of_what_the_sandbox_did_not_withhold(site: Path, line: str) -> None:
    assert refused(line, Confinement(cwd=site, hidden=(site / "keys",))) == ""
