"""Proofs from the log: what holds is proven, what does not is refused, nothing can be bent."""

import base64
import contextlib
import json
import random

import pymerkle
import pytest

from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.audit.paths import (
    inclusion_path,
    root_from_inclusion,
    root_from_run,
    root_of,
    run_path,
)
from edge.audit.proofs.merkle import leaf_hash
from edge.audit.proofs.proof import prove_entry, prove_span, verify_proof
from edge.audit.proofs.span import NotProven
from edge.audit.proofs.tiled import prove_from_tiles, size_of
from edge.audit.proofs.verify import verify_log
from edge.audit.schema import UncleanStop
from edge.cli import main
from edge.errors import AuditError
from tests.support.audit_helpers import (
    DAY,
    NOON_NS,
    deny,
    end,
    permit,
    reference_root,
    stamp,
    start,
    stop,
)

pytestmark = pytest.mark.slow

KEY = Signer.generate("framegate-test/log")


def at(t_s):
    return NOON_NS + int(t_s * 1e9)


def written(where, entries):
    log = AuditLog.create_or_open(where, KEY)
    for entry in entries:
        log.append(entry, durable=True)
    log.close()
    stored = []
    verify_log(where, KEY.verifier, on_entry=lambda i, entry, f: stored.append(entry))
    return stored, (where / "checkpoint").read_bytes()


@pytest.mark.parametrize("size", [1, 2, 7, 255, 256, 257, 600])
def test_a_proof_read_from_a_few_tiles_is_the_one_made_of_the_whole_log(tmp_path, size):
    entries = [start(), *(deny(t) for t in range(1, size - 1)), *([stop(size)] if size > 1 else [])]
    stored, note = written(tmp_path / "audit", entries)

    assert size_of(note.decode()) == len(stored) == size
    for index in {0, 1, size // 2, size - 2, size - 1, 255, 256, 511} & set(range(size)):
        proof = prove_from_tiles(tmp_path / "audit" / "tile", note.decode(), index)
        assert proof == prove_entry(stored, note, KEY.verifier, index)


def test_a_checkpoint_that_the_log_has_outgrown_still_proves(tmp_path):
    log = AuditLog.create_or_open(tmp_path / "audit", KEY)
    notes = []
    for t in range(300):
        log.append(start() if t == 0 else deny(t), durable=True)
        notes.append(log.checkpoint)
    log.close()
    for size in (255, 256, 257, 299):
        proof = prove_from_tiles(tmp_path / "audit" / "tile", notes[size - 1], size - 1)
        assert (verify_proof(proof, KEY.verifier).index, size_of(notes[size - 1])) == (
            size - 1,
            size,
        )


def test_tiles_that_are_not_the_checkpoints_own_prove_nothing(tmp_path):
    _, note = written(tmp_path / "audit", DAY)
    tiles = tmp_path / "audit" / "tile"
    hashes = tiles / "0" / "000.p" / str(len(DAY))
    good = hashes.read_bytes()
    for damaged in (bytes([good[0] ^ 1]) + good[1:], good[:-32], b""):
        hashes.write_bytes(damaged)
        with pytest.raises(AuditError, match="the log"):
            prove_from_tiles(tiles, note.decode(), 1)
    hashes.write_bytes(good)

    for index in (-1, len(DAY)):
        with pytest.raises(AuditError, match=f"expected an entry from 0 to {len(DAY) - 1}"):
            prove_from_tiles(tiles, note.decode(), index)
    with pytest.raises(AuditError, match="no checkpoint"):
        prove_from_tiles(tiles, "nonsense", 0)
    with pytest.raises(AuditError, match="missing"):
        prove_from_tiles(tmp_path / "tile", note.decode(), 0)
    assert prove_from_tiles(tiles, note.decode(), 1)


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    return written(tmp_path_factory.mktemp("day") / "audit", DAY)


@pytest.mark.parametrize(
    ("since", "until", "permits"),
    [
        (2, 28, 0),
        (2, 58, 0),
        (121, 190, 0),
        (150, 380, 1),
        (122, 598, 1),
        (402, 590, 0),
        (260, 600, 1),
        (261, 600, 0),
    ],
)
def test_a_span_without_a_released_frame_is_proven(day, since, until, permits):
    proof = prove_span(*day, KEY.verifier, at(since), at(until))

    found = verify_proof(proof, KEY.verifier)

    assert (found.span.from_ns, found.span.to_ns) == (at(since), at(until))
    assert (found.span.permits, found.size) == (permits, len(DAY))


@pytest.mark.parametrize(
    ("since", "until", "says"),
    [
        (2, 61, "a permit of"),
        (2, 60, "held into the span"),
        (2, 58.8, "has no end"),  # the permit at 60 s covers frames from 59.7 s on
        (70, 80, "held into the span"),
        (119, 150, "held into the span"),
        (50, 130, "held into the span"),
        (120, 190, "held into the span"),  # the end lies within a second of the span
        (0, 28, "before the span"),
        (-60, 28, "before the span"),
        (300, 601, "says nothing after"),
        (300, 900, "says nothing after"),
    ],
)
def test_a_span_that_the_log_does_not_clear_is_not_proven(day, since, until, says):
    with pytest.raises(NotProven, match=says):
        prove_span(*day, KEY.verifier, at(since), at(until))


def test_a_permit_whose_end_was_not_counted_proves_nothing(tmp_path):
    uncounted = end(20).__class__(stamp(20), 1, (), (), None, None)
    for place, tail in enumerate(
        ([uncounted], [UncleanStop(stamp(20))], [deny(20)], [end(20, 7, released=0)])
    ):
        day = written(tmp_path / str(place), [start(0), permit(10), *tail, deny(60)])
        with pytest.raises(NotProven):
            prove_span(*day, KEY.verifier, at(5), at(50))

    counted = written(tmp_path / "twin", [start(0), permit(10), end(20, 1, released=0), deny(60)])
    assert verify_proof(prove_span(*counted, KEY.verifier, at(5), at(50)), KEY.verifier)


def test_a_stop_that_counts_other_frames_than_the_permits_proves_nothing(tmp_path):
    ended = [start(0), permit(10), end(20, 1, released=0)]
    for released in (1, None):
        day = written(tmp_path / str(released), [*ended, stop(30, released), deny(60)])
        with pytest.raises(NotProven, match="counts other frames"):
            prove_span(*day, KEY.verifier, at(5), at(50))

    honest = written(tmp_path / "twin", [*ended, stop(30, 0), deny(60)])
    assert verify_proof(prove_span(*honest, KEY.verifier, at(5), at(50)), KEY.verifier)


def test_a_run_that_a_crash_ended_with_nothing_permitted_is_proven(tmp_path):
    day = written(tmp_path / "audit", [start(0), deny(10), UncleanStop(stamp(20)), deny(60)])

    assert verify_proof(prove_span(*day, KEY.verifier, at(5), at(50)), KEY.verifier)


def bend(proof, **changes):
    return json.dumps(json.loads(proof) | changes)


def test_no_part_of_a_span_proof_can_be_bent(day):
    good = prove_span(*day, KEY.verifier, at(122), at(190))
    proof = json.loads(good)
    entries, path = proof["entries"], proof["path"]
    changed = [dict(entries[0], camera="0" * 32), *entries[1:]]
    stranger = Signer.generate(KEY.name)
    bent = {
        "wider": bend(good, to="2026-01-01T12:10:00.000Z"),
        "earlier": bend(good, **{"from": "2026-01-01T12:01:10.000Z"}),
        "turned": bend(good, **{"from": proof["to"], "to": proof["from"]}),
        "moved": bend(good, first=proof["first"] + 1),
        "negative": bend(good, first=-1),
        "shorter": bend(good, entries=entries[1:]),
        "left out": bend(good, entries=entries[:1] + entries[2:]),
        "changed": bend(good, entries=changed),
        "swapped": bend(good, entries=entries[::-1]),
        "none": bend(good, entries=[]),
        "path short": bend(good, path=path[1:]),
        "path long": bend(good, path=[*path, path[0]]),
        "path odd": bend(good, path=[*path[:-1], "AAAA"]),
        "path text": bend(good, path=7),
        "unsigned": bend(good, checkpoint=proof["checkpoint"].split("\n\n")[0] + "\n"),
        "bigger": bend(good, checkpoint=proof["checkpoint"].replace("\n11\n", "\n12\n")),
        "extra": bend(good, note="x"),
        "format": bend(good, format="framegate/no-release/v2"),
        "empty": "",
        "list": "[]",
        "deep": "[" * 100_000,
    }

    assert verify_proof(good, KEY.verifier)
    for name, text in bent.items():
        with pytest.raises(AuditError):
            verify_proof(text, KEY.verifier)
            pytest.fail(f"bent and still proven: {name}")
    with pytest.raises(AuditError, match="expected a signature by"):
        verify_proof(good, stranger.verifier)


@pytest.mark.parametrize("index", range(len(DAY)))
def test_every_entry_can_be_proven_alone(day, index):
    found = verify_proof(prove_entry(*day, KEY.verifier, index), KEY.verifier)

    assert found.index == index
    assert found.fields == DAY[index].fields()


def test_no_part_of_an_entry_proof_can_be_bent(day):
    good = prove_entry(*day, KEY.verifier, 4)
    lines = good.split("\n")
    other = base64.b64encode(day[0][5]).decode()
    bent = [
        good.replace("index 4", "index 5"),
        good.replace("index 4", "index 99"),
        good.replace("index 4", "index ²"),
        "\n".join([lines[0], f"extra {other}", *lines[2:]]),
        "\n".join([lines[0], "extra AAAA", *lines[2:]]),
        "\n".join([lines[0], *lines[2:]]),
        "\n".join([*lines[:3], *lines[4:]]),
        "\n".join([*lines[:3], lines[3], *lines[3:]]),
        good.split("\n\n")[0],
        lines[0] + "\n",
    ]

    for text in bent:
        with pytest.raises(AuditError):
            verify_proof(text, KEY.verifier)
            pytest.fail(f"bent and still proven: {text}")
    with pytest.raises(AuditError):
        prove_entry(*day, KEY.verifier, len(DAY))


def test_paths_agree_with_an_independent_implementation():
    other, data, leaves = pymerkle.InmemoryTree(algorithm="sha256"), [], []
    rng = random.Random(7)
    for size in range(1, 70):
        data.append(b"entry %d" % size)
        leaves.append(leaf_hash(data[-1]))
        other.append_entry(data[-1])
        root = root_of(leaves)
        assert root == reference_root(other, size)
        for index in {0, size - 1, rng.randrange(size)}:
            theirs = other.prove_inclusion(index + 1, size)
            pymerkle.verify_inclusion(leaves[index], root, theirs)
            ours = inclusion_path(leaves, index)
            assert sorted([leaves[index], *ours]) == sorted(theirs.path)
            assert root_from_inclusion(leaves[index], index, size, ours) == root


def test_a_run_leads_to_the_root_from_its_own_place_alone():
    for size in range(1, 18):
        leaves = [leaf_hash(b"%d" % i) for i in range(size)]
        root = root_of(leaves)
        for first in range(size):
            for stop_at in range(first + 1, size + 1):
                run, path = leaves[first:stop_at], run_path(leaves, first, stop_at)
                assert root_from_run(run, first, size, path) == root
                if first and (first + len(run)) <= size:
                    with contextlib.suppress(AuditError):  # the path may not even fit there
                        assert root_from_run(run, first - 1, size, path) != root


def test_the_command_proves_checks_and_refuses(tmp_path, capsys):
    where = tmp_path / "audit"
    written(where, DAY)
    pub, proof = tmp_path / "log.pub", tmp_path / "proof.json"
    pub.write_text(KEY.verifier.text)
    key = ["--key", str(pub)]
    span = ["--from", "2026-01-01T12:02:02Z", "--to", "2026-01-01T12:03:10.500Z"]

    assert main(["audit", "prove", str(where), *key, *span, "--out", str(proof)]) == 0
    assert main(["audit", "verify-proof", str(proof), *key]) == 0
    assert "no frame was released from 2026-01-01T12:02:02.000Z" in capsys.readouterr().out
    held = ["--from", "2026-01-01T12:01:10Z", "--to", "2026-01-01T12:01:20Z"]
    assert main(["audit", "prove", str(where), *key, *held]) == 1
    assert "held into the span" in capsys.readouterr().err
    proof.write_text(bend(proof.read_text(), first=0))
    assert main(["audit", "verify-proof", str(proof), *key]) == 1
    assert main(["audit", "verify-proof", str(proof), *key, "--json"]) == 1
    capsys.readouterr()
    assert main(["audit", "prove", str(where), *key, "--entry", "3"]) == 0
    proof.write_text(capsys.readouterr().out)
    assert main(["audit", "verify-proof", str(proof), *key, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["entry"]["released"] == 900


@pytest.mark.parametrize(
    "arguments",
    [
        ["prove", "LOG"],
        ["prove", "LOG", "--from", "noon", "--to", "2026-01-01T12:00:00Z"],
        ["prove", "LOG", "--from", "2026-01-01T12:00:00Z"],
        ["prove", "LOG", "--from", "2026-01-01T12:00:01Z", "--to", "2026-01-01T12:00:00Z"],
        ["prove", "LOG", "--entry", "1", "--from", "2026-01-01T12:00:00Z"],
        ["show", "LOG", "--kind", "nonsense"],
        ["verify", "LOG", "--floor", "-1"],
        ["verify", "LOG", "--checkpoint", "missing"],
        ["verify", "LOG", "--checkpoint", "KEY"],
        ["verify", "BROKEN"],
        ["verify-proof", "missing", "--key", "KEY"],
        ["verify-proof", "KEY"],
        ["export", "LOG", "LOG"],
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(tmp_path, capsys, arguments):
    where, pub = tmp_path / "audit", tmp_path / "log.pub"
    written(where, DAY[:2])
    pub.write_text(KEY.verifier.text)
    broken = tmp_path / "broken"
    written(broken, DAY[:2])
    (broken / "segments/000000.log").unlink()
    (broken / "segments/000000.log").mkdir()  # a file that cannot be read as one
    capsys.readouterr()
    known = {"LOG": str(where), "KEY": str(pub), "BROKEN": str(broken)}
    real = [known.get(a, a) for a in arguments]

    assert main(["audit", *real]) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("note: ")]
    assert len(lines) == 1


def test_show_prints_the_entries_asked_for(tmp_path, capsys):
    where = tmp_path / "audit"
    written(where, DAY)

    assert main(["audit", "show", str(where), "--kind", "permit"]) == 0
    assert capsys.readouterr().out.count("\n") == 2
    since = ["--from", "2026-01-01T12:05:00Z", "--to", "2026-01-01T12:06:40Z"]
    assert main(["audit", "show", str(where), "--json", *since]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["kind"] for line in lines] == ["deny", "stop"]


def test_an_exported_log_verifies_and_holds_no_secret(tmp_path, capsys):
    where, out = tmp_path / "audit", tmp_path / "handed-on" / "log"
    written(where, DAY)
    secret = next((where / "private").glob("*.key")).read_bytes()

    assert main(["audit", "export", str(where), str(out)]) == 0
    assert main(["audit", "verify", str(out), "--key", str(where / "log.pub")]) == 0
    copied = [p for p in out.rglob("*") if p.is_file()]
    assert not any(secret in p.read_bytes() or p.name.endswith(".key") for p in copied)
    assert not (out / "private").exists()
    journal = where / "segments/000000.log"
    journal.write_bytes(journal.read_bytes().replace(b'"permit"', b'"deny"'))
    assert main(["audit", "export", str(where), str(tmp_path / "bad")]) == 1
    assert not (tmp_path / "bad").exists()
    assert capsys.readouterr().err
