"""The options of `framegate archive` about recordings that a camera signed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge.commands._options import Options
from edge.errors import RecordError, UsageError, wrong_in

if TYPE_CHECKING:
    from edge.archive.signed.verdict import Trust, Verdict


def options(parser: Options) -> None:
    """Add them."""
    from edge.archive.signed.verdict import Refuse

    parser.path(
        "--signers FILE", "certificates in PEM, trusted to sign recordings (ONVIF Media Signing)"
    )
    parser.choice(
        "--refuse",
        "recordings with a signature that does not hold (invalid), those that no trusted key "
        "signed (unsigned), or those with pictures that no signature covers (uncovered)",
        [one.value for one in Refuse],
        default=Refuse.NOTHING.value,
    )


def trust(args: argparse.Namespace) -> Trust:
    """Who is trusted to sign recordings, and which recordings are refused.

    Raises:
        UsageError: --signers is no file of certificates, or --refuse needs one.
    """
    from edge.archive.signed.verdict import Refuse, Trust, roots_in
    from edge.files import read_given

    pem, refuse = b"", Refuse(args.refuse)
    if args.signers is not None:
        pem = read_given(args.signers, 1 << 20)
        with wrong_in(args.signers, RecordError):
            roots_in(pem)
    if refuse in (Refuse.UNSIGNED, Refuse.UNCOVERED) and not pem:
        raise UsageError(f"--refuse {refuse.value}: whose signatures count is --signers FILE")
    return Trust(pem, refuse)


def summary(found: Sequence[Verdict | None]) -> str:
    """How many recordings are signed, by what was found."""
    from edge.archive.signed.verdict import Signed

    kinds = [one.signed for one in found if one is not None]
    counts = [(kinds.count(kind), kind.value) for kind in Signed]
    return "signatures: " + ("; ".join(f"{n} {what}" for n, what in counts if n) or "none known")
