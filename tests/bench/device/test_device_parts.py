"""The emulated device: machines, cache, recipe, archive and table, without starting one."""

from __future__ import annotations

import ast
import contextlib
import errno
import os
import re
import select
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from bench.device import machines, suite
from bench.device.host import Host, lacking
from bench.device.image import initramfs, payload, recipe
from bench.device.image.cache import Cache
from edge.cli import main
from edge.errors import UsageError

DRIVES = machines.Drives("k", "i", "r.img", "p.tar", "res.tar")
GOOD = Host(
    "linux",
    frozenset({"qemu-system-aarch64", "mke2fs", "apt-get", "dpkg-deb"}),
    keyring=True,
    free_mib=9000,
    memory_mib=9000,
)
PI_4 = machines.machine("pi-4-class")


def ignore(_line: str) -> None:
    pass


@pytest.mark.parametrize("machine", machines.MACHINES, ids=lambda m: m.name)
def test_a_machine_starts_with_its_core_and_memory_and_never_writes_its_disk(
    machine: machines.Machine,
) -> None:
    command = machines.command(machine, DRIVES, host_cores=8, now_s=5)

    assert machine.cpu in command and f"{machine.memory_mib}M" in command
    assert command[command.index("-smp") + 1] == str(machine.cores)
    assert [word for word in command if "file=r.img" in word and "snapshot=on" in word]
    assert not [word for word in command if "pci-serial" in word]


def test_only_virtual_time_pays_for_separate_pages_of_the_kernel() -> None:
    starts = (machines.USUAL, machines.Start(shift=0))
    commands = [machines.command(PI_4, DRIVES, host_cores=2, now_s=5, start=s) for s in starts]

    words = [command[command.index("-append") + 1].split() for command in commands]
    assert ["kpti=off" in line for line in words] == [True, False]


def test_16_kib_pages_only_go_with_a_core_that_has_them() -> None:
    assert {m.cpu for m in machines.MACHINES if m.pages is machines.Pages.KIB_16} == {"cortex-a76"}


def test_a_machine_has_no_more_cores_than_the_host_and_its_board_on_a_uart() -> None:
    command = machines.command(PI_4, DRIVES, host_cores=2, now_s=5, board="/dev/pts/9")

    assert command[command.index("-smp") + 1] == "2"
    assert "serial,id=board,path=/dev/pts/9" in command
    assert "pci-serial,chardev=board" in command


def test_a_finished_step_is_not_made_twice_and_other_inputs_make_another(tmp_path: Path) -> None:
    cache = Cache(tmp_path, ignore)
    made: list[Path] = []

    def make(part: Path) -> None:
        made.append(part)
        part.write_text("whole")

    first = cache.step("disk", [1], make)
    again = cache.step("disk", [1], make)
    beside = cache.step("disk-16k", [1], lambda part: part.touch())
    other = cache.step("disk", [2], make)

    assert first == again != other
    assert len(made) == 2 and other.read_text() == "whole"
    assert beside.exists() and not first.exists()  # nobody asks for the first any more


@pytest.mark.parametrize("error", [UsageError("no network"), KeyboardInterrupt()], ids=repr)
def test_a_step_that_was_interrupted_leaves_nothing_that_could_be_used(
    tmp_path: Path, error: BaseException
) -> None:
    cache = Cache(tmp_path, ignore)

    def make(part: Path) -> None:
        part.mkdir()
        (part / "half").touch()
        raise error

    with pytest.raises(type(error)):
        cache.step("root", [], make)

    assert list(tmp_path.iterdir()) == []
    assert not cache.has("root", [])


def test_what_a_killed_build_left_is_cleared_and_what_is_whole_stays(tmp_path: Path) -> None:
    (tmp_path / ".part-root-1").mkdir()
    (tmp_path / ".part-disk-1").touch()
    (tmp_path / "root-1").touch()

    with Cache(tmp_path, ignore).locked():
        left = sorted(path.name for path in tmp_path.iterdir())

    assert left == ["lock", "root-1"]


@pytest.mark.parametrize(
    ("host", "printed"),
    [
        (replace(GOOD, system="darwin"), "expected a Linux host; this is darwin"),
        (replace(GOOD, tools=GOOD.tools - {"qemu-system-aarch64"}), "apt-get install qemu-system"),
        (replace(GOOD, tools=GOOD.tools - {"mke2fs"}), "apt-get install e2fsprogs"),
        (replace(GOOD, keyring=False), "apt-get install debian-archive-keyring"),
        (replace(GOOD, free_mib=100), "100 are free: make room"),
        (replace(GOOD, memory_mib=512), "512 are available"),
    ],
)
def test_each_lack_is_one_line_with_its_remedy(host: Host, printed: str) -> None:
    lack = lacking(host, PI_4, built=False)

    assert lack is not None and printed in lack and "\n" not in lack


def test_a_good_host_lacks_nothing_and_what_is_built_needs_only_the_emulator() -> None:
    bare = replace(GOOD, tools=frozenset({"qemu-system-aarch64"}), keyring=False, free_mib=0)

    assert lacking(GOOD, PI_4, built=False) is None
    assert lacking(bare, PI_4, built=True) is None
    assert lacking(replace(bare, tools=frozenset()), PI_4, built=True) is not None


def test_the_device_gets_the_runtime_requirements_and_what_runs_tests_but_no_bench_peer() -> None:
    declared = (
        "numpy<3,>=2.0",
        'tomli>=2.0; python_version < "3.11"',
        'pytest>=8; extra == "test"',
        'hdrhistogram>=0.10; extra == "test"',
        'iceoryx2>=0.10; extra == "bench"',
    )

    assert recipe.requirements(declared) == ["numpy<3,>=2.0", "pytest>=8"]


@pytest.mark.parametrize(
    ("sources", "found"),
    [
        ("Types: deb\nURIs: http://m.test/debian/\nSuites: x\n", "http://m.test/debian"),
        (
            "# deb http://no.test/debian x main\ndeb http://m.test/debian x main",
            "http://m.test/debian",
        ),
        ("deb [arch=amd64] https://m.test/a/debian x main\n", "https://m.test/a/debian"),
        ("URIs: http://m.test/debian-security\ndeb http://m.test/ubuntu x main\n", None),
        ("", None),
    ],
)
def test_the_mirror_is_the_one_that_this_machine_uses(sources: str, found: str | None) -> None:
    assert recipe.mirror_of(sources) == found


def test_the_kernel_package_is_the_one_that_the_distribution_names() -> None:
    printed = "linux-image-arm64\n  Depends: linux-image-6.12.1+deb13-arm64\n"

    assert recipe.kernel_of(printed) == "linux-image-6.12.1+deb13-arm64"
    with pytest.raises(UsageError, match="expected a kernel package"):
        recipe.kernel_of("E: no such package")


def test_modules_load_after_what_they_need(tmp_path: Path) -> None:
    needs = {"ext4": "jbd2,mbcache", "jbd2": "", "mbcache": "", "crc32c-generic": ""}
    for name, wanted in needs.items():
        (tmp_path / f"{name}.ko").write_bytes(b"\x7fELF\0depends=" + wanted.encode() + b"\0")

    order = list(initramfs.load_modules(tmp_path, ("crc32c_generic", "ext4")))

    assert order == ["crc32c_generic", "jbd2", "mbcache", "ext4"]
    with pytest.raises(UsageError, match="expected the kernel module xfs"):
        initramfs.load_modules(tmp_path, ("xfs",))


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs cpio to read the archive back")
def test_the_archive_is_one_that_cpio_reads(tmp_path: Path) -> None:
    packed = initramfs.archive({"bin/a": b"12345"}, {"bin/b": "a"}, ("bin",))

    subprocess.run(["cpio", "-i", "--quiet"], input=packed, cwd=tmp_path, check=True)

    assert (tmp_path / "bin/a").read_bytes() == b"12345"
    assert (tmp_path / "bin/b").readlink() == Path("a")


def test_the_device_gets_every_file_of_the_checkout_and_links_to_folders_of_it(
    tmp_path: Path,
) -> None:
    payload.pack(tmp_path / "p.tar", assets={}, extra={"srv/mine": b"text"})

    with tarfile.open(tmp_path / "p.tar") as tar:
        names = set(tar.getnames())
        links = {entry.name: entry.linkname for entry in tar if entry.issym()}
    listed = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=payload.REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    kept = [n for n in listed.stdout.split("\0") if n and (payload.REPOSITORY / n).exists()]
    assert {f"srv/framegate/{name}" for name in kept} <= names
    assert links["srv/framegate/framegate_client"] == "client/framegate_client"
    assert "srv/framegate/client/framegate_client/__init__.py" in names  # where it points
    assert "srv/mine" in names


ROWS = suite.suite(["a.mp4"], tests=True, board=True)
TESTED = tuple(f"tests: {name}" for name in suite.TESTS)
NAMES = ("doctor", "board duties", "replay a.mp4", *TESTED)
LOGS = {"doctor": "all good\n", "board duties": "22 passed, 0 failed\n"}
LOGS |= dict.fromkeys(TESTED, "9 passed in 2s")
OURS = {"replay a.mp4": suite.Decisions("ab", 9, 4)}


def report(**changed: object) -> dict[str, list[dict[str, object]]]:
    rows: list[dict[str, object]] = [
        {"name": name, "code": 0, "took_s": 1.0, "log": name, "kept": {"sha256": "ab"}}
        for name in NAMES
    ]
    for row in rows:
        row.update({k: v for k, v in changed.items() if row["name"] == changed["name"]})
    return {"rows": rows}


def test_the_suite_holds_when_every_row_is_there_passed_and_equal_to_the_host() -> None:
    lines = suite.judge(ROWS, report(name=""), LOGS, OURS)

    assert [line.name for line in lines] == list(NAMES)
    assert all(line.holds for line in lines)
    assert "FAILED" not in suite.table("t", lines)
    assert lines[2].found == "byte-identical with the host: ab, 4 of 9 frames pass"


@pytest.mark.parametrize(
    ("spoil", "row"),
    [
        (lambda: report(name="doctor", code=1), "doctor"),
        (lambda: report(name="tests: gate", code="TimeoutExpired: x"), "tests: gate"),
        (lambda: report(name="tests: gate", log="nothing"), "tests: gate"),
        (lambda: report(name="replay a.mp4", kept={"sha256": "cd"}), "replay a.mp4"),
        (lambda: report(name="replay a.mp4", kept=None), "replay a.mp4"),
        (lambda: {"rows": report(name="")["rows"][:-1]}, TESTED[-1]),
    ],
    ids=["exit code", "no end", "no test ran", "other bytes", "no bytes", "device gone"],
)
def test_one_thing_wrong_fails_its_line_and_no_other(
    spoil: Callable[[], dict[str, list[dict[str, object]]]], row: str
) -> None:
    lines = suite.judge(ROWS, spoil(), LOGS, OURS)

    assert [line.name for line in lines if not line.holds] == [row]
    assert suite.table("t", lines).count("FAILED") == 1


def test_a_clip_that_the_host_did_not_replay_is_not_equal() -> None:
    lines = suite.judge(ROWS, report(name=""), LOGS, {})

    assert [line.name for line in lines if not line.holds] == ["replay a.mp4"]


def test_each_row_of_tests_has_a_folder_of_its_own() -> None:
    """Two run side by side, and pytest closes the folder that all of its runs share."""
    rows = [row for row in suite.suite((), tests=True, board=False) if row.name in TESTED]

    bases = {row.command[row.command.index("--basetemp") + 1] for row in rows}

    assert len(bases) == len(rows) == len(suite.TESTS)


def test_all_of_the_suite_has_more_than_its_quick_part() -> None:
    quick, every = (
        {row.name: row.command for row in suite.suite((), tests=True, board=False, every=all_of_it)}
        for all_of_it in (False, True)
    )
    named = {word for files in suite.TESTS.values() for word in files}

    assert quick.keys() == every.keys()
    assert {word for words in every.values() for word in words if word in named} == named
    assert {word for words in quick.values() for word in words if word in named} == named - set(
        suite.LATER
    )
    assert set(suite.FEW) <= set(quick["tests: gate"]) and set(suite.LATER) < named


def test_the_files_that_the_suite_names_exist() -> None:
    root = Path(__file__).resolve().parents[3]

    named = [name for files in suite.TESTS.values() for name in files]

    assert [name for name in named if not (root / name).is_file()] == []
    text = "".join((root / name).read_text() for name in named)
    functions = [name.partition("[")[0] for name in suite.NOT_INSIDE]
    left_out = {name: re.search(rf"def test_\w*{name}", text) for name in functions}
    assert all(left_out.values()), left_out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["test", "--cache", "{file}"], "cannot write {file}: File exists"),
        (["test", "--cache", "{file}/in"], "cannot write {file}/in: Not a directory"),
        (
            ["run", "--mirror", "nonsense", "--", "doctor"],
            "expected --mirror as http://HOST/debian",
        ),
        (["run", "--mirror", "ftp://m.test", "--", "doctor"], "got 'ftp://m.test'"),
        (["shell"], "expected a terminal"),
        (["test", "--only", "camera", "--short"], "--only without --all, --short and --clips"),
        (["test", "--all", "--short"], "expected --all or --short; got both"),
    ],
    ids=[
        "a file as cache",
        "a folder in a file",
        "no address",
        "no such protocol",
        "no terminal",
        "a chapter and more",
        "all and little",
    ],
)
def test_bad_input_is_one_line_and_nothing_is_built(
    words: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("bench.device.host.look", lambda folder: GOOD)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    file = tmp_path / "file"
    file.write_text("mine")

    code = main(["device", *(word.format(file=file) for word in words)])

    printed = capsys.readouterr().err
    assert code == 2
    assert printed.count("\n") == 1 and expected.format(file=file) in printed
    assert file.read_text() == "mine"


def test_no_network_is_one_line_and_leaves_no_half_made_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.device.host.look", lambda folder: GOOD)

    def unreachable(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 100, "", "E: Failed to fetch: no route\n")

    monkeypatch.setattr("bench.device.image.tools.subprocess.run", unreachable)
    words = ["--mirror", "http://m.test/debian", "--cache", str(tmp_path / "cache")]

    code = main(["device", "test", "--short", *words])

    *progress, last = capsys.readouterr().err.splitlines()
    assert code == 2
    assert progress == ["packages: building"]
    remedy = "(check the network, or name a --mirror)"
    assert last == f"framegate: cannot fetch packages {remedy}: E: Failed to fetch: no route"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["lock"]


def test_another_system_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.device.host._MEMORY", tmp_path / "no such file")
    monkeypatch.setattr("sys.platform", "darwin")

    code = main(["device", "test", "--short", "--cache", str(tmp_path)])

    assert code == 2
    assert capsys.readouterr().err == "framegate: expected a Linux host; this is darwin\n"


def test_a_disk_that_fills_up_is_one_line_and_leaves_no_half_made_part(tmp_path: Path) -> None:
    cache = Cache(tmp_path, ignore)

    def make(part: Path) -> None:
        part.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UsageError) as refused:
        cache.step("root", [], make)

    assert str(refused.value) == f"cannot write root in {tmp_path}: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_an_emulator_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    started = (
        "import sys, time; from pathlib import Path; from bench.device.console import Console\n"
        f"Console(['sh', '-c', 'echo device: $$; exec sleep 600'], Path({str(tmp_path / 'log')!r}))"
        "\nprint(flush=True); time.sleep(600)"
    )
    program = subprocess.Popen([sys.executable, "-c", started], stdout=subprocess.PIPE)
    assert program.stdout is not None
    program.stdout.readline()
    children = Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()

    program.kill()
    program.wait()

    program.stdout.close()
    assert len(children) == 1
    handle = None
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        handle = os.pidfd_open(int(children[0]))
    if handle is not None:
        assert select.select([handle], [], [], 60)[0], "the emulator still runs"
        os.close(handle)


def imported(file: Path, seen: set[Path]) -> set[str]:
    """The packages that a test needs to be collected, with those of the tests' own modules."""
    root = Path(__file__).resolve().parents[3]
    if file in seen or not file.is_file():
        return set()
    seen.add(file)
    named: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    found = {name.partition(".")[0] for name in named}
    for name in named:
        if name.startswith("tests."):
            found |= imported(root.joinpath(*name.split(".")).with_suffix(".py"), seen)
    return found


@pytest.mark.slow
def test_the_device_has_every_package_that_its_tests_import() -> None:
    root = Path(__file__).resolve().parents[3]
    inside = recipe.requirements(metadata.requires("framegate") or ())
    there = {re.split(r"[^A-Za-z0-9._-]", wanted)[0].lower() for wanted in inside}
    of_module = metadata.packages_distributions()

    seen: set[Path] = set()
    files = [root / name for files in suite.TESTS.values() for name in files]
    modules = set().union(*(imported(file, seen) for file in [*files, root / "tests/conftest.py"]))

    needed = {name for module in modules for name in of_module.get(module, ())}
    assert {"numpy", "pytest", "pymerkle"} <= {name.lower() for name in needed}
    ours = {"framegate", "framegate-client"}
    assert [n for n in sorted(needed) if n.lower() not in there | ours] == []


def test_an_unknown_machine_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["device", "test", "--machine", "jetson"])

    printed = capsys.readouterr().err
    assert code == 2
    assert printed.count("\n") == 1 and "pi-4-class, pi-5-class, zero-2w-class" in printed
