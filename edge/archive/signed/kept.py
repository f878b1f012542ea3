"""The finding on a recording's signatures, kept beside its tape: judging needs no video.

It says what the signatures come to, and by whose certificates. Whom to trust is asked when it is
read, so other trusted certificates need no other finding. Equal recordings give equal bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import closing

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edge.archive.manifest import Recording
from edge.archive.signed.packets import Packets
from edge.archive.signed.verify import UNREADABLE, Finding, State, verify
from edge.errors import CameraError, RecordError

FORMAT = 1


def found_in(recording: Recording) -> Finding:
    """The finding on a recording.

    Raises:
        RecordError: the file is another one than the manifest means.
    """
    try:
        with closing(Packets(recording.clip)) as packets:
            recording.check(packets.sha256)
            if packets.codec is None:
                return Finding(State.UNKNOWN, f"it holds {packets.name} video, not H.264 or H.265")
            return verify(packets.units(), packets.codec)
    except CameraError as err:
        return Finding(State.UNKNOWN, str(err).removeprefix(f"{recording.clip}: "))


def name_of(folder: str, sha256: str) -> str:
    """Where in the store `folder` the finding on a recording is."""
    key = hashlib.sha256(rfc8785.dumps({"format": FORMAT, "clip": sha256})).hexdigest()
    return f"{folder}/signatures/{key[:2]}/{key}.json"


def to_bytes(found: Finding) -> bytes:
    """A finding as a file."""
    chain = [base64.b64encode(one.public_bytes(Encoding.DER)).decode() for one in found.chain]
    return rfc8785.dumps(
        {
            "format": FORMAT,
            "state": found.state.name,
            "why": found.why,
            "pictures": found.pictures,
            "covered": found.covered,
            "chain": list(chain),
        }
    )


def from_bytes(data: bytes, name: str) -> Finding:
    """Read a finding.

    Raises:
        RecordError: it is none; `name` says which file.
    """
    try:
        kept = json.loads(data)
        if kept["format"] != FORMAT:
            raise ValueError(f"expected format {FORMAT}, got {kept['format']!r}")
        chain = [base64.b64decode(one, validate=True) for one in kept["chain"]]
        found = Finding(
            State[kept["state"]],
            str(kept["why"]),
            int(kept["pictures"]),
            int(kept["covered"]),
            tuple(map(x509.load_der_x509_certificate, chain)),
        )
    except (*UNREADABLE, LookupError) as err:
        raise RecordError(f"{name}: expected a finding on signatures: {err}") from err
    if not 0 <= found.covered <= found.pictures or (found.state is State.HOLDS) > bool(found.chain):
        raise RecordError(f"{name}: expected a finding on signatures: its figures contradict")
    return found
