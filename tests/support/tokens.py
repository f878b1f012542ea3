"""A SoftHSM token of one test, or the reason why there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.commissioning.token_uri import TokenUri

_LIBRARIES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")
PIN = "4711"


def token(folder: Path, monkeypatch: pytest.MonkeyPatch) -> TokenUri:
    """A new token named after `folder`; it is gone with the folder."""
    pytest.importorskip("pkcs11", reason="needs python-pkcs11")
    library = next((Path(p) for p in _LIBRARIES if Path(p).exists()), None)
    tool = shutil.which("softhsm2-util")
    if library is None or tool is None:
        pytest.skip("needs softhsm2")
    (folder / "tokens").mkdir(parents=True)
    config = folder / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    label = f"till-{os.urandom(4).hex()}"
    made = ["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "4712"]
    subprocess.run([tool, *made], check=True, capture_output=True)
    pin = folder / "pin"
    pin.write_text(f"{PIN}\n")
    pin.chmod(0o600)
    found = TokenUri(label, "", library, pin)
    forget(found)
    return found


def forget(uri: TokenUri) -> None:
    """Log out and begin anew, as another process would; a library reads its settings once."""
    import pkcs11

    pkcs11.lib(str(uri.module)).reinitialize()
