"""Someone puts an older, validly signed log back: only a floor kept elsewhere tells."""

import shutil

import pytest

from edge.audit.journal import BadEntry
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.proofs.verify import verify_log
from edge.cli import main
from edge.errors import AuditError, RollbackError
from tests.support.audit_helpers import deny, permit, start, stop

KEY = Signer.generate("framegate-test/log")


@pytest.fixture
def logs(tmp_path):
    """A log, an image of it as it was earlier, and the floor a board would hold."""
    now, image = tmp_path / "audit", tmp_path / "image"
    log = AuditLog.create_or_open(now, KEY)
    log.append(start(0), durable=True)
    log.append(deny(1), durable=True)
    shutil.copytree(now, image)
    log.append(permit(4), durable=True)
    floor = log.floor
    log.append(stop(9), durable=False)
    log.close()
    return now, image, floor


def test_an_older_image_verifies_by_itself_and_fails_against_the_floor(logs):
    now, image, floor = logs

    assert floor == 3
    assert verify_log(image, KEY.verifier).entries == 2
    with pytest.raises(BadEntry, match="3 entries are known") as found:
        verify_log(image, KEY.verifier, floor=floor)
    assert found.value.index == 2
    assert verify_log(now, KEY.verifier, floor=floor).entries == 4


def test_the_guard_does_not_continue_a_log_below_the_boards_floor(logs):
    now, image, floor = logs

    with pytest.raises(RollbackError):
        AuditLog.create_or_open(image, KEY, floor=floor)
    AuditLog.create_or_open(now, KEY, floor=floor).close()


def test_the_guard_does_not_begin_anew_when_the_log_is_gone(logs, tmp_path):
    _, _, floor = logs

    with pytest.raises(RollbackError, match="found none"):
        AuditLog.create_or_open(tmp_path / "empty", KEY, floor=floor)
    AuditLog.create_or_open(tmp_path / "empty", KEY, floor=0).close()


def test_a_checkpoint_kept_elsewhere_tells_a_truncated_log(logs, tmp_path, capsys):
    now, image, _ = logs
    kept = tmp_path / "seen"
    shutil.copy(now / "checkpoint", kept)
    key = ["--key", str(now / "log.pub")]

    assert main(["audit", "verify", str(now), *key, "--checkpoint", str(kept)]) == 0
    assert main(["audit", "verify", str(image), *key, "--checkpoint", str(kept)]) == 1
    assert "entry 2: missing" in capsys.readouterr().err


def test_a_checkpoint_of_a_forked_log_tells_the_fork(logs, tmp_path):
    now, image, _ = logs
    forked = AuditLog.create_or_open(image, KEY)
    forked.append(deny(5), durable=True)
    forked.append(stop(6), durable=True)
    forked.close()

    assert verify_log(now, KEY.verifier, seen=(now / "checkpoint").read_bytes())
    assert verify_log(image, KEY.verifier).entries >= 4
    with pytest.raises(AuditError, match="kept elsewhere"):
        verify_log(image, KEY.verifier, seen=(now / "checkpoint").read_bytes())


def test_entries_cut_off_below_the_logs_own_checkpoint_are_noticed_at_start(logs):
    now, _, _ = logs
    journal = now / "segments/000000.log"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:2]))

    with pytest.raises(RollbackError, match="its checkpoint says 4"):
        AuditLog.create_or_open(now, KEY)
