"""`framegate audit prune` from guard.toml to the report, with and without witnesses."""

import json
import os
from pathlib import Path

import pytest

from edge.audit.cosignature import cosign, witness_of
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.cli import main
from edge.commissioning.keys import KeyStore
from tests.support.audit_helpers import deny, end, permit, stop

DAY = 86_400
CONFIG = 'source = "0"\ndevice = "device.toml"\nsession = "session.toml"\nkeys = "keys"\n'
PRUNE = ["audit", "prune", "--config", "guard.toml"]
REPORT = ["audit", "report", "audit", "--key", "keys/log.pub", "--month", "2026-01", "--out"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A device with a log of 150 days, one permit in the first month; not to be changed."""
    folder = tmp_path_factory.mktemp("site")
    key = KeyStore.init(folder / "keys").log_key()
    log = AuditLog.create_or_open(folder / "audit", key, segment_entries=64)
    log.append(permit(10), durable=False)
    log.append(end(70, released=9), durable=False)
    for index in range(310):
        log.append(deny(100 + index * DAY / 2), durable=False)
        if log.size == 200:
            log.sync()
            (folder / "kept").write_text(log.checkpoint)
    log.append(stop(156 * DAY), durable=True)
    log.close()
    return folder


@pytest.fixture
def here(site, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(site, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    Path("guard.toml").write_text(CONFIG + "[log]\nkeep_months = 1\n")
    return tmp_path / "here"


def run(capsys, *words):
    code = main(list(words))
    found = capsys.readouterr()
    return code, found.out, found.err


def files():
    return sorted(str(path) for path in Path("audit").rglob("*") if path.is_file())


@pytest.mark.slow
def test_without_apply_nothing_changes(here, capsys):
    before = files()

    code, out, _ = run(capsys, *PRUNE, "--archive", "old")

    assert code == 0
    assert "would go: entries 0 to 191 (2026-01-01" in out
    assert "nothing was changed; --apply does it" in out
    assert files() == before
    assert not Path("old").exists()


@pytest.mark.slow
def test_a_pruned_log_says_so_wherever_it_is_read(here, capsys):
    assert run(capsys, *PRUNE, "--archive", "old", "--apply")[0] == 0

    code, out, _ = run(capsys, "audit", "verify", "audit", "--key", "keys/log.pub")
    assert (code, "313 entries" in out, "entries 0 to 191 (" in out) == (0, True, True)
    _, out, _ = run(capsys, "audit", "verify", "audit", "--json")
    assert json.loads(out)["pruned"] == 192
    _, out, err = run(capsys, "audit", "show", "audit", "--key", "keys/log.pub")
    assert (len(out.splitlines()), "were pruned at" in err) == (121, True)
    code, _, err = run(capsys, "audit", "prove", "audit", "--entry", "5")
    assert (code, "entry 5 was pruned" in err) == (1, True)
    prove = ["audit", "prove", "audit", "--entry"]
    assert run(capsys, *prove, "250", "--out", "p")[0] == 0
    assert run(capsys, "audit", "verify-proof", "p", "--key", "keys/log.pub")[0] == 0
    assert run(capsys, *prove, "5", "--out", "p", "--archive", "old")[0] == 0
    assert run(capsys, "audit", "verify-proof", "p", "--key", "keys/log.pub")[0] == 0
    assert run(capsys, "audit", "prove", "audit", "--checkpoint", "kept", "--out", "c")[0] == 0
    again = ["audit", "verify-proof", "c", "--checkpoint", "kept", "--key", "keys/log.pub"]
    assert run(capsys, *again)[0] == 0


@pytest.mark.slow
def test_a_report_of_a_pruned_month_says_what_is_missing_and_the_archive_has_it(here, capsys):
    assert run(capsys, *PRUNE, "--archive", "old", "--apply")[0] == 0

    code, _, err = run(capsys, *REPORT, "part")
    assert (code, "the report is not whole: entries 0 to 191" in err) == (0, True)
    assert "This report is not whole" in Path("part/report.html").read_text()

    code, out, err = run(capsys, *REPORT, "whole", "--archive", "old")
    assert (code, "9 frames released" in out, "not whole" in err) == (0, True, False)
    assert "not whole" not in Path("whole/report.html").read_text()
    for proof in Path("whole/proofs").iterdir():
        assert run(capsys, "audit", "verify-proof", str(proof), "--key", "keys/log.pub")[0] == 0


def test_a_month_that_was_kept_is_reported_whole(here, capsys):
    assert run(capsys, *PRUNE, "--apply")[0] == 0

    words = [word.replace("2026-01", "2026-05") for word in REPORT]
    code, _, err = run(capsys, *words, "may")

    assert (code, "not whole" in err) == (0, False)


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("", "keep_months is 0: everything is kept"),
        ("[log]\nkeep_months = -1\n", "[log] keep_months: expected 0 to 1200, got -1"),
        ('[log]\nkeep_months = "2"\n', "[log] keep_months: expected 0 to 1200"),
        ("[log]\nkeep_month = 2\n", "[log] keep_month is not known"),
    ],
)
def test_without_a_stated_retention_nothing_goes(here, capsys, log, says):
    Path("guard.toml").write_text(CONFIG + log)

    code, _, err = run(capsys, *PRUNE, "--apply")

    assert (code, says in err, len(err.splitlines())) == (2, True, 1)


def test_what_the_retention_keeps_does_not_go(here, capsys):
    Path("guard.toml").write_text(CONFIG + "[log]\nkeep_months = 6\n")
    before = files()

    code, out, _ = run(capsys, *PRUNE, "--apply")

    assert (code, "nothing may go" in out) == (0, True)
    assert files() == before


def witnessed(note, signer):
    """`note` with the signature of one witness under it."""
    text = note.rpartition("\n\n")[0] + "\n"
    return note + cosign(text.encode(), signer, 1_780_000_000).decode()


def test_what_its_witnesses_have_not_cosigned_stays(here, capsys):
    signer = Signer.generate("witness.example/one")
    Path("policy").write_text(f"witness one {witness_of(signer).text}\nquorum one\n")
    Path("guard.toml").write_text(CONFIG + '[log]\nkeep_months = 1\nwitnesses = "policy"\n')
    before = files()

    code, _, err = run(capsys, *PRUNE, "--apply")
    assert (code, "no courier has brought a cosignature back" in err) == (1, True)
    alone = Path("kept").read_text().split("\n\n")[0] + "\n\n"
    own = Path("kept").read_text().split("\n\n")[1].split("\n")[0] + "\n"
    Path("audit/checkpoint.cosigned").write_text(alone + own)
    code, _, err = run(capsys, *PRUNE, "--apply")
    assert (code, "too few witnesses" in err) == (1, True)
    Path("audit/checkpoint.cosigned").unlink()
    assert files() == before

    Path("audit/checkpoint.cosigned").write_text(witnessed(alone + own, signer))
    code, out, _ = run(capsys, *PRUNE, "--apply", "--json")

    assert (code, json.loads(out)["entries"]) == (0, 192)  # of the 200 that were cosigned
    assert run(capsys, "audit", "verify", "audit", "--witnesses", "policy")[0] == 0


def test_a_log_that_witnesses_visit_needs_their_policy(here, capsys):
    Path("audit/checkpoint.cosigned").write_text("any")

    code, _, err = run(capsys, *PRUNE, "--apply")

    assert (code, "name their policy in guard.toml" in err) == (2, True)


def test_a_forked_log_is_evidence_and_stays(here, capsys):
    Path("audit/checkpoint.forked").write_text("{}")

    code, _, err = run(capsys, *PRUNE, "--apply")

    assert (code, "another history" in err) == (1, True)


def test_a_damaged_log_is_not_pruned(here, capsys):
    Path("audit/segments/000004.log").unlink()
    before = files()

    code, _, err = run(capsys, *PRUNE, "--apply")

    assert (code, "nothing was pruned: entry 256" in err) == (1, True)
    assert files() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_log_of_another_user_is_pruned_by_that_user(here, capsys):
    os.chown("audit", 12345, 12345)

    assert run(capsys, *PRUNE)[0] == 0
    code, _, err = run(capsys, *PRUNE, "--apply")

    assert (code, "run this as that user" in err) == (2, True)


def test_the_log_of_another_matcher_is_pruned_by_its_name(here, capsys):
    Path("also/counting").mkdir(parents=True)
    Path("audit").rename("also/counting/audit")
    Path("policy").write_text("witnesses that visit the first log alone")
    also = '[[also]]\nsession = "counting.toml"\ncommand = ["count"]\n'
    log = '[log]\nkeep_months = 1\nwitnesses = "policy"\n'
    Path("guard.toml").write_text(CONFIG + log + also)

    code, _, err = run(capsys, *PRUNE)
    assert (code, "audit holds no audit log" in err) == (2, True)
    code, _, err = run(capsys, *PRUNE, "--matcher", "mood")
    assert (code, "expected one of guard.toml: counting" in err) == (2, True)
    code, out, _ = run(capsys, *PRUNE, "--matcher", "counting", "--apply")

    assert (code, "gone: entries 0 to 191" in out) == (0, True)
    assert run(capsys, "audit", "verify", "also/counting/audit", "--key", "keys/log.pub")[0] == 0
