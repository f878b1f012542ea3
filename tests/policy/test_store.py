"""An installed policy stays until a better one takes its place; a refused one changes nothing."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from edge.errors import PolicyError, UsageError
from edge.policy.signed import trust
from edge.policy.signed.bundle import Floors
from edge.policy.signed.store import PolicyStore, check_model, in_force, judge, newest
from edge.policy.signed.trust import BundleError
from edge.reasons import Reason
from tests.support.bundles import (
    ANN,
    BOB,
    CYD,
    DAN,
    EVE,
    FAY,
    FILES,
    GUARD,
    NEW_ROOT,
    NOW_S,
    ROOT,
    files_with,
    make_bundle,
    sign_all,
    sign_payload,
)


@pytest.fixture
def store(tmp_path):
    return PolicyStore(tmp_path / "policy")


def _install(store, envelope, wall_s=NOW_S, **options):
    return store.install(envelope, wall_s=wall_s, guard=GUARD, **options)


def _refused(call, *args, **options):
    with pytest.raises(BundleError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_bundle_signed_by_two_of_three_comes_into_force(store):
    installed = _install(store, sign_all(make_bundle()), trust=ROOT)

    assert installed.policy.pack.name == "strict"
    assert installed.floors == Floors(1, make_bundle().digest, 1, make_bundle().issued_s)
    assert store.load(wall_s=NOW_S, guard=GUARD).policy.digest == installed.policy.digest


def test_without_an_installed_policy_there_is_none(store):
    assert _refused(store.load, wall_s=NOW_S, guard=GUARD) is Reason.POLICY_UNSIGNED


@pytest.mark.parametrize(
    "files",
    [
        {},
        files_with(pack__json=None),
        files_with(pack__json=b"{}"),
        files_with(pack__json=b"no"),
        files_with(pack__json=FILES["pack.json"].replace(b'"strict"', b"7")),
        files_with(pack__json=FILES["pack.json"].replace(b'"version": 1', b'"version": 0')),
        files_with(pack__json=FILES["pack.json"].replace(b'["*"]', b"[]")),
        files_with(pack__json=FILES["pack.json"].replace(b'["*"]', b'"*"')),
        files_with(pack__json=FILES["pack.json"].replace(b'["*"]', b"[7]")),
        files_with(vocabulary__json=b"{"),
        files_with(vocabulary__json=b"[]"),
        files_with(vocabulary__json=b"[" * 100_000),
        files_with(places__json=b"7"),
        files_with(places__json=b'{"world": ["world"]}'),
        files_with(schema__cedarschema=b"entity"),
        files_with(schema__cedarschema=b"entity User;"),
        files_with(guard__cedar=b"forbid (principal, action"),
        files_with(guard__cedar=b"forbid (principal, action, resource);"),
        files_with(guard__cedar=FILES["guard.cedar"].replace(b"context.live", b"context.lively")),
        files_with(
            guard__cedar=FILES["guard.cedar"].replace(
                b"{ context.live }", b"{ " + b"(" * 5000 + b"true"
            )
        ),
        files_with(notes__txt=b"?"),
    ],
    ids=range(21),
)
def test_a_signed_bundle_whose_files_are_no_pack_is_refused(store, files):
    envelope = sign_all(make_bundle(files=files))

    assert _refused(_install, store, envelope, trust=ROOT) is Reason.POLICY_MALFORMED
    assert not store.directory.exists()


RULE = b"""
@id("GD-10") @source("s") @version("1") @effective_from("always") @effective_to("none")
@status("own") @says("words")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        b"forbid (principal, action, resource);",
        b"forbid (principal, action, resource) when { true };",
        b"forbid (principal, action, resource) when { context.live || !context.live };",
        b'forbid (principal in UserClass::"plice", action, resource);',
        b'forbid (principal, action, resource) when { context.setting == "wild" };',
        b'@outcome("permitted") permit (principal, action, resource) when { 1 == 1 };',
    ],
    ids=["empty", "true", "tautology", "unknown class", "unknown word", "permit all"],
)
def test_the_linter_refuses_a_signed_pack_with_such_a_rule(store, text):
    files = files_with(guard__cedar=FILES["guard.cedar"] + RULE + text)

    assert (
        _refused(_install, store, sign_all(make_bundle(files=files)), trust=ROOT)
        is Reason.POLICY_LINT
    )
    assert not store.directory.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'@id("GD-10")', b'@id("tenth rule")'),
        (
            b'@effective_from("always") @effective_to("none")',
            b'@effective_from("2026-02-02") @effective_to("2026-02-01")',
        ),
    ],
    ids=["odd id", "ends before it begins"],
)
def test_the_linter_refuses_odd_annotations(store, old, new):
    text = RULE + b'forbid (principal, action, resource) when { context.consent == "na" };'
    assert old in text
    files = files_with(guard__cedar=FILES["guard.cedar"] + text.replace(old, new))

    assert (
        _refused(_install, store, sign_all(make_bundle(files=files)), trust=ROOT)
        is Reason.POLICY_LINT
    )


def test_a_rule_may_begin_and_end_on_the_same_day(store):
    text = RULE + b'forbid (principal, action, resource) when { context.consent == "na" };'
    text = text.replace(b'"always"', b'"2026-02-01"').replace(b'to("none")', b'to("2026-02-01")')
    files = files_with(guard__cedar=FILES["guard.cedar"] + text)

    installed = _install(store, sign_all(make_bundle(files=files)), trust=ROOT)

    assert "GD-10" not in {rule.id for rule in installed.policy.rules}


@pytest.mark.slow
def test_a_new_rule_that_asks_something_is_taken(store):
    text = b'forbid (principal, action, resource) when { context.gallery == "licence_photos" };'
    files = files_with(guard__cedar=FILES["guard.cedar"] + RULE + text)

    installed = _install(store, sign_all(make_bundle(files=files)), trust=ROOT)

    assert "GD-10" in {rule.id for rule in installed.policy.rules}


@pytest.mark.slow
def test_a_pack_without_the_guards_own_rules_is_refused(store):
    files = files_with(
        pack__json=FILES["pack.json"].replace(b'"forbid": ["*"]', b'"forbid": ["MS-*"]')
    )

    assert (
        _refused(_install, store, sign_all(make_bundle(files=files)), trust=ROOT)
        is Reason.POLICY_LINT
    )


@pytest.mark.slow
def test_an_older_bundle_is_refused_and_the_newer_stays(store):
    _install(store, sign_all(make_bundle(version=7)), trust=ROOT)

    assert _refused(_install, store, sign_all(make_bundle(version=6))) is Reason.POLICY_ROLLBACK
    assert store.load(wall_s=NOW_S, guard=GUARD).bundle.version == 7


@pytest.mark.slow
def test_a_newer_bundle_takes_over(store):
    _install(store, sign_all(make_bundle(version=7)), trust=ROOT)

    assert _install(store, sign_all(make_bundle(version=8))).bundle.version == 8


@pytest.mark.slow
def test_the_same_bundle_can_be_installed_again(store):
    _install(store, sign_all(make_bundle()), trust=ROOT)

    assert _install(store, sign_all(make_bundle(), ANN, BOB, CYD)).bundle.version == 1


@pytest.mark.slow
def test_the_same_version_with_other_content_is_refused(store):
    _install(store, sign_all(make_bundle()), trust=ROOT)
    other = sign_all(make_bundle(thresholds={"dwell_s": 5.0}))

    assert _refused(_install, store, other) is Reason.POLICY_ROLLBACK


@pytest.mark.slow
def test_an_old_disk_under_a_board_that_remembers_is_refused(store):
    _install(store, sign_all(make_bundle(version=6)), trust=ROOT)

    board = [Floors(version=7)]

    assert _refused(store.load, wall_s=NOW_S, guard=GUARD, known=board) is Reason.POLICY_ROLLBACK
    assert store.load(wall_s=NOW_S, guard=GUARD, known=[Floors(version=6)])


@pytest.mark.slow
def test_an_expired_bundle_is_refused_to_the_second(store):
    bundle = make_bundle()
    _install(store, sign_all(bundle), trust=ROOT)

    assert store.load(wall_s=bundle.expires_s - 1, guard=GUARD)
    assert _refused(store.load, wall_s=bundle.expires_s, guard=GUARD) is Reason.POLICY_EXPIRED


def test_a_clock_set_back_does_not_bring_an_expired_bundle_back(store):
    bundle = make_bundle()
    _install(store, sign_all(bundle), trust=ROOT)
    seen = Floors(time_s=bundle.expires_s + 10)

    assert _refused(store.load, wall_s=NOW_S, guard=GUARD, known=[seen]) is Reason.POLICY_EXPIRED


@pytest.mark.slow
def test_new_keys_need_the_old_and_the_new_holders(store):
    _install(store, sign_all(make_bundle()), trust=ROOT)
    change = make_bundle(version=2, root=NEW_ROOT)

    assert _refused(_install, store, sign_all(change, ANN, BOB)) is Reason.POLICY_THRESHOLD
    assert _refused(_install, store, sign_all(change, ANN, BOB, DAN)) is Reason.POLICY_THRESHOLD
    assert _refused(_install, store, sign_all(change, DAN, EVE)) is Reason.POLICY_UNSIGNED
    assert store.root() == ROOT

    _install(store, sign_all(change, ANN, BOB, DAN, EVE))

    assert store.root() == NEW_ROOT
    assert store.load(wall_s=NOW_S, guard=GUARD).bundle.version == 2
    later = make_bundle(version=3, root=NEW_ROOT)
    assert _refused(_install, store, sign_all(later, ANN, BOB)) is Reason.POLICY_UNSIGNED
    assert _install(store, sign_all(later, EVE, FAY)).bundle.version == 3


@pytest.mark.slow
def test_a_change_of_keys_survives_a_power_cut_between_its_files(store):
    _install(store, sign_all(make_bundle()), trust=ROOT)
    before = (store.directory / "root.json").read_bytes()
    _install(store, sign_all(make_bundle(version=2, root=NEW_ROOT), ANN, BOB, DAN, EVE))

    (store.directory / "root.json").write_bytes(before)

    assert store.load(wall_s=NOW_S, guard=GUARD).bundle.version == 2


@pytest.mark.slow
def test_the_first_bundle_needs_a_trusted_root_and_later_ones_cannot_bring_another(store):
    with pytest.raises(UsageError, match="no key is trusted yet"):
        _install(store, sign_all(make_bundle()))
    _install(store, sign_all(make_bundle()), trust=ROOT)
    _install(store, sign_all(make_bundle()), trust=ROOT)

    with pytest.raises(UsageError, match="keys are trusted already"):
        _install(store, sign_all(make_bundle(root=NEW_ROOT), DAN, EVE), trust=NEW_ROOT)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"version": "x", "digest": "", "root_version": 0, "time_s": 0}',
        b'{"version": 1, "digest": "zz", "root_version": 0, "time_s": 0}',
    ],
)
def test_broken_floors_block(store, text):
    _install(store, sign_all(make_bundle()), trust=ROOT)
    (store.directory / "floors.json").write_bytes(text)

    assert _refused(store.load, wall_s=NOW_S, guard=GUARD) is Reason.POLICY_MALFORMED


def test_a_directory_in_the_place_of_a_file_is_a_usage_error(store):
    (store.directory / "root.json").mkdir(parents=True)

    with pytest.raises(UsageError, match="cannot read"):
        store.root()


@pytest.mark.slow
def test_a_place_that_cannot_be_written_is_a_usage_error(store):
    (store.directory / "bundle.json" / "in the way").mkdir(parents=True)

    with pytest.raises(UsageError, match="cannot write"):
        _install(store, sign_all(make_bundle()), trust=ROOT)
    assert {path.name for path in store.directory.iterdir()} == {"bundle.json"}


def test_the_highest_of_all_floors_counts():
    assert newest([]) == Floors()
    assert newest([Floors(2, b"a", 1, 50), Floors(1, b"b", 3, 9)]) == Floors(2, b"a", 3, 50)


@pytest.mark.slow
def test_a_refused_bundle_leaves_every_file_as_it_was(store):
    _install(store, sign_all(make_bundle(version=7)), trust=ROOT)
    before = {path.name: path.read_bytes() for path in store.directory.iterdir()}

    for bad in (b"{", sign_all(make_bundle(version=6)), sign_all(make_bundle(version=8), ANN)):
        with pytest.raises(PolicyError):
            _install(store, bad)

    assert {path.name: path.read_bytes() for path in store.directory.iterdir()} == before


@pytest.mark.slow
def test_the_shipped_pack_holds_until_somebody_trusts_keys_and_never_again(store):
    policy, term = in_force("police", store, wall_s=NOW_S, guard=GUARD)
    assert (policy.pack.name, term) == ("police", None)

    _install(store, sign_all(make_bundle()), trust=ROOT)
    policy, term = in_force("strict", store, wall_s=NOW_S, guard=GUARD)
    assert policy.pack.name == "strict"
    assert term.floors.version == 1

    with pytest.raises(PolicyError, match="expected the pack police, the installed bundle holds"):
        in_force("police", store, wall_s=NOW_S, guard=GUARD)
    (store.directory / "bundle.json").unlink()
    with pytest.raises(BundleError, match="no policy is installed"):
        in_force("strict", store, wall_s=NOW_S, guard=GUARD)


def test_a_model_must_be_the_one_the_bundle_names(tmp_path):
    import hashlib

    model = tmp_path / "faces.onnx"
    good, other = (hashlib.sha256(data).hexdigest() for data in (b"weights", b"weighty"))
    bundle = make_bundle(models={"faces.onnx": good})

    check_model(bundle, model, good)  # what lies there now is not asked: these bytes are used

    assert _refused(check_model, bundle, model, other) is Reason.MODEL_DIGEST
    assert _refused(check_model, bundle, tmp_path / "other.onnx", good) is Reason.MODEL_DIGEST


SIZE = trust.MAX_BYTES - 2000


HOSTILE = {
    "10 MB": b'{"payload":"' + b"A" * 10_000_000,
    "deep": b"[" * 19_999,
    "deeper": b"[" * SIZE,
    "many keys": b'{"signatures":[' + b"{}," * (SIZE // 3) + b"{}]}",
    "escapes": b'["' + b"\\u0041" * (SIZE // 6) + b'"]',
    "unsigned": trust.seal(b"[" * (SIZE * 3 // 4)),
    "few parts fewer than too many": b'{"signatures":[' + b"{}," * 9_990 + b"{}]}",
    "signed deep": sign_payload(b"[" * (SIZE * 3 // 4 - 500)),
    "signed wide": sign_payload(b"[" + b"0," * (SIZE * 3 // 8 - 500) + b"0]"),
    "signed Cedar": sign_all(make_bundle(files=files_with(guard__cedar=b"(" * 100_000))),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_costs_little(name):
    tracemalloc.start()
    started = time.process_time()
    _refused(judge, HOSTILE[name], ROOT, Floors(), wall_s=NOW_S, guard=GUARD)
    taken_s = time.process_time() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 16 * 1024 * 1024
    assert taken_s < 5  # a hang or a quadratic parser, not a speed


def test_only_so_much_of_a_large_file_is_read(tmp_path):
    from edge.policy.signed.store import read_bounded

    large = tmp_path / "large.json"
    large.write_bytes(b" " * (trust.MAX_BYTES + 500))

    assert len(read_bounded(large)) == trust.MAX_BYTES + 1


@pytest.mark.slow
def test_a_device_whose_log_saw_a_bundle_does_not_go_back_to_a_shipped_pack(store):
    seen = [Floors(version=7)]
    with pytest.raises(BundleError, match="version 7 was in force on this device") as caught:
        in_force("strict", store, wall_s=NOW_S, guard=GUARD, known=seen)
    assert caught.value.reason is Reason.POLICY_ROLLBACK

    _install(store, sign_all(make_bundle(version=7)), trust=ROOT)
    policy, term = in_force("strict", store, wall_s=NOW_S, guard=GUARD, known=iter(seen))
    assert (policy.pack.name, term.floors.version) == ("strict", 7)
