"""The archive end to end: tapes made, judged and compared by the command, against a replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import cli, isolation
from edge.archive.engines import run
from edge.archive.manifest import read
from edge.archive.store import Store
from edge.archive.tape import Tape
from edge.archive.tasks import Failed, Judge, tape_of
from edge.cameras.recording_file import file_sha256
from edge.errors import RecordError, UsageError
from edge.evidence.faces import FaceBoxes
from edge.replay.files import enrol_opening
from tests.support import render
from tests.support.guards import DEVICE, SESSION
from tests.support.tasks import killed_always, killed_once, works_after_a_kill

pytestmark = pytest.mark.slow

SECONDS = 3
_TELEMETRY = (
    "t_s,dock,dock_id,tamper,"
    + ",".join([f"gyro_{axis}_rad_s" for axis in "xyz"] + [f"accel_{axis}_m_s2" for axis in "xyz"])
    + "\n"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, face_model: Path) -> Path:
    """A folder with an own room, another place, records, and the board's telemetry beside them."""
    folder = tmp_path_factory.mktemp("archive")
    clips = folder / "recordings"
    clips.mkdir()
    room = render.write_clip(clips / "room.avi", list(render.lived_in(render.room(), SECONDS * 30)))
    render.write_clip(clips / "street.avi", list(render.lived_in(render.room(7), SECONDS * 30)))
    view = enrol_opening(room, 1.0, FaceBoxes(face_model))
    (folder / "site.view").write_bytes(view.to_bytes())
    (folder / "D.toml").write_text(f'{DEVICE}[view]\nfingerprint = "site.view"\n')
    (folder / "S.toml").write_text(SESSION)
    for clip, docked_s in (("room", 2.2), ("street", SECONDS)):
        (clips / f"{clip}.csv").write_text(_TELEMETRY + "".join(_rows(docked_s)))
    return folder


def _rows(docked_s: float) -> Iterator[str]:
    for number in range(SECONDS * 50 + 10):
        t_s = number / 50
        docked = t_s < docked_s
        wobble = 0.001 + 0.0001 * (number % 3)
        yield f"{t_s},{int(docked)},{'D-0017' if docked else ''},0,0,0,{wobble},0,0.01,9.81\n"


def _archive(*words: object) -> int:
    return cli.main(["archive", *map(str, words)])


@pytest.fixture(scope="module")
def extracted(place: Path) -> Path:
    """The manifest of the folder, with its tapes in `store` beside it."""
    manifest = place / "archive.jsonl"
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out:
        records = ("--device", place / "D.toml", "--session", place / "S.toml")
        assert _archive("list", place / "recordings", *records) == 0
    manifest.write_text(out.getvalue())
    assert _archive("extract", manifest, "--store", place / "store", "--workers", 1) == 0
    return manifest


def _decisions(place: Path, manifest: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Path]:
    capsys.readouterr()
    assert _archive("judge", manifest, "--store", place / "store", "--workers", 1, "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {row["recording"]: Path(row["decisions"]) for row in rows}


def test_a_tape_decides_what_a_replay_decides(
    place: Path, extracted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = _decisions(place, extracted, capsys)
    clip, out = place / "recordings" / "room.avi", tmp_path / "out"
    records = ["--device", str(place / "D.toml"), "--session", str(place / "S.toml")]
    board = ["--telemetry", str(clip.with_suffix(".csv"))]
    assert cli.main(["replay", str(clip), *records, *board, "--out", str(out)]) == 0
    text = found["room.avi"].read_text()
    assert text == (out / "decisions.jsonl").read_text()
    assert text.count('"pass"') > 20
    assert text.count("NOT_DOCKED") > 20
    assert '"pass"' not in found["street.avi"].read_text()


def test_judging_needs_no_video(
    place: Path, extracted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [json.loads(line) for line in extracted.read_text().splitlines()]
    for line in lines:
        line["clip"] = "/nowhere/" + Path(line["clip"]).name
    gone = tmp_path / "gone.jsonl"
    gone.write_text("".join(json.dumps(line) + "\n" for line in lines))

    assert _archive("judge", gone, "--store", place / "store", "--workers", 1) == 0
    assert _archive("extract", gone, "--store", place / "store", "--workers", 1) == 0  # was there
    assert _archive("extract", gone, "--store", tmp_path / "other", "--workers", 1) == 1
    assert "room.avi" in capsys.readouterr().err


def test_diff_names_the_rule_that_blocks(
    place: Path, extracted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "diff.html"
    where = ("--store", place / "store", "--workers", 1)
    away = place / "away.toml"
    away.write_text(
        SESSION + 'result_sink = "azure_openai"\n'
    )  # which only the strict pack forbids
    lines = [json.loads(line) for line in extracted.read_text().splitlines()]
    manifest = tmp_path / "away.jsonl"
    manifest.write_text(
        "".join(json.dumps({**line, "session": str(away)}) + "\n" for line in lines)
    )
    assert _archive("diff", "police", "strict", manifest, *where, "--page", page, "--json") == 0
    found = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    (change,) = found["room.avi"]["changes"]
    assert found["room.avi"]["passed"][0] == change["frames"] > 20
    assert found["room.avi"]["passed"][1] == 0
    assert not change["opens"]
    assert change["by"] == ["MS-09"]
    assert "MS-09" in page.read_text()
    assert found["street.avi"]["changes"] == []

    assert _archive("diff", "strict", "strict", manifest, *where) == 0
    assert "blocked now" not in capsys.readouterr().out


def test_another_file_under_the_same_name_is_refused(
    place: Path, extracted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.loads(extracted.read_text().splitlines()[0])
    line["clip"] = str(place / "recordings" / "street.avi")  # the digest is the room's
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(line) + "\n")
    assert _archive("extract", other, "--store", tmp_path / "store") == 1
    assert "another recording than the manifest means" in capsys.readouterr().err
    assert not list((tmp_path / "store").rglob("*.tape"))


def test_a_tape_keeps_no_picture_and_equal_ones_are_equal_bytes(
    place: Path, extracted: Path
) -> None:
    tapes = sorted((place / "store" / "tapes").rglob("*.tape"))
    assert len(tapes) == 2
    for path in tapes:
        data = path.read_bytes()
        tape = Tape.from_bytes(data, "tape")
        assert tape.to_bytes() == data
        assert len(data) < 300 * len(tape.captured_ns) + 8000


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data[:-40], id="cut"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: b"PK" + bytes(200), id="no archive"),
    ],
)
def test_a_damaged_tape_is_named(place: Path, extracted: Path, change) -> None:  # type: ignore[no-untyped-def]
    data = next((place / "store" / "tapes").rglob("*.tape")).read_bytes()
    with pytest.raises(RecordError, match=r"this\.tape: expected an evidence tape"):
        Tape.from_bytes(change(data), "this.tape")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 1: expected a JSON object"),
        ("[]", "line 1: expected a JSON object"),
        ('{"clip": "a.mp4"}', "expected text for 'sha256'"),
        ('{"clip": "a", "sha256": "x", "device": "D", "session": "S"}', "64 hex digits"),
        ('{"clap": 1}', "no key is called 'clap'"),
        ("", "expected one recording a line, got none"),
    ],
)
def test_a_bad_manifest_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    manifest = tmp_path / "archive.jsonl"
    manifest.write_text(line + "\n")
    assert _archive("judge", manifest, "--store", tmp_path / "store") == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1


def test_a_killed_worker_loses_nothing(tmp_path: Path) -> None:
    tasks = [str(tmp_path / f"mark-{number}") for number in range(3)]
    for task in tasks[1:]:
        Path(task).touch()
    found = dict(run(killed_once, tasks, workers=2, lost=lambda why: why))
    assert found == {task: Path(task).name for task in tasks}


def test_a_task_that_always_kills_its_worker_is_given_up_and_said() -> None:
    found = dict(run(killed_always, [1, 2, 3], workers=2, lost=lambda why: why))
    assert "killed 3 times" in found[1]


@pytest.mark.long
@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_every_engine_gives_the_same_results(engine: str, tmp_path: Path) -> None:
    pytest.importorskip("distributed" if engine == "dask" else "ray")
    tasks = [str(tmp_path / f"mark-{number}") for number in range(4)]
    found = dict(run(killed_once, tasks, engine=engine, workers=2, lost=lambda why: why))
    assert found == {task: Path(task).name for task in tasks}


@pytest.mark.long
@pytest.mark.parametrize(("engine", "at"), [("dask", "tcp://127.0.0.1:9"), ("ray", "127.0.0.1:9")])
def test_a_scheduler_that_does_not_answer_is_one_line(
    engine: str,
    at: str,
    place: Path,
    extracted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("distributed" if engine == "dask" else "ray")
    capsys.readouterr()
    where = ("--store", tmp_path / "store", "--engine", engine, "--scheduler", at)
    assert _archive("judge", extracted, *where) == 2
    err = capsys.readouterr().err
    assert f"--scheduler {at}: no {engine.capitalize()} scheduler answers there" in err
    assert err.count("\n") == 1


def test_an_engine_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match="pip install 'framegate\\[ray\\]'"):
        next(run(killed_always, [2, 3], engine="ray", lost=str))


def test_the_digest_of_a_line_is_that_of_the_recording(place: Path, extracted: Path) -> None:
    for line in map(json.loads, extracted.read_text().splitlines()):
        assert line["sha256"] == file_sha256(Path(line["clip"]))


@pytest.mark.long
def test_the_bench_compares_the_same_decisions(
    place: Path, extracted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert _archive("bench", extracted, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recordings"] == 2
    assert found["frames"] == 2 * 30 * SECONDS
    assert found["footage_s"] == pytest.approx(2 * SECONDS, rel=0.05)
    assert found["faster"] > 10
    assert found["archive"]["judge_h"] < found["archive"]["extract_h"]


def test_a_boards_tape_is_made_again_from_the_telemetry(
    place: Path, extracted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {key: path.read_bytes() for key, path in _decisions(place, extracted, capsys).items()}
    boards = sorted((place / "store" / "boards").rglob("*.board"))
    assert len(boards) == 2
    kept = [path.read_bytes() for path in boards]
    for path in [*boards, *(place / "store" / "decisions").rglob("*.jsonl")]:
        path.unlink()
    after = {key: path.read_bytes() for key, path in _decisions(place, extracted, capsys).items()}
    assert after == before
    assert [path.read_bytes() for path in boards] == kept


def test_a_task_that_kills_its_worker_takes_no_other_with_it() -> None:
    found = dict(run(killed_always, [1, 2, 3, 4], workers=2, at_once=2, lost=lambda why: why))
    assert found == {1: found[1], 2: "done", 3: "done", 4: "done"}
    assert "killed 3 times" in found[1]


def test_a_tape_is_exported_as_parquet(place: Path, extracted: Path, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    assert _archive("export", extracted, "--store", place / "store", "--parquet", tmp_path) == 0
    tables = {path.name.split("-")[0]: pq.read_table(path) for path in tmp_path.iterdir()}
    assert sorted(tables) == ["room", "street"]
    rows = tables["street"].to_pylist()
    assert len(rows) == 30 * SECONDS
    assert [row["captured_ns"] for row in rows] == sorted(row["captured_ns"] for row in rows)
    evidence = [row for row in rows if row["view_open"] is not None]
    assert 8 * SECONDS < len(evidence) < 11 * SECONDS
    assert any("VIEW_FOREIGN" in row["view_open"] for row in evidence)
    own = [row["view_open"] for row in tables["room"].to_pylist() if row["view_open"] is not None]
    assert own.count([]) > 20  # the twin: this is the enrolled view
    assert tables["room"].schema.metadata[b"clip"] == b"room.avi"


def test_an_export_without_its_library_is_one_line(
    place: Path,
    extracted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    out = tmp_path / "out"
    assert _archive("export", extracted, "--store", place / "store", "--parquet", out) == 2
    assert "pip install 'framegate[parquet]'" in capsys.readouterr().err
    assert not out.exists()


def test_a_full_disk_leaves_nothing_half_done_and_changes_no_digest(
    place: Path, extracted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource
    import shutil

    wanted = {
        name: path.read_bytes() for name, path in _decisions(place, extracted, capsys).items()
    }
    store = tmp_path / "store"
    shutil.copytree(place / "store" / "tapes", store / "tapes")
    judge = ("judge", extracted, "--store", store, "--workers", 1, "--json")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # a board's tape fits, decisions do not
    try:
        assert _archive(*judge) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write" in capsys.readouterr().err
    decisions = store / "decisions"
    assert not [path for path in decisions.rglob("*") if path.is_file()]

    assert _archive(*judge) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["recording"]: Path(row["decisions"]).read_bytes() for row in rows} == wanted


def _room_alone(extracted: Path, to: Path) -> tuple[Path, bytes]:
    """A manifest of one recording, and the tape that it has."""
    lines = extracted.read_text().splitlines(keepends=True)
    (line,) = (one for one in lines if json.loads(one)["clip"].endswith("room.avi"))
    (to / "room.jsonl").write_text(line)
    digest = json.loads(line)["sha256"]
    (recording,) = (one for one in read(extracted) if one.sha256 == digest)
    return to / "room.jsonl", tape_of(recording, Store(str(extracted.parent / "store"))).to_bytes()


def _left_in(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file() and path.suffix != ".board"]


def test_a_full_disk_while_extracting_loses_nothing_and_changes_no_digest(
    place: Path, extracted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import resource

    manifest, wanted = _room_alone(extracted, tmp_path)
    store = tmp_path / "store"
    extract = ("extract", manifest, "--store", store, "--workers", 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(wanted) - 1, hard))  # all but the tape fits
    try:
        assert _archive(*extract) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write" in capsys.readouterr().err
    assert not [path for path in _left_in(store) if "tapes" in path.parts]

    assert _archive(*extract) == 0
    (tape,) = (store / "tapes").rglob("*.tape")
    assert tape.read_bytes() == wanted


@pytest.mark.long
def test_a_disk_that_is_really_full_loses_nothing(
    place: Path, extracted: Path, tmp_path: Path
) -> None:
    """A tmpfs of 12 KiB in a namespace of its own; then it grows, and the same command runs."""
    import shlex
    import subprocess

    own = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
    mounted = "mount -t tmpfs -o size=12k tmpfs"
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    if subprocess.run([*own, f"{mounted} {disk}"], check=False, capture_output=True).returncode:
        pytest.skip("needs a mount namespace of one's own (unshare --user --mount)")
    manifest, wanted = _room_alone(extracted, tmp_path)
    words = ["archive", "extract", str(manifest), "--store", str(disk / "store"), "--workers", "1"]
    command = shlex.join([*isolation.python("edge.cli"), *words])
    steps = f"""
        {mounted} {disk} || exit 90
        {command}; test $? = 1 || exit 91
        find {disk} -name '*.tape*' | grep . && exit 92
        mount -o remount,size=10m {disk} || exit 93
        {command} || exit 94
        cp -r {disk} {out}
    """
    run = subprocess.run([*own, steps], check=False, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    assert "No space left on device" in run.stderr
    (tape,) = out.rglob("*.tape")
    assert tape.read_bytes() == wanted


def test_a_store_by_url_holds_the_same_digests(
    place: Path, extracted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    wanted = {
        name: path.read_bytes() for name, path in _decisions(place, extracted, capsys).items()
    }
    for tape in (place / "store" / "tapes").rglob("*.tape"):
        files.pipe_file(f"/archive/{tape.relative_to(place / 'store')}", tape.read_bytes())
    judge = ("judge", extracted, "--store", "memory://archive/", "--workers", 1, "--json")
    for _ in range(2):  # the second finds all of it there
        capsys.readouterr()
        assert _archive(*judge) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        found = {row["recording"]: files.cat_file(row["decisions"]) for row in rows}
        assert found == wanted

    files.pipe_file(rows[0]["decisions"], b"")
    store = Store("memory://archive")
    with pytest.raises(RecordError, match="holds something else"):
        store.keep(rows[0]["decisions"], b"other")
    assert _archive("judge", extracted, "--store", "odd://archive", "--workers", 1) == 2
    assert "odd://archive" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["fsspec.core", "s3fs"])
@pytest.mark.parametrize("action", [("extract",), ("judge",), ("diff", "strict", "police")])
def test_a_store_by_url_without_its_library_is_one_line(
    missing: str,
    action: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import sys

    if missing == "s3fs":
        pytest.importorskip("fsspec")
        kept = sys.modules["fsspec.registry"]
        monkeypatch.setattr(kept, "_registry", {})  # as in a new process
    monkeypatch.setitem(sys.modules, missing, None)
    line = {"clip": "a.mp4", "sha256": "0" * 64, "device": "D.toml", "session": "S.toml"}
    (tmp_path / "archive.jsonl").write_text(json.dumps(line) + "\n")

    assert _archive(*action, tmp_path / "archive.jsonl", "--store", "s3://bucket/archive") == 2
    err = capsys.readouterr().err
    assert "pip install 'framegate[store]'" in err
    assert err.count("\n") == 1


@pytest.mark.long
@pytest.mark.parametrize("engine", ["local", "dask", "ray"])
def test_a_killed_worker_changes_no_digest(
    engine: str, place: Path, extracted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    if engine != "local":
        pytest.importorskip("distributed" if engine == "dask" else "ray")
    wanted = sorted(
        (path.name, path.read_bytes()) for path in _decisions(place, extracted, capsys).values()
    )
    store = tmp_path / "store"
    shutil.copytree(place / "store" / "tapes", store / "tapes")
    tasks = [Judge(one, str(store), "strict") for one in read(extracted)]
    done = dict(run(works_after_a_kill, tasks, engine=engine, workers=2, lost=Failed))
    assert (tmp_path / "store.killed").exists()  # a worker was killed
    assert not [one for one in done.values() if isinstance(one, Failed)]
    found = [(path.name, path.read_bytes()) for path in (store / "decisions").rglob("*.jsonl")]
    assert sorted(found) == wanted
