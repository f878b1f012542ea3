"""`[[also]]` in guard.toml: more matchers on the camera, and one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.cli import main
from edge.daemon.also import escaped_before
from edge.daemon.install import config_text
from edge.daemon.setting_keys import ALSO_KEYS
from edge.daemon.settings import SettingsError, parse_settings, show

FIRST = b'source = "0"\ndevice = "D.toml"\nsession = "S.toml"\n[matcher]\ncommand = ["match"]\n'
COUNTS = b'[[also]]\nsession = "counting.toml"\ncommand = ["count", "-q"]\n'
MASKS = b'[[also]]\nsession = "masked.toml"\ncommand = ["show"]\n'
HOME = Path("/etc/framegate")
PATH = HOME / "guard.toml"


def problems(text: bytes) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, PATH)
    return caught.value.problems


def test_each_matcher_reaches_the_plan_with_a_name_and_a_log_of_its_own() -> None:
    more = b'uid = 7\nread = ["faces"]\nwrite = ["out"]\ncwd = "app"\nenv = { A = "1" }\n'
    more += b'results = "unix:/run/counts"\naudit = "/var/log/counts"\nname = "tills"\n'

    plan = parse_settings(FIRST + MASKS + COUNTS + more, PATH).plan

    masks, counts = plan.others
    assert (plan.name, plan.session, plan.matcher) == ("", HOME / "S.toml", ("match",))
    assert (masks.name, masks.session, masks.matcher) == (
        "masked",
        HOME / "masked.toml",
        ("show",),
    )
    assert masks.audit == HOME / "also" / "masked" / "audit"
    assert (counts.name, counts.audit) == ("tills", Path("/var/log/counts"))
    assert counts.results == "unix:/run/counts"
    assert masks.confinement and counts.confinement
    assert masks.confinement.reads == () and masks.confinement.uid == 65534
    assert counts.confinement.reads == (HOME / "faces",)
    assert counts.confinement.writes == (HOME / "out",)
    assert (counts.confinement.uid, counts.confinement.cwd) == (7, HOME / "app")
    assert counts.confinement.env == (("A", "1"),)
    assert set(plan.off_limits) == {masks.audit, counts.audit}


def test_a_file_without_more_matchers_is_what_it_was() -> None:
    settings = parse_settings(FIRST, PATH)

    assert settings.plan.others == settings.plan.off_limits == ()
    assert parse_settings(FIRST + b"[status]\n", PATH) == settings


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"[[also]]\ncommand = ['x']", ":6: [[also]] session is missing; expected a path"),
        (b"[[also]]\nsession = 'c.toml'", ":6: [[also]] command is missing; expected a list"),
        (COUNTS + b"user = 1", ":9: [[also]] user is not known; allowed: session, name, audit"),
        (COUNTS + MASKS + b"uid = 0", ":12: [[also]] uid: expected 1 to 2147483647, got 0"),
        (COUNTS + b"[also.env]\nFRAMEGATE_FD = '3'", ":6: [[also]] env: expected a table of"),
        (b"[[also]]\nsession = 'c.toml'\ncommand = []", ":8: [[also]] command: expected a list of"),
        (b"[[also]]\nsession = 'a b.toml'\ncommand = ['x']", ":6: [[also]] name is missing; 'a b'"),
        (COUNTS + b"name = '../x'", ":9: [[also]] name: expected 1 to 32 of A-Z"),
        (COUNTS + COUNTS, ":9: [[also]] session: expected one of its own for each matcher, got"),
        (b"[[also]]\nsession = './S.toml'\ncommand = ['x']", ":6: [[also]] session: expected one"),
        (
            COUNTS + b"[[also]]\nsession = 'b/counting.toml'\ncommand = ['x']",
            ":9: [[also]] name: expected one of its own for each matcher, got counting twice",
        ),
        (COUNTS + b"audit = './audit'", ":6: [[also]] audit: expected one of its own for each"),
        (
            COUNTS + b"results = 'stdout'\n" + MASKS + b"results = 'stdout'",
            ":10: [[also]] results: expected one of its own for each matcher, got stdout twice",
        ),
        (b"[also]\nsession = 'c.toml'", ":6: also: expected tables [[also]], got one table [also]"),
        (b"[[also.more]]\nx = 1", ":6: also: expected tables [[also]], got one table [also]"),
    ],
)
def test_each_mistake_is_one_line(text: bytes, expected: str) -> None:
    (problem,) = problems(FIRST + text + b"\n")

    assert problem.startswith(f"{PATH}{expected}")


def test_a_second_table_of_the_first_matcher_is_told_the_other_way() -> None:
    (problem,) = problems(FIRST.replace(b"[matcher]", b"[[matcher]]"))

    assert problem.startswith(
        f"{PATH}:4: matcher: expected a table [matcher]; others on its camera"
    )


def test_more_than_a_machine_can_run_are_refused_and_as_many_as_it_can_are_not() -> None:
    def tables(count: int) -> bytes:
        return b"".join(MASKS.replace(b"masked", b"m%d" % n) for n in range(count))

    assert len(parse_settings(FIRST + tables(7), PATH).plan.others) == 7
    (problem,) = problems(FIRST + tables(8))
    assert problem == f"{PATH}:6: also: expected at most 7 tables [[also]], got 8"


def test_the_first_matchers_mistakes_are_told_with_the_others() -> None:
    found = problems(COUNTS + b"uid = 0\n")

    assert [problem.partition(": ")[2][:14] for problem in found] == [
        "device is miss",
        "session is mis",
        "source is miss",
        "[[also]] uid: ",
    ]


def test_what_is_shown_is_the_same_configuration_again() -> None:
    for text in (FIRST, FIRST + COUNTS + b'env = { A = "b" }\n' + MASKS):
        again = show(text, PATH).encode()
        assert parse_settings(again, PATH) == parse_settings(text, PATH)
        assert all(f"# {key.meaning}: {key.allowed}\n".encode() in again for key in ALSO_KEYS)


def test_an_installed_guard_has_them_all(tmp_path: Path) -> None:
    settings = parse_settings(FIRST + COUNTS + b'env = { A = "b" }\nread = ["faces"]\n', PATH)

    installed = parse_settings(config_text("till-2", settings).encode(), tmp_path / "guard.toml")

    (before,), (after,) = settings.plan.others, installed.plan.others
    assert after.session == tmp_path / "counting.toml"
    assert after.audit == Path("/var/lib/framegate/till-2/also/counting/audit")
    same = ("name", "matcher", "confinement", "results")
    assert [getattr(after, name) for name in same] == [getattr(before, name) for name in same]


def test_an_escape_attempt_blocks_the_matcher_of_its_name_alone() -> None:
    plan = parse_settings(FIRST + COUNTS + MASKS, PATH).plan

    assert [one.escaped for one in escaped_before(plan, {"masked": "connect()"}).others] == [
        "",
        "connect()",
    ]
    blocked = escaped_before(plan, {"": "bind()"})
    assert (blocked.escaped, [one.escaped for one in blocked.others]) == ("bind()", ["", ""])


def test_the_check_names_the_matcher_whose_record_or_log_is_at_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("no folder")
    assert main(["keys", "init", "--keys", str(tmp_path / "keys")]) == 0
    file = tmp_path / "guard.toml"
    file.write_bytes(b'keys = "keys"\n' + FIRST + COUNTS + b'audit = "taken"\n')
    capsys.readouterr()

    assert main(["config", "check", str(file)]) == 1

    lines = capsys.readouterr().err.splitlines()
    assert [
        line for line in lines if line.startswith("matcher counting: ") and "counting.toml" in line
    ]
    assert [line for line in lines if line.startswith("matcher counting: audit ")]
