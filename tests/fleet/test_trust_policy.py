"""A tlog-policy file: which witnesses are enough, and what is no policy."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from edge.audit.cosignature import witness_of
from edge.audit.note import Signer
from edge.errors import UsageError
from edge.fleet.trust_policy import parse_policy

LOG = Signer.generate("framegate-0001/log").verifier.text
KEYS = {
    name: witness_of(Signer.generate(f"w.example/{name}")) for name in ("a", "b", "c", "x", "y")
}
WITNESSES = "".join(f"witness {name} {key.text}\n" for name, key in KEYS.items())
TWO_LEVELS = (
    "# of the format's own text\n\n"
    f"  log\t{LOG}  \n{WITNESSES}"
    "group abc 2 a b c\ngroup xy any x y\ngroup both all abc xy\nquorum both\n"
)


def test_a_quorum_of_groups_holds_for_exactly_the_right_witnesses() -> None:
    policy = parse_policy(TWO_LEVELS.encode())

    for some in chain.from_iterable(combinations(KEYS, n) for n in range(6)):
        enough = len({"a", "b", "c"} & {*some}) >= 2 and bool({"x", "y"} & {*some})
        assert policy.satisfied([KEYS[name] for name in some]) is enough, some
    assert [key.text for key in policy.logs] == [LOG]


def test_no_witness_may_be_asked_for() -> None:
    assert parse_policy(b"quorum none\n").satisfied([])
    assert not parse_policy(f"{WITNESSES}quorum a\n".encode()).satisfied([KEYS["b"]])


WRONG = [
    ("", "expected a quorum line"),
    (WITNESSES, "expected a quorum line"),
    ("quorum none\nquorum none\n", "line 2: expected one quorum line"),
    ("quorum a\n", "line 1: 'a' is not defined above"),
    (f"quorum a\n{WITNESSES}", "line 1: 'a' is not defined above"),
    (f"{WITNESSES}group g 2 a d\nquorum g\n", "line 6: 'd' is not defined above"),
    (f"{WITNESSES}group g 0 a\nquorum g\n", "expected 1 to 1 of 1 members, got 0"),
    (f"{WITNESSES}group g 3 a b\nquorum g\n", "expected 1 to 2 of 2 members, got 3"),
    (f"{WITNESSES}group g some a\nquorum g\n", "expected all, any or a number"),
    (f"{WITNESSES}group g any\nquorum g\n", "expected log, witness, group or quorum"),
    (f"{WITNESSES}group g any a a\nquorum g\n", "'a' is a member twice"),
    (f"{WITNESSES}group g any a\ngroup h any a\nquorum h\n", "'a' is a member twice"),
    (f"{WITNESSES}group a any b\nquorum a\n", "the name 'a' is taken"),
    (f"{WITNESSES}group none any b\nquorum a\n", "the name 'none' is taken"),
    (f"{WITNESSES}witness d {KEYS['a'].text}\nquorum a\n", "listed twice"),
    (f"log {LOG}\nlog {LOG}\nquorum none\n", "listed twice"),
    (f"witness a {LOG}\nquorum a\n", "of type 4"),
    (f"log {KEYS['a'].text}\nquorum none\n", "line 1: expected an Ed25519 public key"),
    (f"witness a {KEYS['a'].text} ftp://x\nquorum a\n", "expected an http or https URL"),
    ("mirror x\nquorum none\n", "line 1: expected log, witness"),
    ("quorum none\r\n", "a control character"),
]


@pytest.mark.parametrize(("text", "wanted"), WRONG, ids=[wanted for _, wanted in WRONG])
def test_the_first_line_that_is_wrong_is_named(text: str, wanted: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_policy(text.encode())

    assert wanted in str(caught.value)
