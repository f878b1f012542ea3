"""What a matcher sees of the disk: a /tmp of its own, its modules, the models that were checked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from edge import isolation
from edge.sandbox import spec
from edge.sandbox.mounts import PRIVATE_BYTES
from edge.sandbox.siblings import siblings
from edge.sandbox.spec import REFUSED, Confinement, Layer
from edge.wire import to_json
from tests.support.sandboxes import let_others_in

MISSING = frozenset(spec.missing())
pytestmark = pytest.mark.skipif(
    Layer.MOUNTS in MISSING, reason="no mount namespace can be made here"
)


def run(
    command: tuple[str, ...], confinement: Confinement, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """A matcher in every layer that this machine has."""
    order = spec.order(command, confinement, -1)
    given = {spec.MATCHER_ENVIRONMENT: json.dumps(dict(confinement.env))}
    return subprocess.run(
        isolation.python("edge.sandbox.launcher", to_json(order)),
        env=spec.environment(given),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
    )


def python(code: str, *arguments: str, **given: object) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-I", "-c", textwrap.dedent(code), *arguments)
    return run(command, Confinement(without=given.pop("without", MISSING), **given))  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/tmp", "/dev/shm"])
def test_a_folder_of_its_own_is_empty_at_each_start_and_bounded(place: str) -> None:
    code = """
        import errno, os, sys
        place = sys.argv[1]
        assert os.listdir(place) == []
        left = 0
        try:
            with open(f"{place}/much", "wb") as file:
                while True:
                    left += file.write(bytes(1 << 20))
                    file.flush()
        except OSError as err:
            assert err.errno == errno.ENOSPC
        print(left)
    """
    for _ in range(2):
        done = python(code, place)
        assert done.returncode == 0, done.stderr
        assert PRIVATE_BYTES // 2 < int(done.stdout) <= PRIVATE_BYTES
    assert not Path(place, "much").exists()


def test_without_the_layer_there_is_no_tmp_to_write_in() -> None:
    new = f"/tmp/framegate-{os.getpid()}"
    done = python(f"open('{new}', 'w')", without=MISSING | {Layer.MOUNTS})

    assert done.returncode != 0
    assert "Permission denied" in done.stderr


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A matcher of several modules, beside what is nobody's business."""
    folder = tmp_path / "app"
    (folder / "models").mkdir(parents=True)
    (folder / "parts").mkdir()
    (folder / "parts" / "__init__.py").write_text("NAME = 'parts'\n")
    (folder / "keys").mkdir()
    (folder / "keys" / "__init__.py").write_text("")
    (folder / "keys" / "log.key").write_text("secret")
    (folder / "helper.py").write_text("NAME = 'helper'\n")
    (folder / "secret.txt").write_text("secret")
    (folder / "match.py").write_text(
        "import helper, parts\nprint(helper.NAME, parts.NAME)\n"
        "for name in ('secret.txt', 'keys/log.key'):\n"
        "    try:\n"
        "        print(open(name).read())\n"
        "    except OSError as err:\n"
        "        print(err.strerror)\n"
    )
    return folder


@pytest.mark.parametrize("how", ["match.py", "-m", "absolute"])
def test_a_script_imports_what_lies_beside_it_and_reads_nothing_else(app: Path, how: str) -> None:
    words = {"match.py": ("match.py",), "-m": ("-m", "match"), "absolute": (f"{app}/match.py",)}
    confinement = Confinement(without=MISSING, cwd=app, hidden=(app / "keys",))

    done = run((sys.executable, *words[how]), confinement, cwd=Path("/"))

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "helper parts"
    assert "secret" not in done.stdout


def test_an_isolated_python_and_a_command_in_words_have_no_folder(app: Path) -> None:
    for words in (("-I", f"{app}/match.py"), ("-c", "pass"), ("-IB", "-m", "match")):
        assert siblings(("/usr/bin/python3", *words), str(app)).folder == ""
    assert siblings(("/usr/bin/python3", "-X", "dev", "match.py"), str(app)).folder == str(app)


def test_the_guards_own_folders_are_not_there(app: Path) -> None:
    code = "import os, sys; print(os.listdir(sys.argv[1]))"
    reads = (app,)

    shown = python(code, str(app / "keys"), reads=reads)
    hidden = python(code, str(app / "keys"), reads=reads, hidden=(app / "keys",))

    assert "log.key" in shown.stdout
    assert hidden.stdout == "[]\n", hidden.stderr


def test_a_link_to_what_was_given_leads_there(tmp_path: Path) -> None:
    (tmp_path / "gallery").mkdir()
    (tmp_path / "gallery" / "one").write_text("found")
    (tmp_path / "link").symlink_to("gallery")
    code = "import sys; print(open(sys.argv[1] + '/one').read())"

    done = python(code, str(tmp_path / "link"), reads=(tmp_path / "link",))

    assert done.stdout == "found\n", done.stderr


MODEL = """
    import sys, time
    print(open(sys.argv[1]).read(), flush=True)
    while open(sys.argv[2]).read() != "swapped":
        time.sleep(0.02)
    print(open(sys.argv[1]).read())
    try:
        open(sys.argv[1], "w")
    except OSError as err:
        print("kept")
"""


@pytest.mark.parametrize("layered", [True, False])
def test_a_model_that_is_swapped_behind_the_check_is_not_what_is_read(
    tmp_path: Path, layered: bool
) -> None:
    model, signal = tmp_path / "face.onnx", tmp_path / "signal"
    model.write_text("checked")
    signal.write_text("wait")
    named = ((model, hashlib.sha256(b"checked").hexdigest()),)
    without = MISSING if layered else MISSING | {Layer.MOUNTS, Layer.LANDLOCK}
    if not layered:
        let_others_in(tmp_path)
    confinement = Confinement(without=without, models=named)
    command = (sys.executable, "-I", "-c", textwrap.dedent(MODEL), str(model), str(signal))
    order = spec.order(command, confinement, -1)
    child = subprocess.Popen(
        isolation.python("edge.sandbox.launcher", to_json(order)),
        env=spec.environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    first = child.stdout.readline()

    model.write_text("swapped")
    signal.write_text("swapped")
    output = child.communicate(timeout=30)[0].splitlines()

    assert first == "checked\n"
    assert output[0] == ("checked" if layered else "swapped")  # the twin: only the layer binds it
    assert output[1:] == ["kept"]


def test_a_model_that_is_not_the_one_named_starts_no_matcher(tmp_path: Path) -> None:
    model = tmp_path / "face.onnx"
    model.write_text("another")
    named = ((model, hashlib.sha256(b"checked").hexdigest()),)

    done = python("print('began')", models=named)

    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert f"MODEL_DIGEST: {model} is not the model" in done.stderr


def test_a_model_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "face.onnx")

    done = python("print('began')", models=((tmp_path / "face.onnx", "0" * 64),))

    assert (done.returncode, done.stdout) == (REFUSED, "")


def test_the_matchers_environment_begins_at_its_exec_and_not_before() -> None:
    code = "import os; print(os.environ['LD_PRELOAD'], os.environ['WORKERS'])"
    env = (("LD_PRELOAD", "/nowhere/x.so"), ("WORKERS", "2"))

    done = python(code, env=env)

    assert done.stdout == "/nowhere/x.so 2\n"
    assert done.stderr.count("/nowhere/x.so") == 1  # the dynamic loader says so once: the matcher's


def test_a_folder_to_begin_in_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    without = MISSING | {Layer.MOUNTS, Layer.OWN_UID}
    confinement = Confinement(without=without, cwd=tmp_path / "nowhere")

    done = run((sys.executable, "-c", "pass"), confinement)

    assert done.returncode == REFUSED
    assert done.stderr == (
        f"framegate: the matcher was not started: {tmp_path}/nowhere: No such file or directory\n"
    )
