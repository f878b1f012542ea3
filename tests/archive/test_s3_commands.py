"""The whole commands on a store in S3: real processes against a server of its protocol."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import isolation
from tests.support import render
from tests.support.guards import DEVICE, SESSION
from tests.support.s3 import Bucket, serving

pytestmark = pytest.mark.long

_AWS = ("AWS_", "BOTO")


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    pytest.importorskip("s3fs", reason="needs s3fs, a client for S3")
    pytest.importorskip("moto.server", reason="needs moto, a server for S3")
    with serving("tapes") as made:
        yield made


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory, face_model: Path) -> Path:
    """Two recordings of a room, judged without a view: nothing passes, and reasons differ."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "D.toml").write_text(DEVICE)
    (folder / "S.toml").write_text(SESSION)
    clips = folder / "recordings"
    clips.mkdir()
    for number in (0, 7):
        frames = list(render.lived_in(render.room(number), 20))
        render.write_clip(clips / f"room{number}.avi", frames)
    records = ["--device", str(folder / "D.toml"), "--session", str(folder / "S.toml")]
    listed = _framegate({}, "list", str(clips), *records)
    assert listed.returncode == 0, listed.stderr
    (folder / "archive.jsonl").write_text(listed.stdout)
    return folder / "archive.jsonl"


def _framegate(given: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    names = {name: value for name, value in os.environ.items() if not name.startswith(_AWS)}
    command = [*isolation.python("edge.cli", "archive"), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env={**names, **given}
    )


def _decisions(given: dict[str, str], manifest: Path, store: str) -> dict[str, str]:
    run = _framegate(given, "judge", str(manifest), "--store", store, "--workers", "1", "--json")
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return {row["recording"]: row["decisions"] for row in rows}


def test_extract_judge_and_diff_leave_in_a_bucket_what_they_leave_in_a_folder(
    bucket: Bucket, manifest: Path, tmp_path: Path
) -> None:
    url, folder = f"s3://{bucket.name}/archive", str(tmp_path / "store")
    for store in (url, folder):
        made = _framegate(bucket.login, "extract", str(manifest), "--store", store)
        assert made.returncode == 0, made.stderr
    remote, local = (_decisions(bucket.login, manifest, store) for store in (url, folder))
    texts = {name: bucket.read(place) for name, place in remote.items()}
    assert texts == {name: Path(place).read_bytes() for name, place in local.items()}
    assert len(texts) == 2
    assert all(text.count(b'"block"') == 20 for text in texts.values())
    there = {one.partition("archive/")[2]: bucket.read(one) for one in bucket.names("archive")}
    files = {path for path in Path(folder).rglob("*") if path.is_file()}
    assert there == {str(path.relative_to(folder)): path.read_bytes() for path in files}

    again = _framegate(bucket.login, "extract", str(manifest), "--store", url)
    assert again.stderr.count("was there") == 2
    diff = ("diff", "strict", "police", str(manifest), "--store")
    found, wanted = (_framegate(bucket.login, *diff, store) for store in (url, folder))
    assert (found.returncode, found.stdout) == (wanted.returncode, wanted.stdout)
    assert found.returncode == 0


def test_a_bucket_that_is_not_there_is_one_line_and_is_not_made(
    bucket: Bucket, manifest: Path
) -> None:
    run = _framegate(bucket.login, "extract", str(manifest), "--store", "s3://absent/archive")
    assert run.returncode == 2
    assert run.stderr == (
        "framegate: s3://absent/archive: there is no bucket 'absent': make it first\n"
    )
    assert bucket.buckets() == [bucket.name]


@pytest.mark.parametrize("action", [("extract",), ("judge",), ("diff", "strict", "police")])
def test_no_credentials_are_one_line(
    bucket: Bucket, manifest: Path, tmp_path: Path, action: tuple[str, ...]
) -> None:
    given = {"AWS_ENDPOINT_URL": bucket.login["AWS_ENDPOINT_URL"], "HOME": str(tmp_path)}
    given["AWS_EC2_METADATA_DISABLED"] = "true"
    run = _framegate(given, *action, str(manifest), "--store", f"s3://{bucket.name}/archive")
    assert run.returncode == 2
    assert "Unable to locate credentials" in run.stderr
    assert "AWS_ACCESS_KEY_ID" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_server_that_does_not_answer_is_one_line(bucket: Bucket, manifest: Path) -> None:
    given = {**bucket.login, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    run = _framegate(given, "judge", str(manifest), "--store", f"s3://{bucket.name}/archive")
    assert run.returncode == 2
    assert "127.0.0.1:9" in run.stderr
    assert run.stderr.count("\n") == 1
