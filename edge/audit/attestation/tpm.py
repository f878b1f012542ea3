"""Asks this machine's TPM 2.0 for a quote, through the program `tpm2_quote` of tpm2-tools.

Which TPM is asked is the tools' own setting (`TPM2TOOLS_TCTI`; by default the kernel's resource
manager, `/dev/tpmrm0`). What comes back is read and compared with what was asked for.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from edge.audit.attestation.attest import Pcrs, QuoteError, check_pcrs, parse_attest
from edge.audit.attestation.quote import BANK_BYTES, MAX_QUOTE_BYTES, Quote, nonce_of
from edge.audit.note import Verifier, read_note
from edge.errors import UsageError, meaning
from edge.files import read_named
from edge.isolation import environment

_PCRS = re.compile(r"(sha1|sha256|sha384|sha512):(\d{1,2}(?:,\d{1,2})*)")
_WHICH = "TPM2TOOLS_TCTI"  # the setting of the tools: which TPM is asked
_LIMIT_S = 60
_SIGNED = {0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}


def registers(text: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """`sha256:0,1,7`, or several such joined by `+`.

    Raises:
        UsageError: another form, a bank twice, or a register beyond 23.
    """
    found: list[tuple[str, tuple[int, ...]]] = []
    for part in text.split("+"):
        match = _PCRS.fullmatch(part)
        numbers = sorted({int(n) for n in match[2].split(",")}) if match else []
        if match is None or numbers[-1] > 23 or match[1] in [bank for bank, _ in found]:
            raise UsageError(f"expected registers as sha256:0,1,7, got {text[:60]!r}")
        found.append((match[1], tuple(numbers)))
    return tuple(found)


def make_quote(
    checkpoint: bytes, device: Verifier, key: str, wanted: tuple[tuple[str, tuple[int, ...]], ...]
) -> Quote:
    """A quote of the head in `checkpoint` by the TPM's key `key` (a handle or a context file).

    Raises:
        UsageError: no tpm2-tools, no TPM, or it does not sign.
        AuditError: the checkpoint is not of this log, or the TPM answered something else.
    """
    text, _ = read_note(checkpoint, [device])
    asked = "+".join(f"{bank}:{','.join(map(str, numbers))}" for bank, numbers in wanted)
    with tempfile.TemporaryDirectory(prefix="framegate-quote-") as folder:
        place = Path(folder)
        _run(key, asked, nonce_of(text), place)
        parts = [_read(place / name) for name in ("attest", "signature", "pcrs")]
    attest, signature, values = parts
    found = parse_attest(attest)
    if found.nonce != nonce_of(text) or sorted(found.selected) != sorted(wanted):
        raise QuoteError("the TPM quoted something else than it was asked for")
    quote = Quote(checkpoint, attest, signature, _values(found.selected, values))
    check_pcrs(found, quote.pcrs, _SIGNED.get(int.from_bytes(signature[2:4], "big"), "sha256"))
    return quote


def _values(selected: tuple[tuple[str, tuple[int, ...]], ...], data: bytes) -> Pcrs:
    """The registers out of the values that the program writes one after the other."""
    pcrs: dict[str, dict[int, bytes]] = {}
    for bank, numbers in selected:
        for number in numbers:
            size = BANK_BYTES[bank]
            pcrs.setdefault(bank, {})[number] = data[:size]
            data = data[size:]
    return pcrs


def _run(key: str, registers: str, nonce: bytes, out: Path) -> None:
    out_files = ["-m", f"{out}/attest", "-s", f"{out}/signature", "-o", f"{out}/pcrs"]
    asked = ["-c", key, "-l", registers, "-q", nonce.hex(), "-g", "sha256", "-F", "values"]
    try:
        done = subprocess.run(
            ["tpm2_quote", *asked, *out_files],
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            env=environment({name: os.environ[name] for name in (_WHICH,) if name in os.environ}),
        )
    except FileNotFoundError as err:
        raise UsageError("there is no tpm2_quote: install tpm2-tools") from err
    except subprocess.TimeoutExpired as err:
        raise UsageError(f"tpm2_quote: no answer from the TPM within {_LIMIT_S} s") from err
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise UsageError(f"tpm2_quote: {errors[0] if errors else f'exit code {done.returncode}'}")


def _read(path: Path) -> bytes:
    with meaning(f"tpm2_quote wrote no {path.name}", OSError, as_=QuoteError):
        return read_named(path, MAX_QUOTE_BYTES)
