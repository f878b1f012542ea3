"""Bundles to test with: six people's keys, the shipped pack, and changes to any part."""

from __future__ import annotations

import dataclasses
import json

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.policy.pack import shipped_files
from edge.policy.signed import trust
from edge.policy.signed.bundle import Bundle, seal_bundle
from edge.policy.signed.trust import Root, sign

ANN, BOB, CYD, DAN, EVE, FAY = (
    Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 7)
)
ISSUED_S = 1_790_000_000
DAY_S = 86_400
NOW_S = ISSUED_S + DAY_S
GUARD = "0.1.0"


def make_root(version=1, threshold=2, **keys):
    keys = keys or {"ann": ANN, "bob": BOB, "cyd": CYD}
    return Root(
        version,
        threshold,
        {name: key.public_key().public_bytes_raw() for name, key in keys.items()},
    )


ROOT = make_root()
NEW_ROOT = make_root(2, dan=DAN, eve=EVE, fay=FAY)
FILES = shipped_files("strict")


def make_bundle(**changes):
    plain = Bundle(1, ISSUED_S, ISSUED_S + 90 * DAY_S, GUARD, ROOT, {}, {}, FILES)
    return dataclasses.replace(plain, **changes)


def sign_all(bundle, *keys):
    envelope = seal_bundle(bundle)
    for key in keys or (ANN, BOB):
        envelope = sign(envelope, key)
    return envelope


def payload_with(**changes):
    """The payload as data, with changes; None removes a key."""
    found = json.loads(make_bundle().payload)
    found.update(changes)
    return {key: value for key, value in found.items() if value is not None}


def sign_payload(payload):
    envelope = trust.seal(payload if isinstance(payload, bytes) else rfc8785.dumps(payload))
    return sign(sign(envelope, ANN), BOB)


def files_with(**changes):
    files = {name.replace("__", "."): text for name, text in changes.items()}
    return {name: text for name, text in {**FILES, **files}.items() if text is not None}
