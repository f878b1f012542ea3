"""Files are opened with care in one place, and TOML is read in one."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge.cli import main
from edge.commands.live.run import _environment_file
from edge.commissioning.keys import KeyStore
from edge.commissioning.toml_text import parse_toml, toml_value
from edge.errors import UsageError
from edge.files import (
    read_named,
    read_plain,
    read_secret,
    read_trusted,
    scratch_folder,
    write_new,
    write_whole,
)

ROOT = Path(__file__).resolve().parents[1]
READERS: list[Callable[[Path, int], bytes]] = [read_plain, read_named, read_secret, read_trusted]
SESSION = 'operation = "detect"\ngallery = "none"\n'


@pytest.fixture
def umask() -> object:
    old = os.umask(0)
    yield os.umask
    os.umask(old)


@pytest.mark.parametrize("read", READERS)
def test_a_regular_file_is_read_up_to_the_bound(read, tmp_path: Path) -> None:
    write_new(tmp_path / "file", b"0123456789", 0o600)

    assert read(tmp_path / "file", 4) == b"0123"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", READERS)
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(read, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="no regular file"):
            read(path, 4)


def test_a_link_is_followed_only_where_an_operator_named_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("caught")
    (tmp_path / "link").symlink_to(tmp_path / "file")

    assert read_named(tmp_path / "link", 9) == b"caught"
    with pytest.raises(OSError, match="no regular file"):
        read_plain(tmp_path / "link", 9)


@pytest.mark.parametrize("mask", [0o000, 0o027, 0o077])
def test_a_mode_is_what_was_asked_for_whatever_the_umask(mask: int, umask, tmp_path: Path) -> None:
    umask(mask)
    write_new(tmp_path / "new", b"x", 0o644)
    write_whole(tmp_path / "whole", b"x", 0o600)

    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "whole").stat().st_mode) == 0o600


def test_a_link_where_a_file_is_written_leaves_its_target_alone(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    for name in ("new", "whole"):
        (tmp_path / name).symlink_to(tmp_path / "target")

    with pytest.raises(FileExistsError):
        write_new(tmp_path / "new", b"x")
    write_whole(tmp_path / "whole", b"x")

    assert (tmp_path / "target").read_text() == "mine"
    assert (tmp_path / "whole").read_bytes() == b"x"
    assert not (tmp_path / "whole").is_symlink()
    assert len(list(tmp_path.iterdir())) == 3  # nothing is left behind


def test_what_a_matcher_needs_is_not_written_through_a_planted_link(tmp_path: Path) -> None:
    guard = SimpleNamespace(environment={"FRAMEGATE_TOKEN": "secret"})
    (tmp_path / "target").write_text("mine")
    for name in ("matcher.env", "matcher.env.new"):
        (tmp_path / name).symlink_to(tmp_path / "target")

    path = _environment_file(tmp_path, guard)

    assert (tmp_path / "target").read_text() == "mine"
    assert path.read_text() == "FRAMEGATE_TOKEN=secret\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("exposed", ["record.pub", "."])
def test_a_key_that_others_may_change_is_not_trusted(exposed: str, tmp_path: Path) -> None:
    store = KeyStore.init(tmp_path / "keys")
    assert store.record_verifier().name.endswith("/record")

    os.chmod(store.directory / exposed, 0o777)

    with pytest.raises(UsageError, match="may be changed by others"):
        store.record_verifier()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b"a = 1\n" * 9000, "at most 20000 bytes"),
        (b"a = \xff", "UTF-8 text"),
        (b"a = ", "not TOML"),
    ],
)
def test_toml_that_cannot_be_read_is_one_line(text: bytes, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        parse_toml(text, 20_000)

    assert "\n" not in str(caught.value)


def test_toml_with_a_byte_order_mark_is_read() -> None:
    assert parse_toml(b"\xef\xbb\xbfa = [[1]]\n", 100) == {"a": [[1]]}


@pytest.mark.parametrize("kind", ["device", "session"])
@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "operation = 3", "nosuch = 1"])
def test_a_record_that_cannot_be_parsed_is_not_signed(kind, text, tmp_path: Path, capsys) -> None:
    KeyStore.init(tmp_path / "keys")
    record = tmp_path / "r.toml"
    record.write_text(text)

    code = main(["keys", "sign", str(record), "--kind", kind, "--keys", str(tmp_path / "keys")])

    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not record.with_name("r.toml.sig").exists()


def test_a_record_that_can_be_parsed_is_signed(tmp_path: Path) -> None:
    KeyStore.init(tmp_path / "keys")
    record = tmp_path / "s.toml"
    record.write_text(SESSION)

    words = ["keys", "sign", str(record), "--kind", "session", "--keys", str(tmp_path / "keys")]

    assert main(words) == 0
    assert record.with_name("s.toml.sig").exists()


@pytest.mark.parametrize(
    ("pattern", "home"), [(r"\btomllib\.loads?\(", "toml_text.py"), (r"O_EXCL", "files.py")]
)
def test_there_is_one_place_for_it(pattern: str, home: str) -> None:
    places = [
        file.name
        for package in ("edge", "firmware_bridge")
        for file in (ROOT / package).rglob("*.py")
        if re.search(pattern, file.read_text())
    ]

    assert places == [home]


def test_no_place_for_temporary_files_is_one_line_and_a_place_is_used_and_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder("x-") as folder:
        (folder / "a").write_text("b")
        assert folder.parent == tmp_path
    assert not folder.exists()

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "nosuch")])
    with pytest.raises(UsageError, match="no folder for temporary files can be written"):
        scratch_folder("x-").__enter__()


@pytest.mark.parametrize(
    "value",
    ["till-2", 'a "b" \\ c', "\U0001f600", "ü", "\x7f\x00\t\n", ["x", "\U0001f600"], 7, True],
)
def test_what_is_written_as_toml_is_read_back(value: object) -> None:
    line = f"x = {toml_value(value)}\n"

    assert parse_toml(line.encode(), 1000) == {"x": value}


def test_text_that_is_no_unicode_is_one_line_and_never_written() -> None:
    with pytest.raises(UsageError, match="expected text in UTF-8"):
        toml_value("clip\udcff.mp4")
