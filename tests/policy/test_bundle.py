"""A bundle is in force only if it is signed, whole, fresh and the newest seen."""

from __future__ import annotations

import base64
import json

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import PolicyError
from edge.policy.pack import read_pack
from edge.policy.signed import bundle as bundle_module
from edge.policy.signed import trust
from edge.policy.signed.bundle import Floors, admit, open_bundle, parse_payload, seal_bundle
from edge.policy.signed.trust import BundleError, Root
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
    ISSUED_S,
    NOW_S,
    ROOT,
    make_bundle,
    make_root,
    payload_with,
    sign_all,
    sign_payload,
)


def _refused(call, *args, **options):
    with pytest.raises(BundleError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("pair", [(ANN, BOB), (ANN, CYD), (CYD, BOB), (ANN, BOB, CYD)])
def test_any_two_of_the_three_will_do(pair):
    assert open_bundle(sign_all(make_bundle(), *pair), ROOT) == make_bundle()


def test_nobody_signed():
    assert _refused(open_bundle, seal_bundle(make_bundle()), ROOT) is Reason.POLICY_UNSIGNED


def test_strangers_signed():
    signed = sign_all(make_bundle(), DAN, EVE, FAY)

    assert _refused(open_bundle, signed, ROOT) is Reason.POLICY_UNSIGNED


def test_one_of_three_signed():
    assert _refused(open_bundle, sign_all(make_bundle(), ANN), ROOT) is Reason.POLICY_THRESHOLD


def test_one_holder_and_a_stranger_signed():
    assert _refused(open_bundle, sign_all(make_bundle(), ANN, DAN), ROOT) is Reason.POLICY_THRESHOLD


def test_signing_twice_counts_once():
    assert _refused(open_bundle, sign_all(make_bundle(), ANN, ANN), ROOT) is Reason.POLICY_THRESHOLD


def _edited(envelope, edit):
    found = json.loads(envelope)
    edit(found)
    return json.dumps(found).encode()


def test_one_signature_under_two_ids_counts_once():
    def copy_under_another_id(found):
        other = json.loads(sign_all(make_bundle(), BOB))["signatures"][0]["keyid"]
        found["signatures"].append({**found["signatures"][0], "keyid": other})

    forged = _edited(sign_all(make_bundle(), ANN), copy_under_another_id)

    assert _refused(open_bundle, forged, ROOT) is Reason.POLICY_THRESHOLD


def test_one_id_twice_is_refused_even_beside_enough_others():
    repeated = _edited(
        sign_all(make_bundle()), lambda found: found["signatures"].append(found["signatures"][0])
    )

    assert _refused(open_bundle, repeated, ROOT) is Reason.POLICY_THRESHOLD


def test_an_envelope_of_256_kib_is_read_and_a_larger_one_is_not():
    signed = sign_all(make_bundle())
    largest = signed + b" " * (256 * 1024 - len(signed))

    assert open_bundle(largest, ROOT) == make_bundle()
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


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_changed_byte_anywhere_is_refused_or_changes_nothing(data):
    envelope = bytearray(sign_all(make_bundle()))
    at = data.draw(st.integers(0, len(envelope) - 2))
    envelope[at] ^= data.draw(st.integers(1, 255))

    try:
        opened = open_bundle(bytes(envelope), ROOT)
    except BundleError:
        return
    assert opened == make_bundle()  # e.g. white space after the last brace


def test_a_payload_of_another_type_is_refused():
    def retype(found):
        found["payloadType"] = "application/json"

    assert (
        _refused(open_bundle, _edited(sign_all(make_bundle()), retype), ROOT)
        is Reason.POLICY_MALFORMED
    )


def test_the_payload_is_not_parsed_before_its_signatures_hold(monkeypatch):
    monkeypatch.setattr(bundle_module, "parse_payload", lambda payload: pytest.fail("parsed"))

    _refused(open_bundle, sign_all(make_bundle(), ANN), ROOT)
    _refused(open_bundle, seal_bundle(make_bundle()), ROOT)


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        (b"", Reason.POLICY_MALFORMED),
        (b"\xff\xfe", Reason.POLICY_MALFORMED),
        (b"[]", Reason.POLICY_MALFORMED),
        (b"{}", Reason.POLICY_UNSIGNED),
        (make_bundle().payload, Reason.POLICY_UNSIGNED),
        (sign_all(make_bundle())[:-20], Reason.POLICY_MALFORMED),
        (b" " * 10_000_000, Reason.POLICY_MALFORMED),
        (b"[" * 19_999, Reason.POLICY_MALFORMED),
        (b'{"signatures":[],"signatures":[]}', Reason.POLICY_MALFORMED),
        (b'{"signatures":[],"payload":NaN,"payloadType":""}', Reason.POLICY_MALFORMED),
        (b'{"signatures":{},"payload":"","payloadType":""}', Reason.POLICY_MALFORMED),
        (_edited(sign_all(make_bundle()), lambda f: f.update(more=1)), Reason.POLICY_MALFORMED),
        (
            _edited(sign_all(make_bundle()), lambda f: f.update(payload="*")),
            Reason.POLICY_MALFORMED,
        ),
        (_edited(sign_all(make_bundle()), lambda f: f.update(payload=7)), Reason.POLICY_MALFORMED),
        (
            _edited(sign_all(make_bundle()), lambda f: f.update(payload="\u00e9")),
            Reason.POLICY_MALFORMED,
        ),
        (
            _edited(sign_all(make_bundle()), lambda f: f.update(signatures=[1])),
            Reason.POLICY_MALFORMED,
        ),
        (
            _edited(sign_all(make_bundle()), lambda f: f["signatures"][0].update(keyid=1)),
            Reason.POLICY_MALFORMED,
        ),
        (
            _edited(sign_all(make_bundle()), lambda f: f["signatures"][0].update(extra=1)),
            Reason.POLICY_MALFORMED,
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else f"{len(value)} bytes",
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
        rfc8785.dumps(payload_with(files=DEEP)),
        rfc8785.dumps(payload_with(surplus=1)),
        rfc8785.dumps(payload_with(version=None)),
        make_bundle().payload.replace(b'"version":1', b'"version":1,"version":2', 1),
        make_bundle().payload.replace(b'"version":1', b'"version":NaN', 1),
        make_bundle().payload.replace(b'"version":1', b'"version":Infinity', 1),
        make_bundle().payload.replace(b'"version":1', b'"version":1e999', 1),
        make_bundle().payload.replace(b'"version":1', b'"version":' + b"9" * 5000, 1),
        make_bundle().payload.replace(b'"version":1', b'"version": 1', 1),
        make_bundle().payload.replace(b'"framegate.policy.1"', b'"\\ud800"', 1),
        rfc8785.dumps(payload_with(format="framegate.policy.2")),
        rfc8785.dumps(payload_with(version=0)),
        rfc8785.dumps(payload_with(version=True)),
        rfc8785.dumps(payload_with(minimum_guard="new")),
        rfc8785.dumps(payload_with(minimum_guard=1)),
        rfc8785.dumps(payload_with(issued="yesterday")),
        rfc8785.dumps(payload_with(issued=5)),
        rfc8785.dumps(payload_with(expires=payload_with()["issued"])),
        rfc8785.dumps(payload_with(issued="2026-9-21T14:13:20Z")),
        rfc8785.dumps(payload_with(root={})),
        rfc8785.dumps(payload_with(models=[])),
        rfc8785.dumps(payload_with(models={"a.onnx": "00"})),
        rfc8785.dumps(payload_with(models={"a.onnx": 0})),
        rfc8785.dumps(payload_with(models={"../a.onnx": "00" * 32})),
        rfc8785.dumps(payload_with(thresholds={"dwell_s": 0.5})),
        rfc8785.dumps(payload_with(thresholds={"dwell_s": True})),
        rfc8785.dumps(payload_with(thresholds={"dwell_s": "3"})),
        rfc8785.dumps(payload_with(thresholds={"min_view_score": 0.79})),
        rfc8785.dumps(payload_with(thresholds={"mood": 1})),
        rfc8785.dumps(payload_with(files={"guard.cedar": 1})),
    ],
    ids=range(34),
)
def test_a_signed_payload_that_is_not_a_bundle_is_refused(payload):
    assert _refused(open_bundle, sign_payload(payload), ROOT) is Reason.POLICY_MALFORMED


def test_another_format_is_named_as_such():
    with pytest.raises(BundleError, match=r"expected format framegate\.policy\.1"):
        parse_payload(rfc8785.dumps(payload_with(format="framegate.policy.2")))


def test_a_bundle_may_be_issued_as_early_as_1970_and_not_before():
    first = rfc8785.dumps(payload_with(issued="1970-01-01T00:00:00Z"))
    before = rfc8785.dumps(payload_with(issued="1969-12-31T23:59:59Z"))

    assert parse_payload(first).issued_s == 0
    assert _refused(parse_payload, before) is Reason.POLICY_MALFORMED


@pytest.mark.parametrize("name", bundle_module.THRESHOLDS)
@pytest.mark.parametrize("end", [0, 1], ids=["low", "high"])
def test_a_limit_may_be_set_to_either_end_of_its_range_and_no_further(name, end):
    edge = bundle_module.THRESHOLDS[name][end]
    beyond = edge + (1 if end else -1) / 64

    taken = parse_payload(rfc8785.dumps(payload_with(thresholds={name: edge})))

    assert taken.thresholds == {name: edge}
    refused = rfc8785.dumps(payload_with(thresholds={name: beyond}))
    assert _refused(parse_payload, refused) is Reason.POLICY_MALFORMED


def test_a_schema_that_is_not_text_is_no_pack():
    with pytest.raises(PolicyError, match="is not text"):
        read_pack({**FILES, "schema.cedarschema": b"\xff"})


def test_a_clock_before_the_day_of_issue_counts_as_that_day():
    floors = admit(make_bundle(), Floors(), wall_s=0, guard=GUARD)

    assert floors.time_s == ISSUED_S


def test_time_that_passed_is_a_floor():
    assert bundle_module.raised(Floors(time_s=5), 9).time_s == 9
    assert bundle_module.raised(Floors(time_s=9), 5).time_s == 9


def test_a_bundle_for_a_newer_guard_is_refused():
    needs = make_bundle(minimum_guard="0.10.0")

    assert _refused(admit, needs, Floors(), wall_s=NOW_S, guard="0.9.9") is Reason.POLICY_MALFORMED
    assert admit(needs, Floors(), wall_s=NOW_S, guard="0.10.0").version == 1


def test_other_keys_under_the_same_root_version_are_refused():
    other = make_bundle(root=make_root(1, ann=ANN, dan=DAN, eve=EVE))

    assert _refused(open_bundle, sign_all(other, ANN, BOB, DAN), ROOT) is Reason.POLICY_THRESHOLD


def test_a_skipped_and_an_older_root_are_refused():
    skipped = sign_all(make_bundle(root=make_root(3)))
    older = sign_all(make_bundle(), ANN, BOB)

    with pytest.raises(BundleError, match="expected root version 2"):
        open_bundle(skipped, ROOT)
    assert _refused(open_bundle, skipped, ROOT) is Reason.POLICY_THRESHOLD
    assert _refused(open_bundle, older, make_root(2)) is Reason.POLICY_ROLLBACK


def test_a_root_older_than_the_floor_is_refused():
    seen = Floors(root_version=2)

    assert _refused(admit, make_bundle(), seen, wall_s=NOW_S, guard=GUARD) is Reason.POLICY_ROLLBACK


def test_a_root_may_hold_sixteen_keys():
    keys = {str(n): f"{n:064x}" for n in range(16)}

    assert len(Root.parse({**ROOT.data(), "keys": keys}).keys) == 16


def test_who_signed_can_be_told_below_the_threshold():
    assert trust.signers(sign_all(make_bundle(), CYD, DAN), ROOT) == ("cyd",)
    assert parse_payload(trust.peek(seal_bundle(make_bundle()))) == make_bundle()
    assert (
        base64.b64decode(json.loads(seal_bundle(make_bundle()))["payload"]) == make_bundle().payload
    )


def test_a_bundle_comes_out_as_it_went_in():
    full = make_bundle(models={"faces.onnx": "0f" * 32}, thresholds={"dwell_s": 5.0})

    assert open_bundle(sign_all(full), ROOT) == full


@pytest.mark.parametrize(("wall_s", "over"), [(-1, False), (0, True)])
def test_a_bundle_expires_to_the_second_by_either_clock(wall_s, over):
    bundle = make_bundle()

    assert bundle_module.expired(bundle, Floors(), bundle.expires_s + wall_s) is over
    assert bundle_module.expired(bundle, Floors(time_s=bundle.expires_s + wall_s), 0) is over


@pytest.mark.parametrize(
    ("seen_s", "not_yet_s", "at_least_s", "expected_s"),
    [
        (NOW_S, None, 0, NOW_S),
        (NOW_S, NOW_S + 1, 0, NOW_S),
        (NOW_S, NOW_S, 7, 7),
        (NOW_S, None, NOW_S + 9, NOW_S + 9),
    ],
    ids=["nothing is signed", "below it", "signed away", "raised"],
)
def test_a_signed_record_takes_a_wrong_floor_away(seen_s, not_yet_s, at_least_s, expected_s):
    assert bundle_module.mended(Floors(time_s=seen_s), not_yet_s, at_least_s).time_s == expected_s
