"""TPM statements of tests: made by hand with a key of our own, or by a simulated TPM (swtpm)."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from edge.audit.attestation.attest import Pcrs

_BANKS = {"sha1": 0x0004, "sha256": 0x000B}
HANDLE = "0x81010002"


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def attest(nonce: bytes, pcrs: Pcrs, *, magic: int = 0xFF544347, kind: int = 0x8018) -> bytes:
    """A TPMS_ATTEST with a quote of `pcrs`."""
    selection, values = b"", b""
    for bank, registers in pcrs.items():
        bitmap = sum(1 << number for number in registers)
        selection += _BANKS[bank].to_bytes(2, "big") + b"\x03" + bitmap.to_bytes(3, "little")
        values += b"".join(registers[number] for number in sorted(registers))
    clock = (123456).to_bytes(8, "big") + (7).to_bytes(4, "big") + bytes(4) + b"\x01"
    return (
        magic.to_bytes(4, "big")
        + kind.to_bytes(2, "big")
        + _sized(b"\x00\x0b" + bytes(32))
        + _sized(nonce)
        + clock
        + bytes(8)
        + len(pcrs).to_bytes(4, "big")
        + selection
        + _sized(hashlib.sha256(values).digest())
    )


def sign(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, data: bytes) -> bytes:
    """The TPMT_SIGNATURE of `data` with SHA-256."""
    if isinstance(key, rsa.RSAPrivateKey):
        raw = key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return bytes.fromhex("0014000b") + _sized(raw)
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return bytes.fromhex("0018000b") + _sized(r.to_bytes(32, "big")) + _sized(s.to_bytes(32, "big"))


@contextmanager
def simulated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A swtpm with an attestation key at `HANDLE`; gives the key's PEM file."""
    for tool in ("swtpm", "tpm2_quote", "tpm2_createak"):
        if shutil.which(tool) is None:
            pytest.skip("needs swtpm and tpm2-tools")
    folder.mkdir()
    port = _two_free_ports()
    monkeypatch.setenv("TPM2TOOLS_TCTI", f"swtpm:host=127.0.0.1,port={port}")
    server = [f"--server=type=tcp,port={port}", f"--ctrl=type=tcp,port={port + 1}"]
    ways = ["--tpmstate", f"dir={folder}", "--flags", "not-need-init,startup-clear"]
    process = subprocess.Popen(["swtpm", "socket", "--tpm2", *server, *ways])
    try:
        _wait_for(port, process)
        ek, ak, pem = folder / "ek.ctx", folder / "ak.ctx", folder / "ak.pem"
        _run("tpm2_createek", "-c", str(ek), "-G", "ecc", "-u", str(folder / "ek.pub"))
        run_flushed(
            "tpm2_createak", "-C", str(ek), "-c", str(ak), "-G", "ecc", "-g", "sha256",
            "-s", "ecdsa", "-u", str(pem), "-f", "pem",
        )  # fmt: skip
        run_flushed("tpm2_evictcontrol", "-C", "o", "-c", str(ak), HANDLE)
        _run("tpm2_flushcontext", "-t")
        yield pem
    finally:
        process.terminate()
        process.wait()


def run_flushed(*command: str) -> None:
    """Run a tool after the TPM has been emptied of what tools left: here is no resource manager."""
    _run("tpm2_flushcontext", "-t")
    _run("tpm2_flushcontext", "-l")
    _run(*command)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _two_free_ports() -> int:
    for _ in range(100):
        port = 20000 + int.from_bytes(os.urandom(2), "big") % 10000
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports")


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "swtpm ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port + 1)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("swtpm does not listen")
