"""A bundle is in force only if it is signed, whole, fresh and the newest seen."""

from __future__ import annotations

import base64
import dataclasses
import json
import time
import tracemalloc

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decision import bundle as bundle_module
from edge.decision import trust
from edge.decision.bundle import Bundle, Floors, admit, open_bundle, parse_payload, seal_bundle
from edge.decision.pack import read_pack, shipped_files
from edge.decision.trust import BundleError, Root, sign
from edge.errors import PolicyError, UsageError
from edge.policy_store import PolicyStore, check_model, in_force, judge, newest
from edge.reasons import Reason

ANN, BOB, CYD, DAN, EVE, FAY = (
    Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 7)
)
ISSUED_S = 1_790_000_000
DAY_S = 86_400
NOW_S = ISSUED_S + DAY_S
GUARD = "0.1.0"


def _root(version=1, threshold=2, **keys):
    keys = keys or {"ann": ANN, "bob": BOB, "cyd": CYD}
    return Root(
        version,
        threshold,
        {name: key.public_key().public_bytes_raw() for name, key in keys.items()},
    )


ROOT = _root()
NEW_ROOT = _root(2, dan=DAN, eve=EVE, fay=FAY)
FILES = shipped_files("strict")


def _bundle(**changes):
    plain = Bundle(1, ISSUED_S, ISSUED_S + 90 * DAY_S, GUARD, ROOT, {}, {}, FILES)
    return dataclasses.replace(plain, **changes)


def _signed(bundle, *keys):
    envelope = seal_bundle(bundle)
    for key in keys or (ANN, BOB):
        envelope = sign(envelope, key)
    return envelope


def _payload(**changes):
    """The payload as data, with changes; None removes a key."""
    found = json.loads(_bundle().payload)
    found.update(changes)
    return {key: value for key, value in found.items() if value is not None}


def _signed_payload(payload):
    envelope = trust.seal(payload if isinstance(payload, bytes) else rfc8785.dumps(payload))
    return sign(sign(envelope, ANN), BOB)


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
    installed = _install(store, _signed(_bundle()), trust=ROOT)

    assert installed.policy.pack.name == "strict"
    assert installed.floors == Floors(1, _bundle().digest, 1, NOW_S)
    assert store.load(wall_s=NOW_S, guard=GUARD).policy.digest == installed.policy.digest


@pytest.mark.parametrize("pair", [(ANN, BOB), (ANN, CYD), (CYD, BOB), (ANN, BOB, CYD)])
def test_any_two_of_the_three_will_do(pair):
    assert open_bundle(_signed(_bundle(), *pair), ROOT) == _bundle()


def test_without_an_installed_policy_there_is_none(store):
    assert _refused(store.load, wall_s=NOW_S, guard=GUARD) is Reason.POLICY_UNSIGNED


def test_nobody_signed():
    assert _refused(open_bundle, seal_bundle(_bundle()), ROOT) is Reason.POLICY_UNSIGNED


def test_strangers_signed():
    signed = _signed(_bundle(), DAN, EVE, FAY)

    assert _refused(open_bundle, signed, ROOT) is Reason.POLICY_UNSIGNED


def test_one_of_three_signed():
    assert _refused(open_bundle, _signed(_bundle(), ANN), ROOT) is Reason.POLICY_THRESHOLD


def test_one_holder_and_a_stranger_signed():
    assert _refused(open_bundle, _signed(_bundle(), ANN, DAN), ROOT) is Reason.POLICY_THRESHOLD


def test_signing_twice_counts_once():
    assert _refused(open_bundle, _signed(_bundle(), ANN, ANN), ROOT) is Reason.POLICY_THRESHOLD


def _edited(envelope, edit):
    found = json.loads(envelope)
    edit(found)
    return json.dumps(found).encode()


def test_one_signature_under_two_ids_counts_once():
    def copy_under_another_id(found):
        other = json.loads(_signed(_bundle(), BOB))["signatures"][0]["keyid"]
        found["signatures"].append({**found["signatures"][0], "keyid": other})

    forged = _edited(_signed(_bundle(), ANN), copy_under_another_id)

    assert _refused(open_bundle, forged, ROOT) is Reason.POLICY_THRESHOLD


def test_one_id_twice_is_refused_even_beside_enough_others():
    repeated = _edited(
        _signed(_bundle()), lambda found: found["signatures"].append(found["signatures"][0])
    )

    assert _refused(open_bundle, repeated, ROOT) is Reason.POLICY_THRESHOLD


def test_an_envelope_of_256_kib_is_read_and_a_larger_one_is_not():
    signed = _signed(_bundle())
    largest = signed + b" " * (256 * 1024 - len(signed))

    assert open_bundle(largest, ROOT) == _bundle()
    assert _refused(open_bundle, largest + b" ", ROOT) is Reason.POLICY_MALFORMED


def test_a_root_that_lists_one_key_twice_is_refused():
    data = {
        **ROOT.data(),
        "keys": {"ann": ROOT.data()["keys"]["ann"]} | {"also": ROOT.data()["keys"]["ann"]},
    }

    assert _refused(Root.parse, data) is Reason.POLICY_THRESHOLD


@pytest.mark.parametrize("threshold", [-1, 0, 1, 4, True, 2.0, "2", None])
def test_a_threshold_that_one_key_or_none_could_reach_is_refused(threshold):
    assert _refused(Root.parse, {**ROOT.data(), "threshold": threshold}) is Reason.POLICY_THRESHOLD


@pytest.mark.parametrize("threshold", [2, 3])
def test_a_threshold_of_two_or_all_is_taken(threshold):
    assert Root.parse({**ROOT.data(), "threshold": threshold}).threshold == threshold


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {**ROOT.data(), "more": 1},
        {**ROOT.data(), "version": 0},
        {**ROOT.data(), "version": True},
        {**ROOT.data(), "keys": []},
        {**ROOT.data(), "keys": {"ann": 5, "bob": "00" * 32}},
        {**ROOT.data(), "keys": {"ann": "zz" * 32, "bob": "00" * 32}},
        {**ROOT.data(), "keys": {"ann": "00" * 31, "bob": "00" * 32}},
        {**ROOT.data(), "keys": {str(n): f"{n:064x}" for n in range(17)}},
    ],
)
def test_a_malformed_root_is_refused(data):
    assert _refused(Root.parse, data) is Reason.POLICY_MALFORMED


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_changed_byte_anywhere_is_refused_or_changes_nothing(data):
    envelope = bytearray(_signed(_bundle()))
    at = data.draw(st.integers(0, len(envelope) - 2))
    envelope[at] ^= data.draw(st.integers(1, 255))

    try:
        opened = open_bundle(bytes(envelope), ROOT)
    except BundleError:
        return
    assert opened == _bundle()  # e.g. white space after the last brace


def test_a_payload_of_another_type_is_refused():
    def retype(found):
        found["payloadType"] = "application/json"

    assert (
        _refused(open_bundle, _edited(_signed(_bundle()), retype), ROOT) is Reason.POLICY_MALFORMED
    )


def test_the_payload_is_not_parsed_before_its_signatures_hold(monkeypatch):
    monkeypatch.setattr(bundle_module, "parse_payload", lambda payload: pytest.fail("parsed"))

    _refused(open_bundle, _signed(_bundle(), ANN), ROOT)
    _refused(open_bundle, seal_bundle(_bundle()), ROOT)


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        (b"", Reason.POLICY_MALFORMED),
        (b"\xff\xfe", Reason.POLICY_MALFORMED),
        (b"[]", Reason.POLICY_MALFORMED),
        (b"{}", Reason.POLICY_UNSIGNED),
        (_bundle().payload, Reason.POLICY_UNSIGNED),
        (_signed(_bundle())[:-20], Reason.POLICY_MALFORMED),
        (b" " * 10_000_000, Reason.POLICY_MALFORMED),
        (b"[" * 19_999, Reason.POLICY_MALFORMED),
        (b'{"signatures":[],"signatures":[]}', Reason.POLICY_MALFORMED),
        (b'{"signatures":[],"payload":NaN,"payloadType":""}', Reason.POLICY_MALFORMED),
        (b'{"signatures":{},"payload":"","payloadType":""}', Reason.POLICY_MALFORMED),
        (_edited(_signed(_bundle()), lambda f: f.update(more=1)), Reason.POLICY_MALFORMED),
        (_edited(_signed(_bundle()), lambda f: f.update(payload="*")), Reason.POLICY_MALFORMED),
        (_edited(_signed(_bundle()), lambda f: f.update(payload=7)), Reason.POLICY_MALFORMED),
        (
            _edited(_signed(_bundle()), lambda f: f.update(payload="\u00e9")),
            Reason.POLICY_MALFORMED,
        ),
        (_edited(_signed(_bundle()), lambda f: f.update(signatures=[1])), Reason.POLICY_MALFORMED),
        (
            _edited(_signed(_bundle()), lambda f: f["signatures"][0].update(keyid=1)),
            Reason.POLICY_MALFORMED,
        ),
        (
            _edited(_signed(_bundle()), lambda f: f["signatures"][0].update(extra=1)),
            Reason.POLICY_MALFORMED,
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else str(value[:12]),
)
def test_what_is_no_envelope_is_refused(envelope, reason):
    assert _refused(open_bundle, envelope, ROOT) is reason


DEEP = json.loads("[" * 100 + "]" * 100)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[" * 19_999,
        b"[" * 100_000,
        rfc8785.dumps(_payload(files=DEEP)),
        rfc8785.dumps(_payload(surplus=1)),
        rfc8785.dumps(_payload(version=None)),
        _bundle().payload.replace(b'"version":1', b'"version":1,"version":2', 1),
        _bundle().payload.replace(b'"version":1', b'"version":NaN', 1),
        _bundle().payload.replace(b'"version":1', b'"version":Infinity', 1),
        _bundle().payload.replace(b'"version":1', b'"version":1e999', 1),
        _bundle().payload.replace(b'"version":1', b'"version":' + b"9" * 5000, 1),
        _bundle().payload.replace(b'"version":1', b'"version": 1', 1),
        _bundle().payload.replace(b'"framegate.policy.1"', b'"\\ud800"', 1),
        rfc8785.dumps(_payload(format="framegate.policy.2")),
        rfc8785.dumps(_payload(version=0)),
        rfc8785.dumps(_payload(version=True)),
        rfc8785.dumps(_payload(minimum_guard="new")),
        rfc8785.dumps(_payload(minimum_guard=1)),
        rfc8785.dumps(_payload(issued="yesterday")),
        rfc8785.dumps(_payload(issued=5)),
        rfc8785.dumps(_payload(expires=_payload()["issued"])),
        rfc8785.dumps(_payload(issued="2026-9-21T14:13:20Z")),
        rfc8785.dumps(_payload(root={})),
        rfc8785.dumps(_payload(models=[])),
        rfc8785.dumps(_payload(models={"a.onnx": "00"})),
        rfc8785.dumps(_payload(models={"a.onnx": 0})),
        rfc8785.dumps(_payload(models={"../a.onnx": "00" * 32})),
        rfc8785.dumps(_payload(thresholds={"dwell_s": 0.5})),
        rfc8785.dumps(_payload(thresholds={"dwell_s": True})),
        rfc8785.dumps(_payload(thresholds={"dwell_s": "3"})),
        rfc8785.dumps(_payload(thresholds={"min_view_score": 0.79})),
        rfc8785.dumps(_payload(thresholds={"mood": 1})),
        rfc8785.dumps(_payload(files={"guard.cedar": 1})),
    ],
    ids=range(34),
)
def test_a_signed_payload_that_is_not_a_bundle_is_refused(payload):
    assert _refused(open_bundle, _signed_payload(payload), ROOT) is Reason.POLICY_MALFORMED


def test_another_format_is_named_as_such():
    with pytest.raises(BundleError, match=r"expected format framegate\.policy\.1"):
        parse_payload(rfc8785.dumps(_payload(format="framegate.policy.2")))


def test_a_bundle_may_be_issued_as_early_as_1970_and_not_before():
    first = rfc8785.dumps(_payload(issued="1970-01-01T00:00:00Z"))
    before = rfc8785.dumps(_payload(issued="1969-12-31T23:59:59Z"))

    assert parse_payload(first).issued_s == 0
    assert _refused(parse_payload, before) is Reason.POLICY_MALFORMED


@pytest.mark.parametrize("name", bundle_module.THRESHOLDS)
@pytest.mark.parametrize("end", [0, 1], ids=["low", "high"])
def test_a_limit_may_be_set_to_either_end_of_its_range_and_no_further(name, end):
    edge = bundle_module.THRESHOLDS[name][end]
    beyond = edge + (1 if end else -1) / 64

    taken = parse_payload(rfc8785.dumps(_payload(thresholds={name: edge})))

    assert taken.thresholds == {name: edge}
    refused = rfc8785.dumps(_payload(thresholds={name: beyond}))
    assert _refused(parse_payload, refused) is Reason.POLICY_MALFORMED


def _files(**changes):
    files = {name.replace("__", "."): text for name, text in changes.items()}
    return {name: text for name, text in {**FILES, **files}.items() if text is not None}


@pytest.mark.parametrize(
    "files",
    [
        {},
        _files(pack__json=None),
        _files(pack__json=b"{}"),
        _files(pack__json=b"no"),
        _files(pack__json=FILES["pack.json"].replace(b'"strict"', b"7")),
        _files(pack__json=FILES["pack.json"].replace(b'"version": 1', b'"version": 0')),
        _files(pack__json=FILES["pack.json"].replace(b'["*"]', b"[]")),
        _files(pack__json=FILES["pack.json"].replace(b'["*"]', b'"*"')),
        _files(pack__json=FILES["pack.json"].replace(b'["*"]', b"[7]")),
        _files(vocabulary__json=b"{"),
        _files(vocabulary__json=b"[]"),
        _files(vocabulary__json=b"[" * 100_000),
        _files(places__json=b"7"),
        _files(places__json=b'{"world": ["world"]}'),
        _files(schema__cedarschema=b"entity"),
        _files(schema__cedarschema=b"entity User;"),
        _files(guard__cedar=b"forbid (principal, action"),
        _files(guard__cedar=b"forbid (principal, action, resource);"),
        _files(guard__cedar=FILES["guard.cedar"].replace(b"context.live", b"context.lively")),
        _files(
            guard__cedar=FILES["guard.cedar"].replace(
                b"{ context.live }", b"{ " + b"(" * 5000 + b"true"
            )
        ),
        _files(notes__txt=b"?"),
    ],
    ids=range(21),
)
def test_a_signed_bundle_whose_files_are_no_pack_is_refused(store, files):
    envelope = _signed(_bundle(files=files))

    assert _refused(_install, store, envelope, trust=ROOT) is Reason.POLICY_MALFORMED
    assert not store.directory.exists()


RULE = b"""
@id("GD-10") @source("s") @version("1") @effective_from("always") @effective_to("none")
@status("own") @says("words")
"""


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
    files = _files(guard__cedar=FILES["guard.cedar"] + RULE + text)

    assert (
        _refused(_install, store, _signed(_bundle(files=files)), trust=ROOT) is Reason.POLICY_LINT
    )
    assert not store.directory.exists()


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
    files = _files(guard__cedar=FILES["guard.cedar"] + text.replace(old, new))

    assert (
        _refused(_install, store, _signed(_bundle(files=files)), trust=ROOT) is Reason.POLICY_LINT
    )


def test_a_rule_may_begin_and_end_on_the_same_day(store):
    text = RULE + b'forbid (principal, action, resource) when { context.consent == "na" };'
    text = text.replace(b'"always"', b'"2026-02-01"').replace(b'to("none")', b'to("2026-02-01")')
    files = _files(guard__cedar=FILES["guard.cedar"] + text)

    installed = _install(store, _signed(_bundle(files=files)), trust=ROOT)

    assert "GD-10" not in {rule.id for rule in installed.policy.rules}


def test_a_schema_that_is_not_text_is_no_pack():
    with pytest.raises(PolicyError, match="is not text"):
        read_pack({**FILES, "schema.cedarschema": b"\xff"})


def test_a_new_rule_that_asks_something_is_taken(store):
    text = b'forbid (principal, action, resource) when { context.gallery == "licence_photos" };'
    files = _files(guard__cedar=FILES["guard.cedar"] + RULE + text)

    installed = _install(store, _signed(_bundle(files=files)), trust=ROOT)

    assert "GD-10" in {rule.id for rule in installed.policy.rules}


def test_a_pack_without_the_guards_own_rules_is_refused(store):
    files = _files(pack__json=FILES["pack.json"].replace(b'"forbid": ["*"]', b'"forbid": ["MS-*"]'))

    assert (
        _refused(_install, store, _signed(_bundle(files=files)), trust=ROOT) is Reason.POLICY_LINT
    )


def test_an_older_bundle_is_refused_and_the_newer_stays(store):
    _install(store, _signed(_bundle(version=7)), trust=ROOT)

    assert _refused(_install, store, _signed(_bundle(version=6))) is Reason.POLICY_ROLLBACK
    assert store.load(wall_s=NOW_S, guard=GUARD).bundle.version == 7


def test_a_newer_bundle_takes_over(store):
    _install(store, _signed(_bundle(version=7)), trust=ROOT)

    assert _install(store, _signed(_bundle(version=8))).bundle.version == 8


def test_the_same_bundle_can_be_installed_again(store):
    _install(store, _signed(_bundle()), trust=ROOT)

    assert _install(store, _signed(_bundle(), ANN, BOB, CYD)).bundle.version == 1


def test_the_same_version_with_other_content_is_refused(store):
    _install(store, _signed(_bundle()), trust=ROOT)
    other = _signed(_bundle(thresholds={"dwell_s": 5.0}))

    assert _refused(_install, store, other) is Reason.POLICY_ROLLBACK


def test_an_old_disk_under_a_board_that_remembers_is_refused(store):
    _install(store, _signed(_bundle(version=6)), trust=ROOT)

    board = [Floors(version=7)]

    assert _refused(store.load, wall_s=NOW_S, guard=GUARD, known=board) is Reason.POLICY_ROLLBACK
    assert store.load(wall_s=NOW_S, guard=GUARD, known=[Floors(version=6)])


def test_an_expired_bundle_is_refused_to_the_second(store):
    bundle = _bundle()
    _install(store, _signed(bundle), trust=ROOT)

    assert store.load(wall_s=bundle.expires_s - 1, guard=GUARD)
    assert _refused(store.load, wall_s=bundle.expires_s, guard=GUARD) is Reason.POLICY_EXPIRED


def test_a_clock_set_back_does_not_bring_an_expired_bundle_back(store):
    bundle = _bundle()
    _install(store, _signed(bundle), trust=ROOT)
    seen = Floors(time_s=bundle.expires_s + 10)

    assert _refused(store.load, wall_s=NOW_S, guard=GUARD, known=[seen]) is Reason.POLICY_EXPIRED
    assert bundle_module.set_back(seen, NOW_S)
    assert not bundle_module.set_back(seen, seen.time_s - bundle_module.CLOCK_SLACK_S)


def test_a_clock_before_the_day_of_issue_counts_as_that_day():
    floors = admit(_bundle(), Floors(), wall_s=0, guard=GUARD)

    assert floors.time_s == ISSUED_S


def test_time_that_passed_is_a_floor():
    assert bundle_module.raised(Floors(time_s=5), 9).time_s == 9
    assert bundle_module.raised(Floors(time_s=9), 5).time_s == 9


def test_a_bundle_for_a_newer_guard_is_refused():
    needs = _bundle(minimum_guard="0.10.0")

    assert _refused(admit, needs, Floors(), wall_s=NOW_S, guard="0.9.9") is Reason.POLICY_MALFORMED
    assert admit(needs, Floors(), wall_s=NOW_S, guard="0.10.0").version == 1


def test_new_keys_need_the_old_and_the_new_holders(store):
    _install(store, _signed(_bundle()), trust=ROOT)
    change = _bundle(version=2, root=NEW_ROOT)

    assert _refused(_install, store, _signed(change, ANN, BOB)) is Reason.POLICY_THRESHOLD
    assert _refused(_install, store, _signed(change, ANN, BOB, DAN)) is Reason.POLICY_THRESHOLD
    assert _refused(_install, store, _signed(change, DAN, EVE)) is Reason.POLICY_UNSIGNED
    assert store.root() == ROOT

    _install(store, _signed(change, ANN, BOB, DAN, EVE))

    assert store.root() == NEW_ROOT
    assert store.load(wall_s=NOW_S, guard=GUARD).bundle.version == 2
    later = _bundle(version=3, root=NEW_ROOT)
    assert _refused(_install, store, _signed(later, ANN, BOB)) is Reason.POLICY_UNSIGNED
    assert _install(store, _signed(later, EVE, FAY)).bundle.version == 3


def test_a_change_of_keys_survives_a_power_cut_between_its_files(store):
    _install(store, _signed(_bundle()), trust=ROOT)
    before = (store.directory / "root.json").read_bytes()
    _install(store, _signed(_bundle(version=2, root=NEW_ROOT), ANN, BOB, DAN, EVE))

    (store.directory / "root.json").write_bytes(before)

    assert store.load(wall_s=NOW_S, guard=GUARD).bundle.version == 2


def test_other_keys_under_the_same_root_version_are_refused():
    other = _bundle(root=_root(1, ann=ANN, dan=DAN, eve=EVE))

    assert _refused(open_bundle, _signed(other, ANN, BOB, DAN), ROOT) is Reason.POLICY_THRESHOLD


def test_a_skipped_and_an_older_root_are_refused():
    skipped = _signed(_bundle(root=_root(3)))
    older = _signed(_bundle(), ANN, BOB)

    with pytest.raises(BundleError, match="expected root version 2"):
        open_bundle(skipped, ROOT)
    assert _refused(open_bundle, skipped, ROOT) is Reason.POLICY_THRESHOLD
    assert _refused(open_bundle, older, _root(2)) is Reason.POLICY_ROLLBACK


def test_a_root_older_than_the_floor_is_refused():
    seen = Floors(root_version=2)

    assert _refused(admit, _bundle(), seen, wall_s=NOW_S, guard=GUARD) is Reason.POLICY_ROLLBACK


def test_the_first_bundle_needs_a_trusted_root_and_later_ones_cannot_bring_another(store):
    with pytest.raises(UsageError, match="no key is trusted yet"):
        _install(store, _signed(_bundle()))
    _install(store, _signed(_bundle()), trust=ROOT)
    _install(store, _signed(_bundle()), trust=ROOT)

    with pytest.raises(UsageError, match="keys are trusted already"):
        _install(store, _signed(_bundle(root=NEW_ROOT), DAN, EVE), trust=NEW_ROOT)


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
    _install(store, _signed(_bundle()), trust=ROOT)
    (store.directory / "floors.json").write_bytes(text)

    assert _refused(store.load, wall_s=NOW_S, guard=GUARD) is Reason.POLICY_MALFORMED


def test_a_directory_in_the_place_of_a_file_is_a_usage_error(store):
    (store.directory / "root.json").mkdir(parents=True)

    with pytest.raises(UsageError, match="cannot read"):
        store.root()


def test_a_place_that_cannot_be_written_is_a_usage_error(store):
    (store.directory / "bundle.json" / "in the way").mkdir(parents=True)

    with pytest.raises(UsageError, match="cannot write"):
        _install(store, _signed(_bundle()), trust=ROOT)
    assert {path.name for path in store.directory.iterdir()} == {"bundle.json"}


def test_the_highest_of_all_floors_counts():
    assert newest([]) == Floors()
    assert newest([Floors(2, b"a", 1, 50), Floors(1, b"b", 3, 9)]) == Floors(2, b"a", 3, 50)


def test_a_refused_bundle_leaves_every_file_as_it_was(store):
    _install(store, _signed(_bundle(version=7)), trust=ROOT)
    before = {path.name: path.read_bytes() for path in store.directory.iterdir()}

    for bad in (b"{", _signed(_bundle(version=6)), _signed(_bundle(version=8), ANN)):
        with pytest.raises(PolicyError):
            _install(store, bad)

    assert {path.name: path.read_bytes() for path in store.directory.iterdir()} == before


def test_the_shipped_pack_holds_until_somebody_trusts_keys_and_never_again(store):
    policy, tenure = in_force("police", store, wall_s=NOW_S, guard=GUARD)
    assert (policy.pack.name, tenure) == ("police", None)

    _install(store, _signed(_bundle()), trust=ROOT)
    policy, tenure = in_force("strict", store, wall_s=NOW_S, guard=GUARD)
    assert policy.pack.name == "strict"
    assert tenure.floors.version == 1

    with pytest.raises(PolicyError, match="expected the pack police, the installed bundle holds"):
        in_force("police", store, wall_s=NOW_S, guard=GUARD)
    (store.directory / "bundle.json").unlink()
    with pytest.raises(BundleError, match="no policy is installed"):
        in_force("strict", store, wall_s=NOW_S, guard=GUARD)


def test_a_root_may_hold_sixteen_keys():
    keys = {str(n): f"{n:064x}" for n in range(16)}

    assert len(Root.parse({**ROOT.data(), "keys": keys}).keys) == 16


def test_a_model_must_be_the_one_the_bundle_names(tmp_path):
    import hashlib

    model = tmp_path / "faces.onnx"
    model.write_bytes(b"weights")
    bundle = _bundle(models={"faces.onnx": hashlib.sha256(b"weights").hexdigest()})

    check_model(bundle, model)

    model.write_bytes(b"weighty")
    assert _refused(check_model, bundle, model) is Reason.MODEL_DIGEST
    assert _refused(check_model, bundle, tmp_path / "other.onnx") is Reason.MODEL_DIGEST


# each as large as an envelope or payload may be, but for the first
SIZE = trust.MAX_BYTES - 2000
HOSTILE = {
    "10 MB": b'{"payload":"' + b"A" * 10_000_000,
    "deep": b"[" * 19_999,
    "deeper": b"[" * SIZE,
    "many keys": b'{"signatures":[' + b"{}," * (SIZE // 3) + b"{}]}",
    "escapes": b'["' + b"\\u0041" * (SIZE // 6) + b'"]',
    "unsigned": trust.seal(b"[" * (SIZE * 3 // 4)),
    "few parts fewer than too many": b'{"signatures":[' + b"{}," * 9_990 + b"{}]}",
    "signed deep": _signed_payload(b"[" * (SIZE * 3 // 4 - 500)),
    "signed wide": _signed_payload(b"[" + b"0," * (SIZE * 3 // 8 - 500) + b"0]"),
    "signed Cedar": _signed(_bundle(files=_files(guard__cedar=b"(" * 100_000))),
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
    from edge.policy_store import read_bounded

    large = tmp_path / "large.json"
    large.write_bytes(b" " * (trust.MAX_BYTES + 500))

    assert len(read_bounded(large)) == trust.MAX_BYTES + 1


def test_who_signed_can_be_told_below_the_threshold():
    assert trust.signers(_signed(_bundle(), CYD, DAN), ROOT) == ("cyd",)
    assert parse_payload(trust.peek(seal_bundle(_bundle()))) == _bundle()
    assert base64.b64decode(json.loads(seal_bundle(_bundle()))["payload"]) == _bundle().payload
