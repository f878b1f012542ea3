"""Recordings signed by the camera: a small signer of our own, and each way to break its stream."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from edge.archive.manifest import Recording
from edge.archive.signed import kept, step
from edge.archive.signed import verify as verifying
from edge.archive.signed.nal import SIGNING, Codec, units
from edge.archive.signed.verdict import Refuse, Signed, Trust, Verdict
from edge.archive.signed.verify import Finding, State, decoded, verify
from edge.archive.store import Store
from edge.archive.tape import Tape
from edge.errors import RecordError
from tests.archive.signer import CAMERA, OTHER, ROOT, Signer, pem, stream, synthetic

BOTH = pytest.mark.parametrize("codec", Codec)
ROOTS = Trust(pem(ROOT))


def made(codec: Codec = Codec.H264, *, groups: int = 3, **changed: object) -> list[bytes]:
    return synthetic(Signer(codec, **changed), codec, groups)  # type: ignore[arg-type]


def verdict(stream_units: list[bytes], trust: Trust = ROOTS, codec: Codec = Codec.H264) -> Verdict:
    return trust.judge(verify(stream_units, codec))


# 0 and 1 parameter sets, then for each group: 3 slices and its SEI
@BOTH
@pytest.mark.parametrize("escaped", [True, False])
@pytest.mark.parametrize("listed", [True, False])
def test_a_stream_as_the_camera_signed_it_is_valid(
    codec: Codec, escaped: bool, listed: bool
) -> None:
    good = units(stream(made(codec, escaped=escaped, listed=listed)))
    assert verdict(good, codec=codec) == Verdict(Signed.VALID, "", 9, 9)
    assert verdict(good, Trust(), codec).signed is Signed.UNTRUSTED
    assert verdict(good, Trust(pem(OTHER)), codec).signed is Signed.UNTRUSTED


def _changed(units: list[bytes], at: int, offset: int) -> list[bytes]:
    unit = bytearray(units[at])
    unit[offset] ^= 0x10
    return [*units[:at], bytes(unit), *units[at + 1 :]]


@BOTH
@pytest.mark.parametrize(
    ("damage", "why", "covered"),
    [
        pytest.param(lambda u: _changed(u, 3, 12), "group 1 is not what was signed", 0, id="bit"),
        pytest.param(lambda u: _changed(u, 8, 12), "group 2 is not what was signed", 3, id="later"),
        pytest.param(lambda u: u[:3] + u[4:], "2 slices, 3 were signed", 0, id="dropped"),
        pytest.param(lambda u: [*u[:3], u[4], u[3], *u[5:]], "not what was", 0, id="reordered"),
        pytest.param(lambda u: u[:6] + u[10:], "does not follow", 3, id="group cut out"),
        pytest.param(
            lambda u: u[:5] + u[6:9] + u[10:], "3 groups of pictures, 1", 0, id="unsigned"
        ),
        pytest.param(lambda u: _changed(u, 9, -40), "does not belong", 3, id="signature"),
        pytest.param(lambda u: _changed(u, 9, 600), "", 3, id="certificate"),
        pytest.param(lambda u: [*u[:9], u[9][:-30], *u[10:]], "damaged", 3, id="SEI cut"),
        pytest.param(lambda u: [u[3], *u], "before the first whole group", 9, id="early"),
    ],
)
def test_a_changed_stream_is_not_valid(
    codec: Codec, damage: Callable[[list[bytes]], list[bytes]], why: str, covered: int
) -> None:
    found = verdict(damage(made(codec)), codec=codec)
    assert found.signed is Signed.INVALID
    assert why in found.why
    assert found.covered <= covered


def test_another_certificate_does_not_fit_the_signatures() -> None:
    both = Trust(pem(ROOT) + pem(OTHER))
    assert verdict(made(claims=OTHER), both).signed is Signed.INVALID
    assert verdict(made(claims=CAMERA), both).signed is Signed.VALID


@BOTH
def test_pictures_that_no_signature_covers_are_not_called_signed(codec: Codec) -> None:
    cut = made(codec)[:-1]  # the signature of a group comes later, and a recording may end before
    assert str(verdict(cut, codec=codec)) == "signed and valid in part: 6 of 9 pictures are covered"
    assert verdict(cut, Trust(), codec) == Verdict(Signed.UNTRUSTED, "", 9, 6)


@BOTH
def test_what_is_not_signed_is_never_called_valid(codec: Codec) -> None:
    plain = [unit for unit in made(codec) if SIGNING not in unit]
    assert verdict(plain, codec=codec) == Verdict(Signed.NONE, "", 9, 0)
    assert verdict([], codec=codec).signed is Signed.NONE
    assert verdict(plain * 200, codec=codec).signed is Signed.NONE


@pytest.mark.parametrize(
    ("codec", "unit"),
    [
        (Codec.H264, b"\x02\x88\x80"),  # a data partition
        (Codec.H264, b"\x74\x88\x80"),  # another view
        (Codec.H265, b"\x12\1\x88\x80"),  # a leading picture
        (Codec.H265, b"\x02\x09\x88\x80"),  # of a further layer
    ],
)
def test_slices_that_a_signer_leaves_out_leave_nothing_valid(codec: Codec, unit: bytes) -> None:
    whole = made(codec)
    found = verdict([*whole[:5], unit, *whole[5:]], codec=codec)
    assert found == Verdict(Signed.UNKNOWN, "it has slices of a kind that is not signed", 9, 0)
    assert verdict([unit], codec=codec).signed is Signed.NONE


@BOTH
def test_no_single_changed_byte_of_pictures_or_signatures_stays_valid(codec: Codec) -> None:
    chance, whole = random.Random(1), made(codec)
    for _ in range(100):
        at = chance.randrange(2, len(whole))
        offset = chance.randrange(len(whole[at]))
        found = verdict(_changed(whole, at, offset), codec=codec)
        # behind the signature stand filling bytes, which nothing covers
        filling = at in (5, 9, 13) and offset >= len(whole[at]) - 5
        assert filling or found.signed is not Signed.VALID, (at, offset)


def test_signatures_that_come_far_too_late_cost_no_memory_and_are_not_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = made(groups=6)
    slices = [unit for unit in whole if SIGNING not in unit]
    late = [*slices, *(unit for unit in whole if SIGNING in unit)]
    assert verdict(late).signed is Signed.VALID
    monkeypatch.setattr(verifying, "_MOST_WAITING", 4)
    assert verdict(whole).signed is Signed.VALID
    found = verdict(late)
    assert (found.signed, found.covered) == (Signed.UNKNOWN, 0)
    assert "4 groups late" in found.why


def test_a_signature_of_pictures_that_are_not_seen_says_nothing_of_those_that_are() -> None:
    found = verify(made(), Codec.H264)
    assert decoded(found, 9) == found
    assert decoded(found, 8).state is State.UNKNOWN
    assert "9 coded pictures, and 8 were decoded" in decoded(found, 8).why
    broken = verify(_changed(made(), 3, 12), Codec.H264)
    assert decoded(broken, 8) == broken


@pytest.mark.parametrize(
    ("refuse", "refused"),
    [
        (Refuse.NOTHING, ""),
        (Refuse.INVALID, "invalid"),
        (Refuse.UNSIGNED, "untrusted invalid none unknown"),
        (Refuse.UNCOVERED, "partly untrusted invalid none unknown"),
    ],
)
def test_what_a_user_refuses(refuse: Refuse, refused: str) -> None:
    good = verify(made(), Codec.H264)
    findings: dict[str, tuple[Finding, bytes]] = {
        "valid": (good, pem(ROOT)),
        "partly": (replace(good, covered=6), pem(ROOT)),
        "untrusted": (good, pem(OTHER)),
        "invalid": (replace(good, state=State.INVALID), pem(ROOT)),
        "none": (replace(good, state=State.NONE), pem(ROOT)),
        "unknown": (replace(good, state=State.UNKNOWN), pem(ROOT)),
    }
    found = []
    for name, (finding, signers) in findings.items():
        assert Trust(signers).judge(finding).signed.name.lower() == name
        try:
            Trust(signers, refuse).judge(finding)
        except RecordError as err:
            assert str(err).startswith(f"refused by --refuse {refuse.value}: ")
            found.append(name)
    assert found == refused.split()


def test_a_finding_is_kept_as_it_is_and_a_damaged_one_is_none() -> None:
    for finding in (verify(made(), Codec.H264), Finding(State.NONE, "", 3)):
        data = kept.to_bytes(finding)
        assert kept.from_bytes(data, "x") == finding
        assert kept.to_bytes(kept.from_bytes(data, "x")) == data
    whole = kept.to_bytes(verify(made(), Codec.H264))
    for damage in (
        b"",
        b"[]",
        whole[:-1],
        whole.replace(b'"covered":9', b'"covered":10'),
        whole.replace(b'"format":1', b'"format":2'),
        whole.replace(b'"chain":["', b'"chain":["AA'),
        kept.to_bytes(replace(verify(made(), Codec.H264), chain=())),
    ):
        with pytest.raises(RecordError, match=r"x: expected a finding on signatures"):
            kept.from_bytes(damage, "x")


def test_a_tape_of_fewer_pictures_than_were_signed_keeps_no_verdict_of_them(tmp_path: Path) -> None:
    store, found = Store(str(tmp_path)), verify(made(), Codec.H264)
    for name, frames, lost, expected in (
        ("a", 9, 0, Signed.VALID),
        ("b", 8, 1, Signed.VALID),  # decoded, and left out by its time
        ("c", 8, 0, Signed.UNKNOWN),
    ):
        recording = Recording(Path("clip"), name * 64, Path("D"), Path("S"))
        tape = cast(Tape, SimpleNamespace(captured_ns=range(frames), not_judged=lost))
        assert step.signed(recording, store, ROOTS, found, tape).signed is expected
        kept_now = step.known(recording, store)
        assert kept_now is not None and ROOTS.judge(kept_now).signed is expected
    with pytest.raises(RecordError, match=r"refused by --refuse uncovered: .* 8 were decoded"):
        step.signed(recording, store, Trust(pem(ROOT), Refuse.UNCOVERED), found, tape)
