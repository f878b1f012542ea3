"""Which paths a matcher may be given: none that makes its sandbox none."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.guard.plan import Plan, check_paths
from edge.sandbox.paths import faults
from edge.sandbox.spec import Confinement


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in ("keys", "audit", "out", "gallery"):
        (tmp_path / name).mkdir()
    for name in ("device.toml", "model.onnx"):
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("keys")
    return tmp_path


def found(site: Path, read: str | None = None, write: str | None = None) -> list[str]:
    secret, signed = [site / "keys", site / "audit"], [site / "device.toml"]
    return faults([site / read] if read else [], [site / write] if write else [], secret, signed)


@pytest.mark.parametrize(
    ("path", "said"),
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
    site: Path, kind: str, path: str, said: str
) -> None:
    (line,) = found(site, **{kind: path})

    assert line.startswith(f"matcher {kind} ")
    assert said in line


@pytest.mark.parametrize("path", ["model.onnx", "/usr", "/etc"])
def test_a_file_and_a_system_folder_are_not_written(site: Path, path: str) -> None:
    assert len(found(site, write=path)) == 1
    assert found(site, read=path) == []


def test_a_matchers_own_places_are_given(site: Path) -> None:
    assert found(site, read="gallery") == found(site, read="model.onnx") == []
    assert found(site, write="out") == []


def test_a_plan_with_such_a_path_is_refused_and_one_without_is_not(site: Path) -> None:
    def plan(writes: Path) -> Plan:
        return Plan(
            source="0",
            device=site / "device.toml",
            session=site / "session.toml",
            keys=site / "keys",
            audit=site / "audit",
            matcher=("matcher",),
            confinement=Confinement(writes=(writes,)),
        )

    with pytest.raises(UsageError, match=r"matcher write .*the guard's own"):
        check_paths(plan(site))
    check_paths(plan(site / "out"))
