"""The measure of the log's size writes the day that it says, and counts every file once."""

from bench.audit.size import day_of, sizes
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.proofs.verify import verify_log


def test_a_day_is_a_log_that_verifies_and_every_byte_of_it_is_counted(tmp_path):
    key = Signer.generate("framegate-test/log")
    log = AuditLog.create_or_open(tmp_path / "audit", key)
    entries = [*day_of(0, 5), *day_of(1, 5)]
    for entry in entries:
        log.append(entry, durable=False)
    log.close()

    found = sizes(tmp_path / "audit")

    assert verify_log(tmp_path / "audit", key.verifier).entries == len(entries) == 2 * (24 + 15)
    on_disk = sum(p.stat().st_size for p in (tmp_path / "audit").rglob("*") if p.is_file())
    assert sum(found.values()) == on_disk
    assert found["bundles"] > 0
    assert found["segments"] > found["bundles"]
