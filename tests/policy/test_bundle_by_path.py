"""A pack of one's own, named by its bundle's path, is trusted as an installed one is."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.cli import main
from edge.daemon.settings import parse_settings
from edge.errors import GuardError
from edge.guard.plan import matcher_faults
from edge.policy.naming import bundle_file
from edge.policy.selection import Chosen, choose
from edge.policy.signed.bundle import Floors
from edge.policy.signed.store import PolicyStore
from edge.sandbox.spec import Confinement
from edge.version import BUILT_S
from tests.support.bundles import ANN, CYD, DAY_S, EVE, FILES, ROOT, make_bundle, sign_all

OWN = b"""
@id("CH-01") @source("s") @version("1") @effective_from("2026-01-01") @effective_to("none")
@status("own") @says("no gallery of staff in Switzerland")
forbid (principal, action, resource)
when { context.place in Place::"CH" && context.gallery == "consented_staff" };
"""
RULES = {
    **FILES,
    "swiss.cedar": OWN,
    "pack.json": FILES["pack.json"].replace(b'"strict"', b'"swiss"'),
}
NOW_S = int(time.time())  # one second for every bundle, so that equal ones have equal bytes
GOOD = 'source = "0"\ndevice = "D.toml"\nsession = "S.toml"\n'


def bundle(version: int = 3, **changes: object) -> bytes:
    term = {"issued_s": BUILT_S, "expires_s": NOW_S + 90 * DAY_S}
    return sign_all(
        make_bundle(**{"version": version, "files": RULES, **term, **changes}), ANN, CYD
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A device that trusts three people's keys, and a bundle that nobody has installed."""
    first = sign_all(make_bundle(issued_s=BUILT_S - 2, expires_s=NOW_S + DAY_S), ANN, CYD)
    PolicyStore(tmp_path / "policy").install(first, wall_s=BUILT_S, guard="0.1.0", trust=ROOT)
    (tmp_path / "swiss.json").write_bytes(bundle())
    return tmp_path


def chosen(folder: Path, pack: str = "swiss.json", *known: Floors) -> Chosen:
    """What a guard of this `guard.toml` would decide by."""
    text = f'{GOOD}pack = "{pack}"\npolicy = "policy"\n'
    plan = parse_settings(text.encode(), folder / "guard.toml").plan
    return choose(plan.pack, plan.policy, known)


@pytest.mark.slow
def test_a_bundle_named_by_its_path_decides(folder: Path) -> None:
    found = chosen(folder)

    assert found.policy.pack.name == "swiss"
    assert found.version == 3
    assert "CH-01" in {rule.id for rule in found.policy.rules}


@pytest.mark.slow
def test_a_pack_in_an_installed_bundle_is_named_by_its_name(folder: Path) -> None:
    PolicyStore(folder / "policy").install(bundle(), wall_s=NOW_S, guard="0.1.0")

    assert chosen(folder, "swiss").policy.digest == chosen(folder).policy.digest
    with pytest.raises(GuardError, match="expected the pack strict, the installed bundle holds sw"):
        chosen(folder, "strict")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (sign_all(make_bundle(version=3), EVE), "POLICY_UNSIGNED: no trusted key signed it"),
        (sign_all(make_bundle(version=3), ANN, EVE), "POLICY_THRESHOLD: 1 of 2 needed keys"),
        (bundle()[:-40], "POLICY_MALFORMED: not an envelope"),
        (bundle(0 + 1, issued_s=BUILT_S + 1), "POLICY_ROLLBACK: version 1 was seen before"),
        (bundle(expires_s=BUILT_S + 1), "POLICY_EXPIRED: it expired at"),
        (
            bundle(files={**RULES, "x.cedar": OWN.replace(b'staff" }', b'stuff" }')}),
            "POLICY_LINT: x.0:CH-01: 'consented_stuff' is no word",
        ),
        (b"", "POLICY_MALFORMED: not an envelope"),
    ],
    ids=["stranger", "too few", "cut", "old", "expired", "unknown word", "empty"],
)
def test_a_bad_bundle_is_one_line(folder: Path, data: bytes, expected: str) -> None:
    (folder / "swiss.json").write_bytes(data)

    with pytest.raises(GuardError, match=expected) as caught:
        chosen(folder)

    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_bundle_older_than_the_log_has_seen_is_refused(folder: Path) -> None:
    with pytest.raises(GuardError, match="POLICY_ROLLBACK: it is version 3, version 4 was seen"):
        chosen(folder, "swiss.json", Floors(version=4))


@pytest.mark.slow
def test_what_cannot_be_a_signed_bundle_says_what_to_do(folder: Path) -> None:
    (folder / "pack").mkdir()

    with pytest.raises(GuardError, match=r"got a folder; `framegate policy build --pack"):
        chosen(folder, "./pack")
    with pytest.raises(GuardError, match=r"cannot read .*none.json: No such file"):
        chosen(folder, "none.json")


def test_a_device_that_trusts_nobody_takes_no_bundle_and_no_name_of_one(tmp_path: Path) -> None:
    (tmp_path / "swiss.json").write_bytes(bundle())

    with pytest.raises(GuardError, match=r"POLICY_UNSIGNED: no key is trusted in .*policy, so"):
        chosen(tmp_path)
    with pytest.raises(GuardError, match="a pack named strict or police, got 'swiss': no key is"):
        chosen(tmp_path, "swiss")
    assert chosen(tmp_path, "police").policy.pack.name == "police"


@pytest.mark.parametrize("pack", ["./swiss.json", "none.json", "swiss"])
def test_config_check_says_what_is_wrong_with_it_and_a_start_is_refused(
    tmp_path: Path, pack: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(f'{GOOD}pack = "{pack}"\npolicy = "policy"\nkeys = "keys"\n')

    assert main(["daemon", "--config", str(file)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_matcher_may_not_write_where_the_bundle_lies(tmp_path: Path) -> None:
    for name in ("packs", "room"):
        (tmp_path / name).mkdir()
    (tmp_path / "packs" / "swiss.json").write_bytes(bundle())
    text = f'{GOOD}pack = "packs/swiss.json"\n[matcher]\ncommand = ["true"]\n'
    plan = parse_settings(text.encode(), tmp_path / "guard.toml").plan

    def lines_of(folder: str) -> list[str]:
        given = Confinement(os.geteuid() or 65534, writes=(tmp_path / folder,))
        (tmp_path / folder).chmod(0o777)
        return list(map(str, matcher_faults(replace(plan, confinement=given), None)))

    assert "it meets" in lines_of("packs")[0]
    assert lines_of("room") == []


def test_a_name_is_no_path_and_a_path_no_name() -> None:
    assert [bundle_file(text) for text in ("strict", "my-pack_2")] == [None, None]
    assert bundle_file("./p") == Path("p")
    assert bundle_file("p.json") == Path("p.json")
    assert bundle_file("~/p.json") == Path("~/p.json").expanduser()
