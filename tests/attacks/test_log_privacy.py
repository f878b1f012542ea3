"""Someone searches the log for people: it holds verdicts and digests, nothing seen."""

import json
import re

import pytest

from edge.audit.forms import SchemaError
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from tests.support.audit_helpers import deny, end, permit, read_all, start, stop

KEY = Signer.generate("framegate-test/log")
# What a careless caller might hand over, by the fields it might use.
PERSONAL = {
    "subject": "Jane Doe",
    "box": [10, 20, 30, 40],
    "embedding": [0.12, -0.5],
    "thumbnail": "iVBORw0KGgo=",
    "lat_deg": 47.3769,
    "lon_deg": 8.5417,
    "note": "left the shop",
    "view_score": 0.93,
    "gallery_id": "Employee 17",
}


@pytest.mark.parametrize("name", PERSONAL)
@pytest.mark.parametrize("entry", [start(0), permit(4), end(9), deny(10), stop(11)])
def test_nothing_personal_can_be_written_in_any_entry(tmp_path, name, entry):
    log = AuditLog.create_or_open(tmp_path / "audit", KEY)

    with pytest.raises(SchemaError) as refusal:
        log.append({**entry.fields(), name: PERSONAL[name]}, durable=True)
    for field in entry.fields():
        with pytest.raises(SchemaError):
            log.append({**entry.fields(), field: PERSONAL[name]}, durable=True)
    log.close()

    assert str(PERSONAL[name]) not in str(refusal.value)
    assert read_all(tmp_path / "audit", KEY.verifier) == []


def test_a_stored_run_holds_codes_counts_times_and_digests_only(tmp_path):
    log = AuditLog.create_or_open(tmp_path / "audit", KEY)
    for entry in (start(0), permit(4), end(9), deny(10), stop(11)):
        log.append(entry, durable=True)
    log.close()

    code = re.compile(r"[A-Z0-9_-]+|[a-z0-9_]+|[0-9.]+|[0-9a-f]+|[0-9-]+T[0-9:.]+Z", re.ASCII)
    for fields in read_all(tmp_path / "audit", KEY.verifier):
        for value in json.loads(json.dumps(fields)).values():
            members = value if isinstance(value, (list, dict)) else [value]
            for member in members:
                assert isinstance(member, (bool, int, type(None))) or code.fullmatch(member)
