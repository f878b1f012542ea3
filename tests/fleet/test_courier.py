"""The courier: cosignatures come back, a second history is an alarm on the device's side too."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.audit.cosignature import Witness, cosign, witness_of
from edge.audit.log import AuditLog
from edge.audit.note import Signer, sign_note
from edge.cli import main
from edge.decision.fork_alarm import ForkAlarm
from edge.errors import AuditError
from edge.fleet.courier import CLAIMED, COSIGNED, FORKED, Courier, Outcome, Round
from edge.fleet.trust_policy import TrustPolicy, parse_policy
from edge.fleet.witness import answer, shown
from edge.fleet.witness_store import SqliteStore
from edge.reasons import Reason
from tests.support.audit_helpers import start
from tests.support.parts import long

KEY = Signer.generate("framegate-0001/log")
WITNESSES = [Signer.generate(f"witness.example/w{n}") for n in range(3)]
NOW_S = 1_790_000_000


def policy_text(quorum: str = "group two 2 w0 w1 w2\nquorum two\n") -> str:
    lines = [f"log {KEY.verifier.text}\n"]
    lines += [
        f"witness w{n} {witness_of(eye).text} http://w{n}.example/\n"
        for n, eye in enumerate(WITNESSES)
    ]
    return "".join(lines) + quorum


POLICY = parse_policy(policy_text().encode())


class World:
    """A device's log and three witnesses that answer in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "audit"
        self.stores = {}
        for n in range(3):
            SqliteStore.create(folder / f"w{n}.db")
            self.stores[n] = SqliteStore(folder / f"w{n}.db", [KEY.verifier])
        self.sent: list[bytes] = []
        self.size = 0
        self.shows: dict[int, bytes] = {}
        self.lies: dict[int, Callable[[bytes], tuple[int, bytes]]] = {}

    def grow(self, count: int, *, where: str = "audit", shift: float = 0.0) -> int:
        log = AuditLog.create_or_open(self.folder / where, KEY)
        for _ in range(count):
            log.append(start(float(log.size) + shift), durable=False)
        self.size = log.size
        log.close()
        return self.size

    def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        n = int(url.removeprefix("http://w").removesuffix(".example/add-checkpoint"))
        self.sent.append(body)
        if n in self.lies:
            return self.lies[n](body)
        found = answer(body, self.stores[n], WITNESSES[n], NOW_S)
        return int(found.status), found.body

    def ask(self, url: str) -> bytes:
        place, _, digest = url.partition("/head/")
        n = int(place.removeprefix("http://w").removesuffix(".example"))
        if n in self.shows:
            return self.shows[n]
        found = shown(digest, self.stores[n])
        if found.status != 200:
            raise ConnectionRefusedError(found.body)
        return found.body

    def courier(self, policy: TrustPolicy = POLICY) -> Courier:
        return Courier(self.log, self.log, KEY.verifier, policy, self.post, self.ask)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.grow(300)
    return made


def outcomes(found: Round) -> list[Outcome]:
    return [visit.outcome for visit in found.visits]


def gone(body: bytes) -> tuple[int, bytes]:
    raise ConnectionRefusedError("nobody there")


@pytest.mark.slow
def test_a_growing_log_is_cosigned_by_all_each_round_and_kept_beside_the_checkpoint(
    world: World,
) -> None:
    courier = world.courier()
    for more in (0, 0, 260, 1):
        size = world.grow(more) if more else world.size
        found = courier.round(NOW_S)
        assert (found.size, found.enough, found.forked) == (size, True, False)
        assert outcomes(found) == [Outcome.COSIGNED] * 3
        assert len(POLICY.found((world.log / COSIGNED).read_bytes())) == 3
    assert not (world.log / FORKED).exists()


@pytest.mark.slow
def test_a_courier_that_forgot_finds_the_size_by_asking(world: World) -> None:
    world.courier().round(NOW_S)
    (world.log / COSIGNED).unlink()
    world.grow(10)
    world.sent.clear()

    found = world.courier().round(NOW_S)

    assert outcomes(found) == [Outcome.COSIGNED] * 3
    assert [body.split(b"\n")[0] for body in world.sent[:2]] == [b"old 0", b"old 300"]


@pytest.mark.slow
def test_a_quorum_stands_without_one_witness_and_not_without_two(world: World) -> None:
    world.lies[2] = gone
    found = world.courier().round(NOW_S)
    assert (found.enough, outcomes(found)[2]) == (True, Outcome.UNREACHED)

    world.lies[1] = gone
    world.grow(1)
    assert not world.courier().round(NOW_S).enough
    del world.lies[1]
    assert world.courier().round(NOW_S).enough  # what the first one signed is kept meanwhile


@pytest.mark.slow
def test_what_a_lying_witness_sends_back_is_no_cosignature(world: World) -> None:
    stranger = Signer.generate("witness.example/w0")
    text = (world.log / "checkpoint").read_bytes().rpartition(b"\n\n")[0] + b"\n"
    other = text.replace(b"\n300\n", b"\n299\n")
    for lie in [
        lambda body: (200, b""),
        lambda body: (200, b"\xff\xfe"),
        lambda body: (200, cosign(text, stranger, NOW_S)),
        lambda body: (200, cosign(other, WITNESSES[0], NOW_S)),
        lambda body: (200, cosign(text, WITNESSES[1], NOW_S)),
        lambda body: (409, b"many\n"),
        lambda body: (409, b"5\n"),
        lambda body: (302, b""),
        lambda body: (404, b"no such log\nand more"),
    ]:
        world.lies[0] = lie
        found = world.courier().round(NOW_S)
        assert outcomes(found) == [Outcome.REFUSED, Outcome.COSIGNED, Outcome.COSIGNED], found
        assert {line.witness for line in POLICY.found((world.log / COSIGNED).read_bytes())} == {
            witness_of(WITNESSES[1]),
            witness_of(WITNESSES[2]),
        }


def _fork(world: World) -> None:
    """The device's log is replaced by one that tells another story, with the same key."""
    shutil.rmtree(world.log)
    world.grow(320, shift=0.25)


def _roll_back(world: World) -> None:
    shutil.rmtree(world.log)
    world.grow(120)


def _other_story_of_the_same_length(world: World) -> None:
    shutil.rmtree(world.log)
    world.grow(300, shift=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("change", [_fork, _roll_back, _other_story_of_the_same_length])
@pytest.mark.parametrize("forgetful", [True, False])
def test_a_changed_or_shortened_log_is_an_alarm_with_its_evidence(
    world: World, change: Callable[[World], None], forgetful: bool
) -> None:
    courier = world.courier()
    assert courier.round(NOW_S).enough
    first = (world.log / COSIGNED).read_bytes()
    change(world)
    (world.log / COSIGNED).write_bytes(first)

    found = (world.courier() if forgetful else courier).round(NOW_S + 60)

    assert found.forked
    assert not found.enough
    assert (world.log / COSIGNED).read_bytes() == first
    kept = json.loads((world.log / FORKED).read_text())
    assert kept["reason"] == "LOG_FORKED"
    assert kept["cosigned_before"] == first.decode()
    assert kept["checkpoint"] != first.decode()
    assert kept["other"] == first.decode()


@pytest.mark.slow
@pytest.mark.parametrize("change", [_fork, _roll_back, _other_story_of_the_same_length])
def test_a_courier_that_forgot_gets_the_proof_from_the_witness(
    world: World, change: Callable[[World], None]
) -> None:
    world.courier().round(NOW_S)
    seen = world.stores[0].head(KEY.name).note.decode()
    change(world)  # what was cosigned is gone, too

    found = world.courier().round(NOW_S + 60)

    assert found.forked
    assert outcomes(found) == [Outcome.FORKED] * 3
    kept = json.loads((world.log / FORKED).read_text())
    assert kept["other"] == seen
    assert base64.b64decode(kept["request"]).startswith(b"old ") or kept["status"] == 409
    assert not (world.log / CLAIMED).exists()


def _of_another_key(world: World) -> bytes:
    text = (world.log / "checkpoint").read_bytes().rpartition(b"\n\n")[0] + b"\n"
    stranger = Signer.generate(KEY.name)
    return sign_note(text.replace(b"\n300\n", b"\n900\n"), [stranger])


@pytest.mark.slow
@pytest.mark.parametrize(
    "lie",
    [
        lambda body: (409, b"300\n"),
        lambda body: (422, b""),
        *long(lambda body: (409, b"999\n")),
    ],
)
@pytest.mark.parametrize(
    "show",
    [
        *long(lambda world: b"", lambda world: b"\xff"),
        _of_another_key,
        lambda world: (world.log / "checkpoint").read_bytes(),
    ],
)
def test_a_fork_that_a_witness_claims_and_does_not_prove_is_a_warning_and_no_alarm(
    world: World,
    lie: Callable[[bytes], tuple[int, bytes]],
    show: Callable[[World], bytes],
) -> None:
    world.lies[0], world.shows[0] = lie, show(world)
    courier = world.courier()

    found = courier.round(NOW_S)

    assert outcomes(found) == [Outcome.CLAIMED, Outcome.COSIGNED, Outcome.COSIGNED]
    assert (found.forked, found.enough) == (False, True)
    assert not (world.log / FORKED).exists()
    assert ForkAlarm(world.log / FORKED).reasons(0) == ()  # where a record names the alarm
    assert "no head that the log signed" in json.loads((world.log / CLAIMED).read_text())["what"]

    kept = (world.log / COSIGNED).read_bytes()
    _fork(world)
    (world.log / COSIGNED).write_bytes(kept)
    assert courier.round(NOW_S).forked
    assert ForkAlarm(world.log / FORKED).reasons(0) == (Reason.LOG_FORKED,)


@pytest.mark.slow
def test_a_witness_that_cosigns_a_fork_makes_no_quorum_alone(world: World) -> None:
    world.courier().round(NOW_S)
    _fork(world)
    text = (world.log / "checkpoint").read_bytes().rpartition(b"\n\n")[0] + b"\n"
    world.lies[0] = lambda body: (200, cosign(text, WITNESSES[0], NOW_S))

    found = world.courier().round(NOW_S)

    assert outcomes(found) == [Outcome.COSIGNED, Outcome.FORKED, Outcome.FORKED]
    assert (found.enough, found.forked) == (False, True)


@pytest.mark.slow
def test_a_fork_that_what_is_kept_proves_needs_no_witness(world: World) -> None:
    world.courier().round(NOW_S)
    kept = (world.log / COSIGNED).read_bytes()
    _fork(world)
    (world.log / COSIGNED).write_bytes(kept)
    world.lies = {0: gone, 1: gone, 2: gone}

    assert world.courier().round(NOW_S).forked
    assert json.loads((world.log / FORKED).read_text())["other"] == kept.decode()


def test_a_log_whose_checkpoint_is_not_the_devices_is_not_sent(world: World) -> None:
    note = (world.log / "checkpoint").read_text()
    (world.log / "checkpoint").write_text(note.replace("\n300\n", "\n301\n"))

    with pytest.raises(AuditError):
        world.courier().round(NOW_S)
    assert world.sent == []


@pytest.fixture
def witnessed(world: World) -> list[str]:
    """The arguments of `audit verify` for a log that was cosigned, and grew since."""
    world.courier().round(NOW_S)
    world.grow(5)
    (world.folder / "log.pub").write_text(KEY.verifier.text + "\n")
    (world.folder / "policy").write_text(policy_text())
    where = [str(world.log), "--key", str(world.folder / "log.pub")]
    return ["audit", "verify", *where, "--witnesses", str(world.folder / "policy")]


@pytest.mark.slow
def test_verify_asks_for_the_quorum_and_that_the_log_continues_what_was_cosigned(
    world: World, witnessed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(witnessed) == 0
    assert capsys.readouterr().err.count("cosigned by witness.example/w") == 3

    kept = world.log / COSIGNED
    note = kept.read_bytes()
    lines = note.splitlines(keepends=True)
    kept.write_bytes(b"".join(lines[:-2]))  # one of three is left
    assert main(witnessed) == 1
    assert (
        "too few witnesses cosigned size 300: expected 2 of w0, w1, w2" in capsys.readouterr().err
    )
    kept.write_bytes(b"".join(lines[:-1]) + lines[-1].replace(b"w2 ", b"w2 A", 1))
    assert main(witnessed) == 1
    kept.write_bytes(note)
    (world.folder / "policy").write_text(policy_text("quorum w2\n"))
    assert main(witnessed) == 0
    (world.folder / "policy").write_text(policy_text("quorum w7\n"))
    assert main(witnessed) == 2
    (world.folder / "policy").write_text(policy_text().replace(KEY.verifier.text, "x"))
    assert main(witnessed) == 2
    (world.folder / "policy").write_text(policy_text())
    kept.unlink()
    assert main(witnessed) == 1
    assert "no courier has brought a cosignature back" in capsys.readouterr().err


@pytest.mark.slow
def test_verify_refuses_a_log_that_does_not_continue_what_was_cosigned(
    world: World, witnessed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    note = (world.log / COSIGNED).read_bytes()
    _fork(world)
    (world.log / COSIGNED).write_bytes(note)

    assert main(witnessed) == 1
    assert "does not verify" in capsys.readouterr().err


def test_a_witness_key_is_not_a_log_key() -> None:
    assert Witness.parse(witness_of(WITNESSES[0]).text) == witness_of(WITNESSES[0])
    assert witness_of(WITNESSES[0]).key_id != WITNESSES[0].verifier.key_id
