"""guard.toml: every error at once, with its line and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cameras.source import parse_source
from edge.cli import main
from edge.daemon import settings
from edge.daemon.install import config_text
from edge.daemon.settings import KEYS, Listen, SettingsError, parse_settings, show

GOOD = b'source = "0"\ndevice = "D.toml"\nsession = "S.toml"\n'
PATH = Path("/etc/framegate/guard.toml")


def problems(text: bytes) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, PATH)
    return caught.value.problems


def test_three_lines_are_a_whole_configuration() -> None:
    found = parse_settings(GOOD, PATH)

    assert found.plan.device == Path("/etc/framegate/D.toml")
    assert found.listen == Listen("127.0.0.1", 8321)
    assert found.plan.matcher == ()
    assert (found.plan.pack, found.plan.release, found.plan.board) == (
        "strict",
        "bracketed",
        "virtual",
    )


def test_every_error_is_told_at_once_with_its_line() -> None:
    text = b'source = 1\n\npack = "La x"\n[matcher]\nuid = 0\n[status]\nlisten = "0.0.0.0:80"\n'

    assert problems(text) == [
        f"{PATH}:1: device is missing; expected a path",
        f"{PATH}:1: session is missing; expected a path",
        f"{PATH}:1: source: expected a V4L2 index or device, picamera2:N, a URL, gst:PIPELINE, a "
        "video file, got 1",
        f'{PATH}:3: pack: expected "strict", "police", the name of the installed bundle\'s pack, '
        "or the path of a signed bundle, got 'La x'",
        f"{PATH}:5: [matcher] uid: expected 1 to 2147483647, got 0",
        f'{PATH}:7: [status] listen: expected a loopback address with a port, or "", '
        "got '0.0.0.0:80'",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"speed = 1", ":4: speed is not known; allowed: source, device"),
        (b"[camera]\nx = 1", ":4: camera is not known"),
        (b"[matcher]\nuser = 1", ":5: [matcher] user is not known; allowed: command, uid"),
        (b"matcher = 1", ":4: matcher: expected a table [matcher]"),
        (b"[matcher]\ncommand = 'run me'", ":5: [matcher] command: expected a list of words"),
        (b"[matcher]\nuid = true", ":5: [matcher] uid: expected 1 to"),
        (b"[matcher]\nuid = 1.0", ":5: [matcher] uid: expected 1 to"),
        (b"[matcher]\nread = ['']", ":5: [matcher] read: expected a list of paths"),
        (b"keys = ''", ":4: keys: expected a folder"),
        (b"start_limit_s = 9", ":4: start_limit_s: expected 10 to 600, got 9"),
        (b"start_limit_s = 30.5", ":4: start_limit_s: expected 10 to 600"),
        (b"release = 'later'", ':4: release: expected "bracketed" or "immediate"'),
    ],
)
def test_what_is_not_known_or_not_allowed_is_refused(line: bytes, expected: str) -> None:
    (problem,) = problems(GOOD + line + b"\n")

    assert problem.startswith(str(PATH) + expected)


@pytest.mark.parametrize("where", ["127.0.0.1:1", "127.9.9.9:65535", "[::1]:8321"])
def test_the_page_is_served_on_loopback(where: str) -> None:
    found = parse_settings(GOOD + f'[status]\nlisten = "{where}"\n'.encode(), PATH)

    assert found.listen is not None


@pytest.mark.parametrize(
    "where",
    ["0.0.0.0:8321", "192.168.0.1:8321", "[::]:80", "localhost:80", "127.0.0.1", "127.0.0.1:0",
     "127.0.0.1:65536", ":80", "x"],
)  # fmt: skip
def test_the_page_is_served_nowhere_else(where: str) -> None:
    (problem,) = problems(GOOD + f'[status]\nlisten = "{where}"\n'.encode())

    assert "expected a loopback address" in problem


def test_no_page_is_a_choice() -> None:
    assert parse_settings(GOOD + b'[status]\nlisten = ""\n', PATH).listen is None


@pytest.mark.parametrize(
    "text",
    [b"source = ", b"\xff", b"x" * (64 * 1024 + 1), b"a = " + b"[" * 5000, b"a=1\na=2"],
    ids=["cut", "not text", "huge", "deep", "twice"],
)
def test_what_is_no_configuration_is_one_problem(text: bytes) -> None:
    (problem,) = problems(text)

    assert problem.startswith(str(PATH))
    assert "\n" not in problem.replace("\\n", "")


def test_what_is_shown_is_a_configuration_again() -> None:
    text = GOOD + b'pack = "police"\n[matcher]\ncommand = ["a b", "c\\"d\\\\"]\nuid = 7\n'

    again = show(text, PATH).encode()

    assert parse_settings(again, PATH) == parse_settings(text, PATH)


@pytest.mark.parametrize("installed", [False, True])
@pytest.mark.parametrize(
    ("source", "live"),
    [
        ("picamera2:0", True),
        ("PiCamera2:1,I420", True),
        ("0", True),
        ("rtsp://cam/one", True),
        ("gst: v4l2src", True),
        ("room.mp4", False),
        ("picamera2.mp4", False),
        ("/there/room.mp4", False),
    ],
)
def test_a_camera_reaches_the_plan_as_a_camera_and_a_file_as_a_path(
    source: str, live: bool, installed: bool
) -> None:
    found = parse_settings(GOOD.replace(b'"0"', f'"{source}"'.encode()), PATH)
    if installed:
        found = parse_settings(config_text("till-2", found).encode(), Path("/elsewhere/guard.toml"))

    planned = found.plan.source

    assert parse_source(planned).live is live
    assert planned == (parse_source(source).text if live else str(PATH.parent / source))


def test_every_key_is_shown_with_its_meaning() -> None:
    shown = show()

    assert all(f"# {key.meaning}: {key.allowed}\n" in shown for key in KEYS)
    assert all(key.meaning and key.allowed for key in settings.KEYS)


def test_the_check_command_tells_all_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "guard.toml"
    file.write_bytes(b'pack = "La x"\n')

    assert main(["config", "check", str(file)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 4
    file.write_bytes(GOOD + b'keys = "none"\n')
    assert main(["config", "check", str(file)]) == 1  # the file holds, its records are not there
    assert "no keys in" in capsys.readouterr().err
    assert main(["config", "show", str(file)]) == 0
    assert main(["config", "show", str(tmp_path / "none")]) == 2


def test_a_daemon_with_a_bad_configuration_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "guard.toml"
    file.write_bytes(b'pack = "La x"\n')

    assert main(["daemon", "--config", str(file)]) == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert "and 3 more" in output


@pytest.mark.parametrize(
    "env",
    [
        "{ A = 1 }",
        '{ "A B" = "x" }',
        '{ FRAMEGATE_TOKEN = "x" }',
        '{ "" = "x" }',
        '"A=x"',
        '["A=x"]',
    ],
)
def test_the_matchers_environment_is_a_table_of_its_own_texts(env: str) -> None:
    (line,) = problems(GOOD + f"[matcher]\nenv = {env}\n".encode())

    assert line.startswith(f"{PATH}:5: [matcher] env: expected a table of texts")


def test_the_matcher_begins_where_and_with_what_the_file_says() -> None:
    text = GOOD + b'[matcher]\ncwd = "app"\nenv = { LD_PRELOAD = "/x.so", B = "2" }\n'

    found = parse_settings(text, PATH)

    assert found.plan.confinement.cwd == PATH.parent / "app"
    assert found.plan.confinement.env == (("LD_PRELOAD", "/x.so"), ("B", "2"))  # at its exec alone
    assert parse_settings(show(text).encode(), PATH) == found
    assert parse_settings(GOOD, PATH).plan.confinement.env == ()


@pytest.mark.parametrize("given", ["A", "=x", "1A=x", "FRAMEGATE_FD=3"])
def test_a_variable_that_is_none_is_one_line_on_the_command_line(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--source", "x", "--device", "D", "--session", "S", "--matcher-env", given]

    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == 2
    assert f"expected NAME=TEXT, got {given!r}" in capsys.readouterr().err


@pytest.mark.parametrize(("line", "limit_s"), [("", 30), ("start_limit_s = 120\n", 120)])
def test_a_slow_device_may_have_longer_to_start(line: str, limit_s: int) -> None:
    settings = parse_settings(GOOD + line.encode(), PATH)

    assert settings.plan.start_limit_s == limit_s


def test_where_results_go_starts_at_the_folder_of_the_file_that_says_so() -> None:
    also = b"[[also]]\nsession = 'T.toml'\ncommand = ['m']\nresults = 'unix:second'\n"
    found = parse_settings(GOOD + b"[matcher]\nresults = 'unix:first'\n" + also, PATH)

    assert found.plan.results == "unix:/etc/framegate/first"
    assert [other.results for other in found.plan.others] == ["unix:/etc/framegate/second"]
    for same in (b"unix:first", b"unix:./first", b"unix:/etc/framegate/x/../first"):
        (problem,) = problems(
            GOOD + b"[matcher]\nresults = 'unix:first'\n" + also.replace(b"unix:second", same)
        )
        assert "results: expected one of its own" in problem


@pytest.mark.parametrize("table", [b"[matcher]\n", b"[[also]]\nsession = 'T'\ncommand = ['m']\n"])
def test_a_place_for_results_that_is_too_long_is_a_line(table: bytes) -> None:
    (problem,) = problems(GOOD + table + b"results = 'unix:" + b"x" * 95 + b"'\n")

    assert "results: expected" in problem
    assert "107 bytes" in problem
    parse_settings(GOOD + table + b"results = 'unix:" + b"x" * 80 + b"'\n", PATH)
