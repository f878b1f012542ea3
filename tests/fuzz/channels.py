"""The channels: who can write each, what a sound input is, and the reader that must survive."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from bench.fleet.seeded import Tree, state_of
from edge.audit.attestation.attest import QuoteError, parse_attest
from edge.audit.attestation.quote import Quote, nonce_of, verify_quote
from edge.audit.note import Signer, sign_note
from edge.audit.paths import root_of
from edge.audit.proofs.fork import contradiction
from edge.audit.segment import checkpoint_text
from edge.cameras.layout import Layout
from edge.clock import MS, S
from edge.commissioning.records import parse_device, parse_session
from edge.consent.consent import Consent
from edge.consent.inbox import LOOK_NS, ConsentInbox
from edge.consent.tokens import read_authorisation, read_receipt
from edge.errors import GuardError, PolicyError, RecordError
from edge.evidence import telemetry
from edge.fleet.delivery.release import Audience, Release, Ticket, log_entry, logged
from edge.fleet.delivery.release import Kind as ReleaseKind
from edge.fleet.state.fleet import Fleet, devices_of
from edge.fleet.state.message import link_topic, state_topic, written
from edge.frames import lifecycle, messages
from edge.frames.matcher_endpoint import VERSIONS, MatcherEndpoint
from edge.frames.output_format import OutputFormat
from edge.frames.pool import Pool
from edge.frames.ring import Ring
from edge.frames.shaper import Shaper
from edge.guard import launch
from edge.guard.matcher_output import Lines
from edge.lease import Lane
from edge.policy.signed import bundle, trust
from edge.status.web import Site
from edge.wire import Tag
from firmware_bridge.bridge import Bridge
from firmware_bridge.framing import frame
from firmware_bridge.packets import Keys, Kind, Packet, seal
from firmware_bridge.session import Session
from firmware_bridge.strangers import speaks
from tests.fleet.histories import forked, honest
from tests.fuzz.mutate import bytes_of, json_of, toml_of
from tests.support import tpm
from tests.support.boards import KEYS
from tests.support.guards import DEVICE, SESSION

Feed = Callable[[random.Random], object]
_DIGEST = "ab" * 32
_FURTHER = """\
zone = [0.1, 0.1, 0.5, 0.5]
[identity]
driver = "uvcvideo"
virtual_sha256 = []
[view]
fingerprint = "a.view"
[board]
virtual = true
[clock]
unproven = false
not_yet = "2031-01-01T00:00:00Z"
[matcher]
without = ["landlock"]
counted = true
[matcher.models]
"face.onnx" = "abababababababababababababababababababababababababababababababab"
[matcher.picture]
crop = [0.1, 0.1, 0.5, 0.5]
shrink = 2
[mask]
polygons = [[[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]]
[consent]
receipts = true
[capture]
max_lag_ms = 400
"""
_PLACE = Path("record.toml")
_ENROLMENT = Signer.generate("enrolment")
_RECEIPT = {
    "token": "receipt",
    "number": "r-1",
    "person": _DIGEST,
    "lane": "verify_1_1",
    "site": "till-2",
    "from_s": 1_790_000_000,
    "to_s": 1_790_100_000,
}
_AUTHORISATION = {
    "token": "authorisation",
    "kind": "court_order",
    "lifts": "ST-WA",
    "person": _DIGEST,
    "purpose": "case 7",
    "area": "till-2",
    "from_s": 1_790_000_000,
    "to_s": 1_790_100_000,
}
_HELLO = {"v": VERSIONS[0], "token": "secret", "lane": "verify_1_1"}
_RESULT = {"result": {"score": 0.5, "subject": _DIGEST}}
_REPORTS = [{"compared": _DIGEST}, {"gallery": [_DIGEST, "cd" * 32]}, _RESULT]
_CSV = b"t_s,dock,dock_id,tamper,gyro_x_rad_s\n0.0,1,D-0017,0,0.001\n0.02,1,D-0017,0,-0.001\n"


@dataclass(frozen=True)
class Channel:
    """One channel, ready to be fed."""

    name: str
    writer: str  # who can write it, though not trusted
    sound: Callable[[], bool]  # whether a sound input does what it is for
    feed: Feed  # draw a damaged input and read it; what escapes here ends a process


def channels(folder: Path) -> list[Channel]:
    """All of them; files are made in `folder`."""
    made = (
        _hello(folder),
        _reports(folder),
        _printed(),
        _inbox(folder / "inbox"),
        _token(),
        _line(),
        _stranger(),
        _between("capture's messages", messages.decode, _FRAMES),
        _between("capture's words", lifecycle.decode, _WORDS),
        _greeting(),
        _telemetry(folder),
        _record("device record", parse_device, DEVICE + _FURTHER),
        _record("session record", parse_session, SESSION),
        _bundle(),
        _page(),
        _fleet_state(),
        _witness_head(),
        _release(),
        _quote(),
    )
    return list(made)


class _Matcher:
    """A matcher at an endpoint in this process."""

    def __init__(self, path: Path) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        listener.listen(1)
        ring = Ring.create(48)
        ring.seal()
        shaper = Shaper(OutputFormat(), Layout.BGR, 4, 4)
        self._endpoint = MatcherEndpoint(
            listener, ring, token="secret", lane=Lane.VERIFY, uid=os.getuid(), shaper=shaper
        )

    def greet(self, hello: bytes) -> socket.socket:
        """Say hello as the next one, with the token renewed; the answer can be read."""
        self._endpoint.show_out()
        self._endpoint.renew("secret")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._endpoint.greet(theirs, hello)
        return ours

    def ask(self, hello: bytes) -> bool:
        """Whether this hello is let in."""
        with self.greet(hello) as ours:
            let_in = json.loads(ours.recv(512))["ok"]
        self._endpoint.serve(0)
        return let_in is True

    def report(self, *reports: bytes) -> tuple[int, int]:
        """(reports, results) that the endpoint takes of these, said one after another."""
        endpoint = self._endpoint
        endpoint.reports.clear()
        endpoint.results.clear()
        with self.greet(json.dumps(_HELLO).encode()) as ours, contextlib.suppress(OSError):
            for data in reports:
                ours.send(data)  # fails once the endpoint has hung up
                endpoint.serve(S)
        return len(endpoint.reports), len(endpoint.results)


def _hello(folder: Path) -> Channel:
    matcher = _Matcher(folder / "hello")
    return Channel(
        "matcher's hello",
        "whoever reaches the socket",
        lambda: matcher.ask(json.dumps(_HELLO).encode()),
        lambda draw: matcher.ask(json_of(draw, [_HELLO])),
    )


def _reports(folder: Path) -> Channel:
    matcher = _Matcher(folder / "reports")
    sound = [json.dumps(report).encode() for report in _REPORTS]
    return Channel(
        "matcher's reports",
        "the matcher",
        lambda: matcher.report(*sound[:2]) == (2, 0),
        lambda draw: matcher.report(sound[0], json_of(draw, _REPORTS), json_of(draw, _REPORTS)),
    )


def _printed() -> Channel:
    seeds = [b"one line\nand another\n", b"\x1b[2J\x1b]0;x\x07\n", b"\xc3\x28\n" * 9]
    lines = Lines("matcher: ")

    def take(draw: random.Random) -> None:
        written = lines.take(bytes_of(draw, seeds), draw.randrange(10**12)).decode()
        assert all(
            sign.isprintable() or sign in "\n\t\ufffd" or ord(sign) > 159 for sign in written
        )

    return Channel(
        "matcher's output",
        "the matcher",
        lambda: Lines("m: ").take(b"a line\n", S) == b"m: a line\n",
        take,
    )


def _inbox(folder: Path) -> Channel:
    folder.mkdir()
    seeds = [_signed(_RECEIPT), _signed(_AUTHORISATION), _DIGEST.encode(), b"r-1\n"]
    verifier = _ENROLMENT.verifier

    def opened() -> ConsentInbox:
        consent = Consent(Lane.VERIFY, "till-2")
        return ConsentInbox(folder, consent, receipt_keys=[verifier], authorities=[verifier])

    def sound() -> bool:
        (folder / "a.token").write_bytes(seeds[0])
        (handed,) = opened().look(S)
        return handed.handing.value == "receipt"

    def feed(draw: random.Random) -> None:
        for path in folder.iterdir():
            path.unlink()
        inbox = opened()
        for turn in range(2):
            stem = bytes_of(draw, [b"name"]).replace(b"/", b"").replace(b"\0", b"")[:200]
            ending = draw.choice((b".token", b".withdrawn", b".optout"))
            name = draw.choice((stem + ending, b"claim"))
            (folder / os.fsdecode(name)).write_bytes(bytes_of(draw, seeds))
            for handed in inbox.look(S + turn * LOOK_NS):
                assert handed.message.isprintable()

    return Channel("consent inbox", "the customer's program", sound, feed)


def _signed(fields: dict[str, Any]) -> bytes:
    return sign_note(json.dumps(fields).encode() + b"\n", [_ENROLMENT])


def _token() -> Channel:
    keys = [_ENROLMENT.verifier]

    def feed(draw: random.Random) -> None:
        note = sign_note(json_of(draw, [_RECEIPT, _AUTHORISATION]) + b"\n", [_ENROLMENT])
        for read in (read_receipt, read_authorisation):
            try:
                read(note, keys)
            except RecordError:
                continue

    return Channel(
        "signed token",
        "whoever may sign, by mistake",
        lambda: read_receipt(_signed(_RECEIPT), keys).number == "r-1",
        feed,
    )


def _line() -> Channel:
    """Whole packets, sealed with the right key and with none, and noise between them."""
    kinds = [kind.value for kind in Kind]
    strange = Keys.derive(b"\1" * 32)
    bridge = Bridge(Session(KEYS))
    bridge.port(there=True)

    def packet(draw: random.Random, keys: Keys) -> bytes:
        payload = draw.randbytes(draw.choice((0, 2, 8, 10, 16, 19, 40)))
        return seal(
            Packet(draw.choice(kinds), draw.randrange(2), draw.randrange(9), payload),
            keys.from_board,
            from_board=True,
        )

    def feed(draw: random.Random) -> None:
        whole = frame(packet(draw, draw.choice((KEYS, strange))))
        data = draw.choice((whole, bytes_of(draw, [whole, b"\0"])))
        now_ns = 1000 * MS + draw.randrange(10**9)
        bridge.hear_board(data, now_ns)
        bridge.to_board(0, now_ns)
        bridge.to_decider(now_ns)

    def sound() -> bool:
        from tests.firmware_bridge.test_bridge import Wire

        return Wire().run(400).bridge.to_decider(2 * S) is not None

    return Channel("serial line", "whoever holds the wire", sound, feed)


def _stranger() -> Channel:
    seeds = [b"$GPGGA,123519,4807.038,N\r\n", b"AT+GCAP\r\n", b"\0" * 40]
    return Channel(
        "stranger on the port",
        "any serial device",
        lambda: speaks(seeds[0]).startswith("NMEA"),
        lambda draw: speaks(bytes_of(draw, seeds)[-512:]),
    )


_DECODER = "the decoder, once hostile video has it"
_FRAMES = [
    messages.encode(messages.Captured(1, 2, 3, 480, 640)),
    messages.encode(messages.SourceEnd(messages.End.EOF, 7)),
]
_PICTURE = {"height": 480, "width": 640, "rate_hz": 30.0, "layout": "BGR"}
_IDENTITY = {"kind": "v4l2", "driver": "uvcvideo", "card": "Cam", "bus": "usb-1", "sha256": ""}
_GREETING = {"identity": _IDENTITY, "picture": _PICTURE, "dating": "source"}
_WORDS = [
    bytes([Tag.HELLO]) + json.dumps(_GREETING).encode(),
    lifecycle.encode(lifecycle.Failed("no camera")),
    lifecycle.encode(lifecycle.SourceNote(3, "damaged")),
    lifecycle.encode(lifecycle.Ready("well")),
]


def _between(name: str, decode: Callable[[bytes], object], seeds: Sequence[bytes]) -> Channel:
    def feed(draw: random.Random) -> None:
        data = bytes_of(draw, list(seeds))
        if data:  # an empty message is the end of the channel
            with contextlib.suppress(GuardError):
                decode(data)

    return Channel(name, _DECODER, lambda: bool(decode(seeds[0])), feed)


def _greeting() -> Channel:
    """The camera's greeting as the guard takes it in: what it allocates follows from it."""

    def heard(data: bytes) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            theirs.send(data)
            picture = launch.hello_of(ours).picture
        fd = Pool.memory()
        try:
            size = picture.layout.bytes(picture.height, picture.width)
            return Pool.create(size, picture.layout, fd).size.slots
        finally:
            os.close(fd)

    def feed(draw: random.Random) -> None:
        data = bytes([Tag.HELLO]) + json_of(draw, [_GREETING])
        with contextlib.suppress(GuardError):
            heard(data)

    return Channel("capture's greeting", _DECODER, lambda: heard(_WORDS[0]) >= 4, feed)


def _telemetry(folder: Path) -> Channel:
    path = folder / "board.csv"

    def load(data: bytes) -> int:
        path.write_bytes(data)
        return len(telemetry.load([path]))

    def feed(draw: random.Random) -> None:
        try:
            load(bytes_of(draw, [_CSV]))
        except RecordError as err:
            assert "\n" not in str(err)

    return Channel("telemetry file", "another program", lambda: load(_CSV) == 2, feed)


def _record(name: str, parse: Callable[[bytes, Path], object], text: str) -> Channel:
    def feed(draw: random.Random) -> None:
        with contextlib.suppress(RecordError):
            parse(toml_of(draw, text), _PLACE)

    return Channel(name, "whoever edits it", lambda: bool(parse(text.encode(), _PLACE)), feed)


def _bundle() -> Channel:
    """The envelope of a policy bundle: its signatures are checked, so all before that is."""
    sound = trust.seal(b'{"version": "1.0.0"}')

    def feed(draw: random.Random) -> None:
        for read in (trust.peek, bundle.parse_payload):
            with contextlib.suppress(PolicyError):
                read(bytes_of(draw, [sound, b'{"version": "1.0.0", "files": {}}']))

    return Channel(
        "policy bundle", "whoever offers one", lambda: b"1.0.0" in trust.peek(sound), feed
    )


def _fleet_state() -> Channel:
    """What a broker passes on as a device's state or link: every field is somebody else's."""
    key = Signer.generate("fg-1/log")
    sound = written(state_of(Tree(key, 40), 40, Tree(key, 40), 20, 1_800_000_000))
    fields = json.loads(sound)

    def feed(draw: random.Random) -> None:
        fleet = Fleet(devices_of([key.verifier]))
        for topic in (state_topic("fg-1"), link_topic("fg-1")):
            fleet.take(topic, bytes_of(draw, [sound, b'{"link": "up"}']))
            fleet.take(topic, json_of(draw, [fields]))
        (row,) = fleet.rows(None, 1_800_000_000, 60)
        assert row.heard is not None
        assert row.heard.state is None or row.heard.state.size == 40  # it is signed

    fleet = Fleet(devices_of([key.verifier]))
    fleet.take(state_topic("fg-1"), sound)
    return Channel("fleet state", "a broker, a device", lambda: fleet.stated == 1, feed)


def _witness_head() -> Channel:
    """What a witness shows as the head of a log: it must not prove a fork that there is not."""
    key = Signer.generate("fg-1/log")
    tree, fork = honest(key, 20), forked(key, 20, 3)

    def proven(note: bytes) -> str:
        return contradiction(
            note,
            20,
            tree.root(20),
            lambda low, high: root_of(tree.leaves[low:high]),
            key.verifier,
        )

    def feed(draw: random.Random) -> None:
        assert not proven(bytes_of(draw, [tree.note(20), tree.note(7)]))

    return Channel("witness head", "a witness", lambda: bool(proven(fork.note(20))), feed)


def _release() -> Channel:
    """What a repository says of a release beside its digest, and a line of its log."""
    sound = Ticket(Audience(("d1",), ("doors",), 10), 3)
    entry = log_entry(Release(ReleaseKind.MODEL, "m", 2), _DIGEST, 5)

    def feed(draw: random.Random) -> None:
        with contextlib.suppress(ValueError, RecursionError):  # no JSON: refused by who reads it
            found = Ticket.parse(json.loads(json_of(draw, [sound.data()])))
            assert found is None or 0 <= found.audience.share <= 100
        logged(bytes_of(draw, [entry]))

    def good() -> bool:
        return logged(entry) is not None and Ticket.parse(sound.data()) == sound

    return Channel("release", "a repository", good, feed)


def _page() -> Channel:
    from tests.support.status_pages import no_log, sample

    shown = sample(permitted=True)
    site = Site(lambda: (0.1, shown), no_log)

    def ask(environ: dict[str, Any]) -> str:
        statuses: list[str] = []
        list(site(environ, lambda status, headers: statuses.append(status)))
        return statuses[0]

    def feed(draw: random.Random) -> None:
        paths = [b"/", b"/status.json", b"/metrics", b"/healthz", b"/proof/1"]
        hosts = [b"localhost:8080", b"127.0.0.1", b"[::1]:80"]
        ask(
            {
                "REQUEST_METHOD": draw.choice(("GET", "HEAD", "POST", "")),
                "PATH_INFO": bytes_of(draw, paths).decode("latin-1"),
                "HTTP_HOST": bytes_of(draw, hosts).decode("latin-1"),
            }
        )

    request = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "localhost"}
    return Channel("status page", "any visitor", lambda: ask(request) == "200 OK", feed)


def _quote() -> Channel:
    """A TPM's quote beside a checkpoint: damaged, it is refused or still the same."""
    log, maker = Signer.generate("fg-1/log"), ec.generate_private_key(ec.SECP256R1())
    text = checkpoint_text(log.name, 9, bytes(32))
    pcrs = {"sha256": {0: b"\x01" * 32, 7: b"\x02" * 32}}
    statement = tpm.attest(nonce_of(text), pcrs)
    quote = Quote(sign_note(text, [log]), statement, tpm.sign(maker, statement), pcrs)

    def size(data: bytes) -> int:
        return verify_quote(Quote.parse(data), maker.public_key(), log.verifier).size

    def feed(draw: random.Random) -> None:
        with contextlib.suppress(QuoteError):
            assert size(bytes_of(draw, [quote.to_bytes()])) == 9
        with contextlib.suppress(QuoteError):
            parse_attest(bytes_of(draw, [statement]))

    return Channel("TPM quote", "a device", lambda: size(quote.to_bytes()) == 9, feed)
