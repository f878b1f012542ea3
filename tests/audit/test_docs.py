"""What `docs/audit.md` shows is what the commands print."""

import re
from pathlib import Path

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.schema import Kind
from edge.cli import main
from tests.support.audit_helpers import DAY

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"


def examples():
    """Each shown command with what the page says it prints."""
    for block in re.findall(r"^```\n(\$ .*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ framegate ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command.split(), printed


def test_every_command_on_the_page_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    key = Signer.generate("framegate-5f4e70b5/log")
    log = AuditLog.create_or_open(Path("audit"), key)
    for entry in DAY:
        log.append(entry, durable=True)
    log.close()
    Path("log.pub").write_text(key.verifier.text)

    shown = list(examples())

    assert len(shown) == 5
    for command, printed in shown:
        code = main(command)
        out = capsys.readouterr()
        assert out.out + out.err == printed, command
        assert code == (1 if "not proven" in printed else 0)


def test_the_page_names_every_kind_of_entry():
    rows = set(re.findall(r"^\| `([a-z_]+)` \|", PAGE.read_text(), re.MULTILINE))

    assert {kind.value for kind in Kind} <= rows
