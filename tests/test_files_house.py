"""Files are opened in one place: who opens, reads, writes or renames elsewhere has a reason."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from edge import isolation
from edge.files import open_append, sha256_of

ROOT = Path(__file__).resolve().parents[1]
KERNEL = "what the kernel shows, which nobody else can write"
OWN = "comes with the product, and lies in its own folder"
ALLOWED = {
    "edge/files.py": "the one place",
    "edge/audit/files.py": "the log's one place: a test fails any single call of it",
    "edge/cameras/decoder_log.py": KERNEL,
    "edge/cameras/recording_file.py": "one descriptor, digested and decoded; never waits",
    "edge/cameras/v4l2.py": "a device, and what the kernel shows of it",
    "edge/commissioning/token.py": "a session with a hardware token, no file",
    "edge/cli.py": "/dev/null, when nobody reads standard output any more",
    "edge/clock.py": KERNEL,
    "edge/diagnosis/probes.py": KERNEL,
    "edge/frames/ring.py": "its own memory",
    "edge/guard/obstacles.py": "only looks whether the source may be opened; never waits",
    "edge/guard/processes.py": KERNEL,
    "edge/guard/run_folder.py": "a folder, held by a lock",
    "edge/import_path/framegate_client/__init__.py": OWN,
    "edge/isolation.py": "/dev/null in the place of a closed stream",
    "edge/models/catalogue.py": OWN,
    "edge/policy/shipped.py": OWN,
    "edge/reasons.py": OWN,
    "edge/sandbox/landlock.py": "names a place to the kernel, reads nothing",
    "edge/sandbox/launcher.py": KERNEL,
    "edge/sandbox/mounts.py": "makes the matcher's view; reads models without waiting",
    "edge/sandbox/notifier.py": KERNEL,
    "edge/sandbox/privileges.py": KERNEL,
    "edge/sandbox/seccomp.py": OWN,
    "edge/sandbox/siblings.py": "the first line of a program that is about to be run",
    "edge/scheduling.py": KERNEL,
    "edge/sink/writer.py": "runs as a matcher, in the sandbox, in a folder of its own",
    "edge/status/alive.py": "a lock, no link",
}
METHODS = {"read_bytes", "read_text", "write_bytes", "write_text"}
CALLS = {"open", "os.open", "os.rename", "os.replace", "io.open", "shutil.copy", "shutil.move"}


def opens(source: str) -> list[int]:
    """Lines of `source` that open, read, write or rename a file by themselves."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if called.startswith(("packaged(", "files(")):  # comes with the product
            continue
        stored = called.startswith(("KeyStore", "webbrowser"))
        by_path = method == "open" and not stored
        if called in CALLS or method in METHODS or (by_path and not called.startswith("os.")):
            found.append(node.lineno)
    return found


@pytest.mark.slow
def test_files_are_opened_in_one_place() -> None:
    found = {
        file.relative_to(ROOT).as_posix(): lines
        for file in sorted((ROOT / "edge").rglob("*.py"))
        if (lines := opens(file.read_text()))
    }

    assert {name: lines for name, lines in found.items() if name not in ALLOWED} == {}
    assert set(ALLOWED) - set(found) == set()  # and nobody is excused without need


def test_each_way_to_open_a_file_is_seen() -> None:
    ways = [
        *(
            "open(p)",
            "p.open('rb')",
            "p.open()",
            "os.open(p, 0)",
            "p.read_bytes()",
            "p.write_text(t)",
        ),
        *("os.replace(a, b)", "os.rename(a, b)", "shutil.copy(a, b)"),
    ]

    assert opens("\n".join(ways)) == list(range(1, len(ways) + 1))
    assert opens("read_named(p, 1)\nKeyStore.open(p)\ns.replace('a', 'b')\nos.close(f)") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("explain", "FIFO", "--id", "x"),
        ("audit", "verify-proof", "FIFO", "--key", "FIFO"),
        ("policy", "show", "FIFO"),
        ("config", "check", "FIFO"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_pipe_that_nobody_writes_to_holds_no_command_up(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    words = [str(tmp_path / "pipe") if word == "FIFO" else word for word in command]

    done = subprocess.run(
        [*isolation.python("edge.cli"), *words], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr
    assert "pipe" in done.stderr


def test_a_file_and_a_pipe_are_told_apart_by_the_shared_digest(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    os.mkfifo(tmp_path / "pipe")

    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    with pytest.raises(OSError, match="no regular file"):
        sha256_of(tmp_path / "pipe")
    with pytest.raises(OSError):
        open_append(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(OSError):
        open_append(tmp_path / "link")
