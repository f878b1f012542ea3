"""What an operator reads when a bundle is refused, word for word: what was expected, what came."""

from __future__ import annotations

import json
import time

import pytest
import rfc8785

from edge.errors import PolicyError
from edge.policy.pack import read_pack, shipped_files
from edge.policy.shipped import completed
from edge.policy.signed import strict_json
from edge.policy.signed.bundle import Floors, admit, open_bundle, parse_payload, time_text
from edge.policy.signed.trust import PAYLOAD_TYPE, Root, open_envelope
from tests.support.bundles import (
    ANN,
    BOB,
    FILES,
    GUARD,
    ISSUED_S,
    NEW_ROOT,
    NOW_S,
    ROOT,
    files_with,
    make_bundle,
    make_root,
    payload_with,
    sign_all,
)

LONG = "n" * 60
KEYS = ROOT.data()["keys"]
ABOUT = json.loads(FILES["pack.json"])
PAYLOAD_KEYS = "expires, files, format, issued, minimum_guard, models, root, thresholds, version"
LIMITS = "min_view_score 0.8 to 1, dwell_s 1 to 30, evidence_max_age_ms 50 to 250"
NAMES = "expected a mapping by plain file or value names"


def _says(call, *args, **options):
    with pytest.raises(PolicyError) as caught:
        call(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"more": 1}, "POLICY_MALFORMED: root: expected exactly the keys version, threshold, keys"),
        ({"version": 0}, "POLICY_MALFORMED: root: expected a version of 1 or more, got 0"),
        (
            {"keys": {str(n): f"{n:064x}" for n in range(17)}},
            "POLICY_MALFORMED: root: expected at most 16 keys by name",
        ),
        (
            {"keys": {"ann": KEYS["ann"], "also": KEYS["ann"]}},
            "POLICY_THRESHOLD: root: one key is listed twice",
        ),
        (
            {"threshold": 4},
            "POLICY_THRESHOLD: root: expected a threshold of 2 to 3 of the 3 keys, got 4",
        ),
        (
            {"keys": {LONG: "00" * 31}},
            f"POLICY_MALFORMED: root: key {LONG[:40]!r} is not 64 hexadecimal digits",
        ),
    ],
    ids=lambda value: value.split(": ", 1)[1][:30] if isinstance(value, str) else "",
)
def test_a_refused_root_is_named(change, says):
    assert _says(Root.parse, {**ROOT.data(), **change}) == says


def test_a_key_of_four_bytes_is_no_key():
    data = {**ROOT.data(), "keys": {**KEYS, "ann": "58585858"}}

    assert "is not 64 hexadecimal digits" in _says(Root.parse, data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"more": 1}, f"expected exactly the keys {PAYLOAD_KEYS}"),
        ({"version": 0}, "expected a version of 1 or more, got 0"),
        ({"minimum_guard": "new"}, "minimum_guard: expected a version, got 'new'"),
        (
            {"issued": 5},
            "issued or expires: expected a time like 2026-01-31T12:00:00Z, got 5",
        ),
        ({"expires": payload_with()["issued"]}, "it expires before it is issued"),
        (
            {"issued": "2026-9-21T14:13:20Z"},
            "the payload is not in its one canonical form",
        ),
        ({"models": []}, f"models: {NAMES}"),
        ({"models": {"a.onnx": 0}}, "models: a.onnx is not a SHA-256 digest"),
        ({"thresholds": []}, f"thresholds: {NAMES}"),
        ({"thresholds": {"dwell_s": "3"}}, "thresholds: dwell_s is not a number"),
        ({"thresholds": {"mood": 1}}, f"thresholds: mood = 1; expected one of {LIMITS}"),
        ({"files": []}, f"files: {NAMES}"),
        ({"files": {"guard.cedar": 1}}, "files: guard.cedar is not text"),
        (
            {"files": {"a": [[[[1]]]]}},
            "the payload is not strict JSON: nested deeper than 5 levels",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_refused_payload_is_named(change, says):
    assert _says(parse_payload, rfc8785.dumps(payload_with(**change))) == (
        f"POLICY_MALFORMED: {says}"
    )


def test_what_is_not_base64_is_named():
    found = json.loads(sign_all(make_bundle()))
    found["signatures"][0]["sig"] = 7

    assert _says(open_bundle, json.dumps(found).encode(), ROOT) == (
        "POLICY_MALFORMED: payload or signature is not base64"
    )


@pytest.mark.parametrize(
    ("changes", "floors", "says"),
    [
        (
            {},
            Floors(root_version=2),
            "POLICY_ROLLBACK: its root is version 1, 2 was seen",
        ),
        ({}, Floors(7), "POLICY_ROLLBACK: it is version 1, version 7 was seen"),
        (
            {},
            Floors(1, b"other"),
            "POLICY_ROLLBACK: version 1 was seen before with other content",
        ),
        (
            {"minimum_guard": "0.2.0"},
            Floors(),
            "POLICY_MALFORMED: it needs framegate 0.2.0 or newer, this is 0.1.0",
        ),
        (
            {"expires_s": ISSUED_S + 60},
            Floors(time_s=NOW_S + 5),
            f"POLICY_EXPIRED: it expired at {time_text(ISSUED_S + 60)}, "
            f"it is at least {time_text(NOW_S + 5)}",
        ),
    ],
    ids=["older keys", "older", "other content", "newer guard", "expired"],
)
def test_a_bundle_that_may_not_come_into_force_is_named(changes, floors, says):
    assert _says(admit, make_bundle(**changes), floors, wall_s=NOW_S, guard=GUARD) == says


def test_a_version_seen_by_a_board_that_keeps_no_digest_may_stay():
    after = admit(make_bundle(), Floors(version=1), wall_s=NOW_S, guard=GUARD)

    assert (after.version, after.digest) == (1, make_bundle().digest)


def test_the_latest_time_known_is_kept():
    after = admit(make_bundle(), Floors(time_s=NOW_S + 5), wall_s=NOW_S, guard=GUARD)

    assert after.time_s == NOW_S + 5


def test_a_change_of_keys_says_who_is_missing():
    rotated = make_bundle(root=make_root(2))

    assert open_bundle(sign_all(rotated, ANN, BOB), ROOT) == rotated
    assert _says(open_bundle, sign_all(make_bundle(root=NEW_ROOT)), ROOT) == (
        "POLICY_THRESHOLD: 0 of 2 needed new keys signed the change of keys"
    )
    assert _says(open_bundle, sign_all(make_bundle()), make_root(2)) == (
        "POLICY_ROLLBACK: its root is version 1, version 2 is trusted"
    )


@pytest.mark.parametrize("zone", ["America/St_Johns", "Pacific/Auckland", "UTC"])
def test_times_are_utc_wherever_the_device_stands(zone, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        assert time_text(ISSUED_S) == "2026-09-21T14:13:20Z"
        assert parse_payload(make_bundle().payload).issued_s == ISSUED_S
    time.tzset()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (None, "pack.json is not JSON: Expecting value: line 1 column 1 (char 0)"),
        ({"more": 1}, "pack.json: expected exactly the keys forbid, name, permit, title, version"),
        ({"name": 7}, "pack.json: expected text as name and title"),
        ({"title": 7}, "pack.json: expected text as name and title"),
        ({"base": "mine"}, "pack.json: expected base = 'shipped' or none"),
        ({"version": 0}, "pack.json: expected a version of 1 or more, got 0"),
        ({"forbid": [7]}, "pack.json: expected a list of rule ids, got [7]"),
        ({"forbid": [], "permit": []}, "pack strict takes no rule at all"),
    ],
    ids=["no JSON", "keys", "name", "title", "base", "version", "rules", "none"],
)
def test_a_refused_pack_is_named(change, says):
    about = b"" if change is None else json.dumps({**ABOUT, **change}).encode()
    files = files_with(pack__json=about)

    assert _says(read_pack, files) == says
    assert _says(make_bundle(files=files).pack) == f"POLICY_MALFORMED: {says}"


def test_a_pack_that_builds_on_the_shipped_files_says_what_is_wrong_with_its_own():
    files = completed({"pack.json": b'{"name": "x", "base": "shipped", }'})

    assert _says(read_pack, files).startswith("pack.json is not JSON: ")


def test_a_folder_without_a_pack_file_is_no_pack():
    assert "missing ['pack.json']" in _says(read_pack, files_with(pack__json=None))


@pytest.mark.parametrize("name", ["Swiss", "", "my pack", "x" * 33, "7", "a/b"])
def test_a_pack_name_that_no_log_can_hold_is_refused(name):
    files = files_with(
        pack__json=FILES["pack.json"].replace(b'"strict"', json.dumps(name).encode())
    )

    assert "pack.json: expected a name of 1 to 32" in _says(read_pack, files)


def test_missing_and_unknown_files_are_named():
    files = files_with(vocabulary__json=None, notes__txt=b"?")

    assert _says(read_pack, files) == (
        "expected the files pack.json, places.json, schema.cedarschema, vocabulary.json and "
        ".cedar files; "
        "missing ['vocabulary.json'], unknown ['notes.txt']"
    )


def test_an_unknown_shipped_pack_is_named():
    assert _says(shipped_files, "lax") == "expected a pack named strict or police, got 'lax'"


def test_a_pack_says_what_it_is_and_whose_family_each_rule_is():
    pack = read_pack(FILES)

    assert (pack.title, pack.version) == (ABOUT["title"], ABOUT["version"])
    assert {f"{rule.family}.cedar" for rule in pack.rules} == {
        name for name in FILES if name.endswith(".cedar")
    }


def test_a_pack_takes_forbids_and_permits_by_patterns_of_their_own():
    about = json.dumps({**ABOUT, "forbid": ["MS-*"], "permit": ["GD-*"]}).encode()
    whole = {(rule.id, rule.effect.value) for rule in read_pack(FILES).rules}
    taken = {(r.id, r.effect.value) for r in read_pack(files_with(pack__json=about)).rules}

    assert taken == {
        (name, effect)
        for name, effect in whole
        if name.startswith("MS-" if effect == "forbid" else "GD-")
    }
    assert {effect for _, effect in taken} == {"forbid", "permit"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (json.dumps([{LONG: 1}])[1:-2] + f', "{LONG}": 1}}', f"key {LONG[:40]!r} given twice"),
        ("1" * 60, f"number {'1' * 40} is out of range"),
        ("1" * 5000, f"number {'1' * 40} is out of range"),
        ("1" * 60 + "e999", f"number {'1' * 40} is out of range"),
    ],
    ids=["twice", "whole", "longer than Python reads", "real"],
)
def test_a_long_text_is_cut_in_what_is_said(text, says):
    with pytest.raises(ValueError) as caught:
        strict_json.load(text.encode(), max_bytes=6000, max_depth=3)
    assert str(caught.value) == says


def test_a_list_beside_another_hides_nothing():
    with pytest.raises(ValueError, match="surrogates not allowed"):
        strict_json.load(b'[["\\ud800"], [1]]', max_bytes=60, max_depth=3)
    with pytest.raises(ValueError, match="nested deeper than 3 levels"):
        strict_json.load(b"[[[[]]], [1]]", max_bytes=60, max_depth=3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda found: found.__delitem__("signatures"),
            "POLICY_UNSIGNED: it carries no signatures",
        ),
        (
            lambda found: found.update(more=1),
            "POLICY_MALFORMED: not an envelope: expected exactly payload, payloadType, signatures",
        ),
        (
            lambda found: found.update(signatures={}),
            "POLICY_MALFORMED: not an envelope: expected exactly payload, payloadType, signatures",
        ),
        (
            lambda found: found.update(payloadType="text/plain"),
            f"POLICY_MALFORMED: expected payload type {PAYLOAD_TYPE}",
        ),
        (
            lambda found: found.update(signatures=[1]),
            "POLICY_MALFORMED: expected exactly keyid and sig in each signature",
        ),
        (
            lambda found: found["signatures"][0].pop("sig"),
            "POLICY_MALFORMED: expected exactly keyid and sig in each signature",
        ),
        (
            lambda found: found["signatures"][0].update(keyid=1),
            "POLICY_MALFORMED: expected text as keyid",
        ),
        (
            lambda found: found["signatures"].append(found["signatures"][0]),
            "POLICY_THRESHOLD: one key id signed twice",
        ),
        (
            lambda found: found.update(signatures=[]),
            "POLICY_UNSIGNED: no trusted key signed it",
        ),
        (
            lambda found: found["signatures"].pop(),
            "POLICY_THRESHOLD: 1 of 2 needed keys signed it",
        ),
        (
            lambda found: found.update(payload=[[[1]]]),
            "POLICY_MALFORMED: not an envelope: nested deeper than 4 levels",
        ),
    ],
    ids=range(11),
)
def test_a_refused_envelope_is_named(change, says):
    found = json.loads(sign_all(make_bundle(), ANN, BOB))
    change(found)
    assert _says(open_envelope, json.dumps(found).encode(), ROOT) == says


def test_what_is_no_mapping_is_no_envelope():
    says = "POLICY_MALFORMED: not an envelope: expected a mapping"
    assert _says(open_envelope, b"[]", ROOT) == says


def test_the_bound_on_the_work_is_exact_and_counts_every_kind_of_part():
    twenty_thousand = b"[" + b"1," * 19_999 + b"1]"
    assert len(strict_json.load(twenty_thousand, max_bytes=50_000, max_depth=2)) == 20_000
    with pytest.raises(ValueError, match="at most 20000 parts, got 20001"):
        strict_json.load(b"[1," + twenty_thousand[1:], max_bytes=50_000, max_depth=2)
    for text in (b"[[1],[1]]", b"[{},{}]", b"[1,1,1,1]"):
        with pytest.raises(ValueError, match="parts"):
            strict_json.load(text, max_bytes=60, max_depth=3, max_parts=3)
        strict_json.load(text, max_bytes=60, max_depth=3, max_parts=4)


@pytest.mark.slow
def test_what_a_pack_is_made_of_names_every_file_by_its_digest():
    plain = read_pack(FILES)
    for name in FILES:
        assert read_pack({**FILES, name: FILES[name] + b"\n"}).content != plain.content, name
    assert read_pack(dict(reversed(FILES.items()))).content == plain.content
