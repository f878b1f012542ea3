"""What is said of a recording's signatures, by whose keys a user trusts, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from edge.archive.signed.verify import UNREADABLE, Finding, State
from edge.errors import RecordError


class Signed(Enum):
    """What was found."""

    VALID = "signed and valid"
    PARTLY = "signed and valid in part"
    UNTRUSTED = "signed and valid, but the key is not trusted"
    INVALID = "signed and NOT valid"
    NONE = "not signed"
    UNKNOWN = "signature not checked"


class Refuse(Enum):
    """Which recordings a user may refuse."""

    NOTHING = "nothing"
    INVALID = "invalid"  # those with a signature that does not hold
    UNSIGNED = "unsigned"  # all that no trusted key signed, but for their last group of pictures
    UNCOVERED = "uncovered"  # all but those of which each picture is covered


_REFUSED = {
    Refuse.NOTHING: frozenset[Signed](),
    Refuse.INVALID: frozenset((Signed.INVALID,)),
    Refuse.UNSIGNED: frozenset(Signed) - {Signed.VALID, Signed.PARTLY},
    Refuse.UNCOVERED: frozenset(Signed) - {Signed.VALID},
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found, why, and of how many pictures."""

    signed: Signed
    why: str = ""
    pictures: int = 0
    covered: int = 0  # of them, by a signature that holds

    def __str__(self) -> str:
        if self.signed in (Signed.VALID, Signed.PARTLY, Signed.UNTRUSTED):
            return f"{self.signed.value}: {self.covered} of {self.pictures} pictures are covered"
        return f"{self.signed.value}: {self.why}" if self.why else self.signed.value

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "signed": self.signed.name.lower()}


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures count for a user, and which recordings the user refuses."""

    signers: bytes = b""  # trusted certificates in PEM, or nothing
    refuse: Refuse = Refuse.NOTHING

    def judge(self, found: Finding | None) -> Verdict:
        """The verdict on what was found.

        Raises:
            RecordError: such recordings are refused.
        """
        verdict = _judged(found, self.signers)
        if verdict.signed in _REFUSED[self.refuse]:
            raise RecordError(f"refused by --refuse {self.refuse.value}: {verdict}")
        return verdict


NOBODY = Trust()


def _judged(found: Finding | None, signers: bytes) -> Verdict:
    if found is None:
        return Verdict(Signed.UNKNOWN, "the store has no finding: extract the recording again")
    signed = {
        State.INVALID: Signed.INVALID,
        State.NONE: Signed.NONE,
        State.UNKNOWN: Signed.UNKNOWN,
    }.get(found.state)
    if signed is None:
        if not _trusted(found.chain, roots_in(signers) if signers else ()):
            signed = Signed.UNTRUSTED
        else:
            signed = Signed.VALID if found.covered == found.pictures else Signed.PARTLY
    return Verdict(signed, found.why, found.pictures, found.covered)


@lru_cache(4)
def roots_in(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file.

    Raises:
        RecordError: it holds none.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except UNREADABLE as err:
        raise RecordError("expected certificates in PEM") from err


def _trusted(chain: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> bool:
    """Whether each is issued by the next, and the last by a root. Validity in time is not asked."""
    above = chain[1:]
    return any(_issued(chain, [*above, root]) for root in roots)


def _issued(chain: Sequence[x509.Certificate], issuers: Sequence[x509.Certificate]) -> bool:
    try:
        for one, issuer in zip(chain, issuers, strict=True):
            constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints)
            if not constraints.value.ca:
                return False
            one.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature, x509.ExtensionNotFound):
        return False
    return True
