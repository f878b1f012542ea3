"""Delivery: what is fresh, signed and logged arrives; the rest is refused, and nothing is lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("tuf", reason="tuf is not installed: framegate[tuf]")

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import Metadata, TargetFile

from edge.audit.note import Signer
from edge.errors import AuditError, UsageError
from edge.fleet.delivery.client import Refused
from edge.fleet.delivery.release import Audience, Kind, Release, Ticket, bucket, log_entry
from edge.fleet.delivery.release_log import ReleaseLog
from edge.fleet.delivery.shelf import CURRENT, Item, Shelf
from edge.policy.signed.bundle import seal_bundle
from edge.policy.signed.store import PolicyStore
from edge.policy.signed.trust import sign
from tests.fleet.offices import DAY_S, LOG, Fetcher, Office, served
from tests.fuzz.mutate import bytes_of
from tests.support.bundles import ANN, BOB, DAN, EVE, NOW_S, ROOT, make_bundle


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path / "repo")


@pytest.fixture
def device(tmp_path: Path, office: Office) -> Fetcher:
    return Fetcher(tmp_path / "d1", office)


@pytest.mark.slow
def test_releases_arrive_over_http_once_each_and_later_ones_replace_them(
    office: Office, device: Fetcher
) -> None:
    first = office.hand_out("m.onnx", b"one")
    with served(office.folder) as url:
        assert device.round(url).taken == (first,)
        assert device.round(url).taken == ()
        office.hand_out("D.toml", b"record", kind=Kind.RECORD)
        office.hand_out("m.onnx", b"two")
        assert len(device.round(url).taken) == 2

    assert device.holds() == {"model/m.onnx": b"two", "record/D.toml": b"record"}


def test_only_devices_and_groups_that_a_release_is_for_take_it(
    tmp_path: Path, office: Office
) -> None:
    office.hand_out("a", b"a", Audience(devices=("d2",)))
    office.hand_out("b", b"b", Audience(groups=("doors",)))
    office.hand_out("c", b"c", Audience(groups=("gates",)))

    for name, wanted in (("d1", {"model/b"}), ("d2", {"model/a", "model/b"})):
        device = Fetcher(tmp_path / name, office, name)
        device.round(office.folder)
        assert set(device.holds()) == wanted


@pytest.mark.slow
def test_a_staged_roll_out_grows_and_takes_nobody_back() -> None:
    devices = [f"framegate-{n:05d}" for n in range(10_000)]
    stages = [
        {d for d in devices if Audience(share=share).holds(d, (), "policy/p/2")}
        for share in (0, 1, 10, 100)
    ]

    assert [len(stage) for stage in stages] == [0, 89, 985, 10_000]  # the same for ever
    assert stages[0] < stages[1] < stages[2] < stages[3]
    assert bucket("framegate-0001", "policy/p/2") == bucket("framegate-0001", "policy/p/2")
    other = {d for d in devices if Audience(share=10).holds(d, (), "policy/p/3")}
    assert len(other & stages[2]) < 200  # the next release begins with other devices


@pytest.mark.slow
def test_a_larger_share_needs_no_new_serial_and_an_older_release_never_comes_back(
    office: Office, device: Fetcher
) -> None:
    first = office.hand_out("m", b"one")
    device.round(office.folder)
    staged = office.hand_out("m", b"two", Audience(share=0))
    assert device.round(office.folder).taken == ()
    assert office.hand_out("m", b"two") == staged
    assert device.round(office.folder).taken == (staged,)

    repository = office.open()
    repository.withdraw(staged)
    repository.save()
    assert device.round(office.folder).taken == ()
    assert device.holds() == {"model/m": b"two"}
    assert (first.serial, office.hand_out("m", b"one").serial) == (1, 3)  # back by a new serial
    device.round(office.folder)
    assert device.holds() == {"model/m": b"one"}


def test_a_withdrawn_release_does_not_bring_the_older_one_back(
    office: Office, device: Fetcher
) -> None:
    office.hand_out("m", b"one")
    trial = office.hand_out("m", b"two", Audience(devices=("d1",)))
    assert device.round(office.folder).taken == (trial,)
    repository = office.open()
    repository.withdraw(trial)
    repository.save()

    assert device.round(office.folder).taken == ()  # the first one is still handed out, to others
    assert device.holds() == {"model/m": b"two"}


def _refused(device: Fetcher, source: Path, word: str) -> None:
    before = device.holds()
    with pytest.raises(Refused, match=word):
        device.round(source)
    assert device.holds() == before
    assert before


def test_a_frozen_repository_is_refused_and_what_is_there_stays(tmp_path: Path) -> None:
    office = Office(tmp_path / "repo", ago_s=DAY_S - 600)
    device = Fetcher(tmp_path / "d1", office)
    office.hand_out("m", b"one")
    device.round(office.folder)
    frozen = tmp_path / "frozen"
    shutil.copytree(office.folder, frozen)
    device.trust = Fetcher(tmp_path, office, known_s=int(time.time()) + 900).trust
    _refused(device, frozen, "expired: timestamp")  # by a proven time, whatever the clock says

    office.ago_s = 3 * DAY_S
    office.hand_out("m", b"two")
    _refused(device, office.folder, "expired")
    office.ago_s = 0
    office.hand_out("m", b"two")
    assert device.round(office.folder).taken[0].serial == 2


def test_an_older_state_of_the_repository_is_refused(
    tmp_path: Path, office: Office, device: Fetcher
) -> None:
    office.hand_out("m", b"one")
    older = tmp_path / "older"
    shutil.copytree(office.folder, older)
    office.hand_out("n", b"new")
    device.round(office.folder)

    _refused(device, older, "rolled back")
    office.hand_out("n", b"newer")
    assert device.round(office.folder).taken


def _older_role(folder: Path) -> None:
    """The newest timestamp and snapshot with the role's metadata of before."""
    shutil.copy(folder / "metadata/2.model.json", folder / "metadata/3.model.json")


def _older_snapshot(folder: Path) -> None:
    names = sorted((folder / "metadata").glob("*.snapshot.json"))
    shutil.copy(names[-2], names[-1])


def _other_file(folder: Path) -> None:
    one, two = sorted((folder / "targets/model/m").iterdir(), key=lambda p: p.name[-1])
    shutil.copy(one, two)


def _longer_file(folder: Path) -> None:
    for path in (folder / "targets/model/m").iterdir():
        path.write_bytes(path.read_bytes() * 2)


@pytest.mark.parametrize(
    ("mix", "word"),
    [(_older_role, "mixed"), (_older_snapshot, "mixed"), (_other_file, "altered")],
)
def test_parts_of_two_states_are_refused(
    office: Office, device: Fetcher, mix: Callable[[Path], None], word: str
) -> None:
    office.hand_out("m", b"one")
    device.round(office.folder)
    office.hand_out("m", b"two")
    mix(office.folder)

    if mix is _other_file:
        ((release, why),) = device.round(office.folder).refused
        assert (release.serial, word in why) == (2, True)
        assert device.holds() == {"model/m": b"one"}
    else:
        _refused(device, office.folder, word)


def test_one_refused_file_does_not_keep_the_others_away(office: Office, device: Fetcher) -> None:
    office.hand_out("m", b"one")
    _longer_file(office.folder)
    office.hand_out("n", b"new")

    found = device.round(office.folder)

    assert [release.name for release in found.taken] == ["n"]
    assert "longer than its metadata says" in found.refused[0][1]


def test_what_is_not_in_the_release_log_is_refused(office: Office, device: Fetcher) -> None:
    """Every key of the repository in the wrong hands, and not the log's."""
    office.hand_out("a", b"a")
    office.hand_out("b", b"b")
    device.round(office.folder)
    for entry in (0, 1, 7):
        repository = office.open()
        signed = repository._edit("model").signed
        custom = {"custom": Ticket(Audience(), entry).data()}
        file = TargetFile.from_data("model/a/9", b"secret")
        file.unrecognized_fields = custom
        signed.targets["model/a/9"] = file
        (place,) = file.get_prefixed_paths()
        (office.folder / "targets" / place).write_bytes(b"secret")
        repository.save()

        ((release, why),) = device.round(office.folder).refused

        assert release.path == "model/a/9"
        assert why.startswith("not in the release log")
        assert device.holds() == {"model/a": b"a", "model/b": b"b"}

    office.log.number(log_entry(Release(Kind.MODEL, "a", 9), file.hashes["sha256"], file.length))
    repository = office.open()
    repository._edit("model").signed.targets["model/a/9"].custom["entry"] = 2
    office.log.publish()
    repository.save()
    assert device.round(office.folder).taken  # the same file, once everybody can see it


def test_a_release_log_with_two_histories_is_refused(office: Office, device: Fetcher) -> None:
    office.hand_out("a", b"a")
    device.round(office.folder)
    shutil.rmtree(office.folder / "log")
    office.log = ReleaseLog(office.folder / "log", LOG)
    office.log.number(b"another history")
    office.hand_out("b", b"b")

    _refused(device, office.folder, "the release log forked")


def test_a_release_log_is_not_continued_from_files_that_do_not_fit(office: Office) -> None:
    office.hand_out("a", b"a")
    office.hand_out("b", b"b")
    assert ReleaseLog(office.folder / "log", LOG).publish() == 2
    shutil.copy(
        office.folder / "log/tile/entries/000.p/1", office.folder / "log/tile/entries/000.p/2"
    )

    with pytest.raises(AuditError):
        ReleaseLog(office.folder / "log", LOG)


@pytest.mark.slow
def test_a_policy_counts_only_by_its_own_signers_and_floors(
    tmp_path: Path, office: Office, device: Fetcher
) -> None:
    store = PolicyStore(tmp_path / "policy")

    def bundle(version: int, *keys: Ed25519PrivateKey) -> bytes:
        envelope = seal_bundle(make_bundle(version=version))
        for key in keys:
            envelope = sign(envelope, key)
        return envelope

    def judge(release: Release, path: Path) -> None:
        store.install(path.read_bytes(), wall_s=NOW_S, guard="0.1.0")

    store.install(bundle(3, ANN, BOB), wall_s=NOW_S, guard="0.1.0", trust=ROOT)
    for data, word in (
        (bundle(4, DAN, EVE), "POLICY_UNSIGNED"),
        (bundle(5, ANN), "POLICY_THRESHOLD"),
        (bundle(2, ANN, BOB), "POLICY_ROLLBACK"),
        (b"{}", "POLICY_"),
    ):
        office.hand_out("p.json", data, kind=Kind.POLICY)
        ((_, why),) = device.round(office.folder, judge).refused
        assert word in why
        assert store.floors().version == 3
    assert device.holds() == {}

    office.hand_out("p.json", bundle(6, ANN, BOB), kind=Kind.POLICY)
    assert len(device.round(office.folder, judge).taken) == 1
    assert store.floors().version == 6


def test_a_lost_root_key_is_replaced_and_devices_follow(office: Office, device: Fetcher) -> None:
    office.hand_out("m", b"one")
    device.round(office.folder)
    del office.keys["root-2"]
    fresh = Ed25519PrivateKey.generate()
    repository = office.open()
    repository.replace_key("root-2", fresh)
    repository.save()
    office.keys["root-2"] = fresh
    del office.keys["root-1"]  # and the next one is lost, too: two others are left
    repository = office.open()
    repository.replace_key("root-1", Ed25519PrivateKey.generate())
    repository.save()

    office.hand_out("m", b"two")
    assert device.round(office.folder).taken[0].serial == 2  # it was shipped with the first root


def test_two_lost_root_keys_cannot_be_replaced_and_nothing_is_written(office: Office) -> None:
    del office.keys["root-1"], office.keys["root-2"]
    before = sorted(path.name for path in (office.folder / "metadata").iterdir())
    repository = office.open()
    repository.replace_key("root-1", Ed25519PrivateKey.generate())

    with pytest.raises(UsageError, match="root must be signed by its keys"):
        repository.save()
    assert sorted(path.name for path in (office.folder / "metadata").iterdir()) == before


def test_one_stolen_root_key_changes_nothing(office: Office, device: Fetcher) -> None:
    office.hand_out("m", b"one")
    device.round(office.folder)
    thief = Ed25519PrivateKey.generate()
    root = Metadata.from_bytes(office.root)
    root.signed.version = 2
    root.signed.roles["root"].threshold = 1
    for role in ("targets", "snapshot", "timestamp"):
        root.signed.add_key(SSlibKey.from_crypto(thief.public_key()), role)
    root.signatures.clear()
    root.sign(CryptoSigner(office.keys["root-1"]))
    (office.folder / "metadata/2.root.json").write_bytes(root.to_bytes())

    _refused(device, office.folder, "not signed by enough trusted keys")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["snapshot", "timestamp", "targets", "model"])
def test_any_other_key_is_replaced_and_the_old_one_counts_no_more(
    office: Office, device: Fetcher, name: str
) -> None:
    office.hand_out("m", b"one")
    device.round(office.folder)
    stolen, office.keys[name] = office.keys[name], Ed25519PrivateKey.generate()
    repository = office.open()
    repository.replace_key(name, office.keys[name])
    repository.save()
    office.hand_out("n", b"two")
    assert device.round(office.folder).taken

    office.keys[name] = stolen
    repository = office.open()
    repository._edit(name)
    with pytest.raises(UsageError, match=f"{name} must be signed"):
        repository.save()


def test_the_key_of_models_hands_out_no_policy(office: Office, device: Fetcher) -> None:
    office.hand_out("m", b"one")
    device.round(office.folder)
    repository = office.open()
    signed = repository._edit("model").signed
    file = TargetFile.from_data("policy/p/1", b"policy")
    file.unrecognized_fields = {"custom": Ticket(Audience(), 0).data()}
    signed.targets["policy/p/1"] = file
    repository.save()

    _refused(device, office.folder, "malformed: 'policy/p/1' is no release")


def test_what_nears_its_end_is_renewed_or_said(tmp_path: Path) -> None:
    office = Office(tmp_path / "repo", ago_s=80 * DAY_S)
    office.ago_s = 0
    assert office.open().save() == []
    assert (office.folder / "metadata/2.model.json").exists()

    office.ago_s = -70 * DAY_S
    for name in [name for name in office.keys if name not in ("snapshot", "timestamp")]:
        del office.keys[name]
    assert len(office.open().save()) == 4  # the machine of every day lacks the other keys
    assert not (office.folder / "metadata/3.model.json").exists()


def test_whenever_the_power_goes_readers_see_all_of_the_old_or_all_of_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path / "out")
    for name in ("old", "new"):
        (tmp_path / name).write_text(name)
    items = {f"model/{n}": Item(1, tmp_path / "old") for n in range(3)}
    shelf.put(items)
    states = []
    real = {name: getattr(os, name) for name in ("link", "replace", "fsync", "symlink")}
    for fails_at in range(1, 40):
        count = 0

        def counted(name: str) -> Callable[..., object]:
            def call(*args: object, **kwargs: object) -> object:
                nonlocal count
                count += 1
                if count == fails_at:  # noqa: B023
                    raise OSError("the power went")
                return real[name](*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(os, name, counted(name))
            try:
                shelf.put({f"model/{n}": Item(2, tmp_path / "new") for n in range(3)})
                done = True
            except OSError:
                done = False
        seen = {path.read_text() for path in (tmp_path / "out" / CURRENT / "model").iterdir()}
        assert len(seen) == 1
        states.append(seen.pop())
        assert set(Shelf(tmp_path / "out").serials().values()) == {2 if states[-1] == "new" else 1}
        if done:
            break
    assert states[0] == "old"
    assert states[-1] == "new"
    assert len(states) > 8


ODD = [
    *("", "model", "model/m", "model/m/0", "model/m/01", "model/../1", "model/.m/1", "x/m/1"),
    *("model/m/1/2", "model//1", "model/m/-1", "model/m/1e3", "model/m/9999999999"),
]


@pytest.mark.parametrize("path", ODD)
def test_odd_paths_are_no_releases(path: str) -> None:
    assert Release.parse(path) is None
    assert Release.parse("model/m/1") == Release(Kind.MODEL, "m", 1)


@pytest.mark.parametrize(
    "change",
    [
        {"share": 101},
        {"share": -1},
        {"share": True},
        {"entry": -1},
        {"groups": "doors"},
        {"groups": ["a/b"]},
        {"devices": [1]},
        {"more": 1},
    ],
)
def test_odd_tickets_are_none(change: dict[str, object]) -> None:
    good = Ticket(Audience(("d1",), ("doors",), 10), 3)
    assert Ticket.parse(json.loads(json.dumps(good.data()))) == good
    assert Ticket.parse({**good.data(), **change}) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["timestamp.json", "2.snapshot.json", "2.model.json", "1.targets.json", "1.policy.json"]
)
def test_damaged_metadata_is_refused_in_a_line_and_nothing_is_taken(
    tmp_path: Path, office: Office, name: str
) -> None:
    release = office.hand_out("m", b"one")
    path = office.folder / "metadata" / name
    sound, draw = path.read_bytes(), random.Random(name)
    refused = 0
    for number in range(12):
        path.write_bytes(bytes_of(draw, [sound]))
        device = Fetcher(tmp_path / f"d{number}", office)
        try:
            assert device.round(office.folder).taken == (release,)  # what it says still holds
        except Refused as err:
            assert "\n" not in str(err)
            assert device.holds() == {}
            refused += 1

    assert refused > 6


def test_another_log_key_is_refused(office: Office, device: Fetcher) -> None:
    office.hand_out("m", b"one")
    stranger = Signer.generate(LOG.name)
    trust = Fetcher(device.folder, office).trust
    device.trust = type(trust)(trust.root, stranger.verifier, None, 0)

    with pytest.raises(Refused, match="the release log is not to be trusted"):
        device.round(office.folder)
    device.trust = trust
    assert device.round(office.folder).taken
