"""The client library by itself: Python 3.9, asyncio, and its twins in C and C++."""

from __future__ import annotations

import ast
import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edge
import framegate_client
from framegate_client import connect
from tests.support.players import Player

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "client"
COMPILERS = [("cc", "matcher.c", ["-std=c99", "-D_GNU_SOURCE"]), ("c++", "matcher.cpp", [])]


def pictures(count: int) -> list[np.ndarray]:
    return [np.full((24, 32, 3), 10 * i, np.uint8) for i in range(count)]


def test_edge_gives_the_same_names() -> None:
    assert edge.VideoCapture is framegate_client.VideoCapture
    assert edge.connect is framegate_client.connect
    assert edge.GuardError is framegate_client.GuardError


@pytest.mark.parametrize("file", sorted(p.name for p in (CLIENT / "framegate_client").glob("*.py")))
def test_it_reads_as_python_3_9(file: str) -> None:
    ast.parse((CLIENT / "framegate_client" / file).read_text(), feature_version=(3, 9))


def test_a_loop_of_asyncio_goes_on_while_nothing_is_released(tmp_path: Path) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    async def match() -> list[int]:
        with connect(*player.environment.values()) as connection:
            player.begin.set()
            beside = asyncio.create_task(others())
            seen = []
            async for frame in connection:
                seen.append(int(frame[0, 0, 0]))
                if len(seen) == 3:
                    turned = turns
                    while turns < turned + 5:  # the other task is alive between frames
                        await asyncio.sleep(0)
            beside.cancel()
            return seen

    with Player(tmp_path, pictures(6)) as player:
        assert asyncio.run(asyncio.wait_for(match(), 20)) == [0, 10, 20, 30, 40, 50]
    assert turns > 5


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "source", "flags"), COMPILERS)
def test_a_matcher_in_c_builds_without_a_warning_and_reads_every_frame(
    compiler: str, source: str, flags: list[str], tmp_path: Path
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    built = [compiler, *flags, "-Wall", "-Wextra", "-Werror", "-O2", "-I", CLIENT / "include"]
    subprocess.run([*built, CLIENT / "examples" / source, "-o", tmp_path / "matcher"], check=True)
    with Player(tmp_path, pictures(5)) as player:
        process = subprocess.Popen(
            [tmp_path / "matcher"],
            env={**os.environ, **player.environment},
            stdout=subprocess.PIPE,
            text=True,
        )
        player.begin_when_mapped(process.pid)
        output, _ = process.communicate(timeout=20)

    assert output.split(": ")[1] == "5 frames, mean 40.0\n"
    assert process.returncode == 0


@pytest.mark.parametrize(("compiler", "source", "flags"), COMPILERS[:1])
def test_a_matcher_in_c_that_is_refused_says_by_whom_and_why(
    compiler: str, source: str, flags: list[str], tmp_path: Path
) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    built = [compiler, *flags, "-I", CLIENT / "include", CLIENT / "examples" / source]
    subprocess.run([*built, "-o", tmp_path / "matcher"], check=True)
    with Player(tmp_path, pictures(1)) as player:
        wrong = {**os.environ, **player.environment, "FRAMEGATE_TOKEN": "guessed"}
        refused = subprocess.run(
            [tmp_path / "matcher"], env=wrong, capture_output=True, text=True, timeout=20
        )
    alone = subprocess.run(
        [tmp_path / "matcher"], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True
    )

    assert refused.returncode == alone.returncode == 1
    assert "PEER_UNKNOWN" in refused.stderr
    assert "start the matcher through the guard" in alone.stderr


def test_the_folder_on_a_matchers_path_gives_the_client_and_nothing_else(tmp_path: Path) -> None:
    """A matcher must not find the guard's packages, nor what is installed beside them."""
    from edge.isolation import CLIENT as folder

    tried = "import framegate_client.ring as r; print(r.__file__)\nimport edge"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.append({numpys()!r})\n{tried}"],
        cwd=tmp_path,
        env={"PYTHONPATH": folder, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )

    assert sorted(p.name for p in Path(folder).iterdir() if p.name != "__pycache__") == [
        "framegate_client"
    ]
    assert Path(done.stdout.strip()) == CLIENT / "framegate_client" / "ring.py"
    assert "No module named 'edge'" in done.stderr


def numpys() -> str:
    """A folder from which NumPy can be imported; `edge` cannot, without its site hooks."""
    return str(Path(np.__file__).parents[1])
