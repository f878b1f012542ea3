"""`framegate fleet release` and `fetch` as people run them, with a witness of the release log."""

from __future__ import annotations

import shlex
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tuf", reason="tuf is not installed: framegate[tuf]")

from edge.audit.cosignature import witness_of
from edge.audit.note import Signer, Verifier
from edge.cli import main
from edge.fleet.witness_server import WitnessServer
from edge.fleet.witness_store import SqliteStore
from edge.policy.signed.bundle import seal_bundle
from edge.policy.signed.store import PolicyStore
from edge.policy.signed.trust import sign
from tests.fleet.offices import served
from tests.support.bundles import ANN, BOB, DAY_S, ROOT, make_bundle

EYE = Signer.generate("witness.example/w1")
NEW = "release repo --keys keys --new --origin fleet.example/releases"
FETCH = "--root root.json --log log.pub --device d1 --state state --out out"


def fleet(text: str) -> int:
    return main(["fleet", *shlex.split(text)])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a new repository, and what a device is shipped with."""
    monkeypatch.chdir(tmp_path)
    assert fleet(NEW) == 0
    Path("root.json").write_bytes(Path("repo/metadata/1.root.json").read_bytes())
    Path("log.pub").write_bytes(Path("repo/log/log.pub").read_bytes())
    return tmp_path


@pytest.fixture
def witness(place: Path) -> Iterator[WitnessServer]:
    key = Verifier.parse(Path("log.pub").read_text())
    SqliteStore.create(place / "w1.db")
    server = WitnessServer(("127.0.0.1", 0), SqliteStore(place / "w1.db", [key]), EYE)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    Path("witnesses").write_text(
        f"log {key.text}\n"
        f"witness w1 {witness_of(EYE).text} http://127.0.0.1:{server.server_port}\nquorum w1\n"
    )
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def bundle(version: int) -> bytes:
    now_s = int(time.time())
    made = make_bundle(version=version, issued_s=now_s - DAY_S, expires_s=now_s + 9 * DAY_S)
    return sign(sign(seal_bundle(made), ANN), BOB)


@pytest.mark.slow
def test_a_policy_goes_from_the_office_into_force_and_an_older_one_does_not(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = PolicyStore(place / "policy")
    store.install(bundle(3), wall_s=int(time.time()), guard="0.1.0", trust=ROOT)
    Path("p.json").write_bytes(bundle(4))
    assert fleet("release repo --keys keys --policy p.json --to-group doors") == 0
    assert "policy/p.json/1: 100 % of group doors" in capsys.readouterr().out

    with served(place / "repo") as url:
        assert fleet(f"fetch {url} {FETCH} --policy policy") == 0
        assert "up to date" in capsys.readouterr().err  # it is in no such group
        assert fleet(f"fetch {url} {FETCH} --policy policy --group doors") == 0
        assert store.floors().version == 4
        assert Path("out/current/policy/p.json").read_bytes() == Path("p.json").read_bytes()

        Path("p.json").write_bytes(bundle(2))
        assert fleet("release repo --keys keys --policy p.json") == 0
        capsys.readouterr()
        assert fleet(f"fetch {url} {FETCH} --policy policy --group doors") == 1
    (line,) = [row for row in capsys.readouterr().err.splitlines() if "refused" in row]
    assert line.startswith("policy/p.json/2: refused, what is there stays: POLICY_ROLLBACK")
    assert store.floors().version == 4


@pytest.mark.slow
def test_a_device_that_asks_for_witnesses_takes_only_what_they_saw(
    place: Path, witness: WitnessServer, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("m").write_text("one")
    fetch = f"fetch repo {FETCH} --witnesses witnesses"
    assert fleet("release repo --keys keys --model m") == 0
    assert fleet(fetch) == 1
    assert "nothing new is taken, what is there stays: not reached" in capsys.readouterr().err
    assert fleet("release repo --keys keys --model m --witnesses witnesses") == 0
    assert fleet(fetch) == 0
    assert Path("out/current/model/m").read_text() == "one"

    witness.shutdown()
    witness.server_close()
    Path("m").write_text("two")
    assert fleet("release repo --keys keys --model m --witnesses witnesses") == 2
    assert "the release log has no quorum (w1)" in capsys.readouterr().err
    assert fleet("release repo --list") == 0
    assert "model/m/1" in capsys.readouterr().out
    assert fleet("release repo --keys keys --model m") == 0  # without them
    assert fleet(fetch) == 1
    assert "not in the release log: the release log ends at 1" in capsys.readouterr().err
    shutil.copy("repo/log/checkpoint", "repo/log/checkpoint.cosigned")  # signed, and by no witness
    assert fleet(fetch) == 1
    assert "too few witnesses cosigned size 2" in capsys.readouterr().err
    assert Path("out/current/model/m").read_text() == "one"


def test_a_key_is_replaced_and_the_old_one_is_kept_aside(place: Path) -> None:
    Path("m").write_text("one")
    old = Path("keys/root-2.key").read_bytes()
    assert fleet("release repo --keys keys --replace root-2 model --model m") == 0

    assert Path("keys/root-2.key").read_bytes() != old
    assert [path.read_bytes() for path in Path("keys").glob("root-2-old-*.key")] == [old]
    assert fleet("release repo --keys keys") == 0
    assert fleet(f"fetch repo {FETCH}") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ("release repo", "--keys: expected the folder"),
        (NEW, "is a repository already"),
        ("release other --keys keys --new", "expected --origin NAME"),
        ("release other --keys keys --new --origin 'a b'", "--origin: key name"),
        ("release other --keys keys", "expected a repository; make one with --new"),
        ("release repo --keys gone", "expected a folder"),
        ("release repo --keys empty --model m", "release-log.key, which signs the release log"),
        ("release repo --keys empty", "must be signed by its keys"),
        ("release repo --keys keys --model gone", "cannot read gone"),
        ("release repo --keys keys --model none", "expected 1 to"),
        ("release repo --keys keys --model .odd", "expected 1 to 80 letters"),
        ("release repo --keys keys --policy m", "expected a signed bundle"),
        ("release repo --keys keys --model m --share 101", "expected 0 to 100 per cent"),
        ("release repo --keys keys --model m --to-group a/b", "--to-group: expected 1 to 80"),
        ("release repo --keys keys --withdraw model/m/9", "is not handed out"),
        ("release repo --keys keys --withdraw m", "expected KIND/NAME/SERIAL"),
        ("release repo --keys keys --replace nobody", "--replace: expected one of root-1"),
        ("release repo --keys keys --origin x", "only with --new"),
        (f"fetch gone {FETCH}", "expected a URL or a folder"),
        (f"fetch http:// {FETCH}", "expected http(s)://HOST"),
        (f"fetch repo {FETCH} --root gone", "cannot read gone"),
        (f"fetch repo {FETCH} --log m", "expected a public key"),
        (f"fetch repo {FETCH} --device a/b", "--device: expected 1 to 80"),
        (f"fetch repo {FETCH} --every 0", "expected 1 or more seconds"),
        (f"fetch repo {FETCH} --witnesses m", "line 1: expected log"),
        (f"fetch repo {FETCH} --state m", "cannot write m"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    place: Path, arguments: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("m", "one"), ("none", ""), (".odd", "odd")):
        Path(name).write_text(data)
    Path("empty").mkdir()
    before = {path: path.read_bytes() for path in Path("repo/metadata").iterdir()}

    assert fleet(arguments) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert wanted in line
    assert {path: path.read_bytes() for path in Path("repo/metadata").iterdir()} == before
    assert not Path("other/metadata").exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/repo", "http://127.0.0.1:9"])
def test_a_server_that_is_away_is_one_line_and_exit_1(
    place: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert fleet(f"fetch {url} {FETCH}") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("nothing new is taken, what is there stays: not reached")
