"""What a device may publish is a closed schema, and its log's size is signed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from edge.audit.note import NoteError, Signer
from edge.errors import UsageError
from edge.fleet.state.message import (
    MAX_BYTES,
    Link,
    State,
    device_of,
    read_link,
    read_state,
    written,
    written_link,
)
from edge.reasons import Reason
from tests.fleet.devices import reported, signer
from tests.fleet.histories import honest

KEY = signer(1)
STATE = replace(reported(honest(KEY, 30), 30, 20), state=State.PASSING, reasons=(Reason.NO_LEASE,))


def message(**changed: Any) -> bytes:
    return json.dumps({**json.loads(written(STATE)), **changed}).encode()


def test_a_state_comes_back_as_it_was_written() -> None:
    assert read_state(written(STATE), "framegate-0001", KEY.verifier) == STATE
    assert all(read_link(written_link(link)) is link for link in Link)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (b"", "JSON"),
        (b"\xff", "JSON"),
        (b"[" * 5000, "JSON"),
        (b"[]", "JSON"),
        (b" " * (MAX_BYTES + 1), f"at most {MAX_BYTES}"),
        (message(picture="x"), "no others"),
        (message(schema=2), "schema"),
        (message(device="framegate-0002"), "device: it is not the topic's"),
        (message(device="a/b"), "device"),
        (message(time_s=1.5), "time_s"),
        (message(period_s=0), "period_s"),
        (message(period_s=True), "period_s"),
        (message(state="permitted"), "state"),
        (message(state=["passing"]), "state"),
        (message(reasons=["<script>"]), "reasons"),
        (message(reasons=["NO_LEASE"] * 17), "reasons"),
        (message(version="<b>"), "version"),
        (message(pack="a b"), "pack"),
        (message(policy="AB" * 32), "policy"),
        (message(record="ab"), "record"),
        (message(size=-1), "size"),
        (message(root="AAAA"), "root"),
        (message(checkpoint="x" * 5000), "checkpoint"),
        (message(checkpoint="\ud800"), "checkpoint"),
        (message(path=[""]), "path"),
        (message(path=[json.loads(written(STATE))["root"]] * 64), "path"),
        (message(forked=1), "forked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # not the message: it has new keys
)
def test_anything_else_is_refused_and_the_field_is_named(wrong: bytes, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        read_state(wrong, "framegate-0001", KEY.verifier)


@pytest.mark.parametrize(
    "changed",
    [
        {"size": 31},
        {"root": json.loads(written(reported(honest(KEY, 30), 29)))["root"]},
        {"checkpoint": honest(signer(1), 30).note(30).decode()},  # another key of that name
        {"checkpoint": honest(signer(2), 30).note(30).decode()},
        {"checkpoint": "framegate-0001/log\n30\n"},
        {"old": 19},
        {"cosigned": ""},
        {"cosigned": honest(signer(1), 30).note(20).decode()},
    ],
)
def test_a_size_that_the_log_did_not_sign_is_not_believed(changed: dict[str, Any]) -> None:
    with pytest.raises(NoteError):
        read_state(message(**changed), "framegate-0001", KEY.verifier)


@pytest.mark.parametrize("wrong", [b"", b"{}", b'{"link": "down"}', b'{"link": []}', b'"up"'])
def test_a_link_is_one_of_three_words(wrong: bytes) -> None:
    with pytest.raises(UsageError):
        read_link(wrong)


def test_a_log_whose_name_cannot_be_a_topic_is_no_device() -> None:
    assert device_of(KEY.name) == "framegate-0001"
    for origin in ("framegate-0001", "a/b/log", "/log", "+/log", "#/log", f"{'a' * 65}/log"):
        with pytest.raises(UsageError, match="DEVICE/log"):
            device_of(Signer.generate(origin.replace("+", "§")).name)
