"""A TPM quotes the log: what is accepted, and what is refused.

    python -m bench.device.within.quote

The TPM is swtpm behind the kernel's own TPM driver and resource manager (`tpm_vtpm_proxy`). It
runs in the device: Debian's kernel for 64-bit ARM has no driver for the TPM that QEMU puts on
the bus of this machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.device.within.checks import Checks, expect, until
from bench.device.within.power import SEGMENT_ENTRIES, write
from bench.device.within.vivid import load_modules
from edge.audit.attestation.quote import QUOTE
from edge.audit.log import AuditLog
from edge.audit.note import Signer
from edge.errors import GuardError

_NODE = "/dev/tpmrm0"
_HANDLE = "0x81010002"
_EXTENDED = f"16:sha256={'ab' * 32}"


class Place:
    """A log, its keys and the TPM's attestation key in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.audit = folder / "audit"
        self.ak = folder / "ak.pem"
        self.expected = folder / "expected.quote"
        self._key = Signer.generate("framegate-device/log")
        (folder / "log.pub").write_text(f"{self._key.verifier.text}\n")

    def grow(self) -> None:
        """Three entries more."""
        log = AuditLog.create_or_open(self.audit, self._key, segment_entries=SEGMENT_ENTRIES)
        write(log, 3)
        log.close()

    def quote(self) -> bytes:
        """Have the TPM quote the newest checkpoint."""
        code, text = _output_of(
            "audit", "quote", str(self.audit), "--ak", _HANDLE, "--pcrs", "sha256:0,16"
        )
        expect(code == 0, f"a quote, got: {text}")
        return (self.audit / QUOTE).read_bytes()

    def verify(self, quote: bytes) -> tuple[int, str]:
        """Exit code and last line of `audit verify --quote`."""
        given = self.folder / "given.quote"
        given.write_bytes(quote)
        words = ["--key", str(self.folder / "log.pub"), "--quote", str(given)]
        words += ["--ak", str(self.ak), "--pcrs", str(self.expected)]
        return _output_of("audit", "verify", str(self.audit), *words)


def node(state: Path) -> str:
    """The kernel has a TPM."""
    load_modules("tpm_vtpm_proxy")
    state.mkdir()
    command = ["swtpm", "chardev", "--vtpm-proxy", "--tpm2", "--tpmstate", f"dir={state}"]
    done = subprocess.Popen([*command, "--flags", "startup-clear"], stdout=subprocess.DEVNULL)
    until(lambda: Path(_NODE).exists() or done.poll() is not None, _NODE, 30)
    expect(done.poll() is None, f"swtpm to run, it ended with {done.poll()}")
    return _NODE


def attestation_key(place: Place) -> str:
    """A restricted key that stays in the TPM."""
    at = [str(place.folder / name) for name in ("ek.ctx", "ek.pub", "ak.ctx")]
    _tool("tpm2_createek", "-c", at[0], "-G", "ecc", "-u", at[1])
    scheme = ("-G", "ecc", "-g", "sha256", "-s", "ecdsa")
    _tool("tpm2_createak", "-C", at[0], "-c", at[2], *scheme, "-u", str(place.ak), "-f", "pem")
    _tool("tpm2_evictcontrol", "-C", "o", "-c", at[2], _HANDLE)
    return _HANDLE


def accepted(place: Place) -> str:
    """The good case."""
    place.grow()
    quote = place.quote()
    place.expected.write_bytes(quote)
    code, text = place.verify(quote)
    expect(code == 0 and "as expected" in text, f"the quote to be accepted, got: {text}")
    return text


def replayed(place: Place) -> str:
    """A quote of an older head is refused, and the next one accepted."""
    old = place.quote()
    place.grow()
    code, text = place.verify(old)
    expect(code == 1 and "behind the checkpoint" in text, f"a refusal, got: {text}")
    expect(place.verify(place.quote())[0] == 0, "a new quote to be accepted")
    return text


def changed(place: Place) -> str:
    """A register that was extended is refused by its name."""
    _tool("tpm2_pcrextend", _EXTENDED)
    code, text = place.verify(place.quote())
    expect(code == 1 and "PCR sha256:16" in text, f"a refusal of PCR 16, got: {text}")
    return text


def main() -> int:
    """Run all checks; the exit code."""
    os.environ["TPM2TOOLS_TCTI"] = f"device:{_NODE}"
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="framegate-quote-") as folder:
        place = Place(Path(folder))
        found = checks.check("the kernel has a TPM", lambda: node(place.folder / "tpm"))
        if found and checks.check("attestation key", lambda: attestation_key(place)):
            checks.check("a quote of the newest checkpoint holds", lambda: accepted(place))
            checks.check("a replayed quote is refused", lambda: replayed(place))
            checks.check("a changed register is refused", lambda: changed(place))
    return checks.end()


def _output_of(*words: str) -> tuple[int, str]:
    """Exit code and last line of a framegate command."""
    command = [sys.executable, "-m", "edge.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    printed = (done.stdout + done.stderr).strip().splitlines()
    return done.returncode, (printed or [""])[-1]


def _tool(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GuardError(f"{command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[0]}")


if __name__ == "__main__":
    sys.exit(main())
