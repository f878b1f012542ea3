"""Copying a log to hand it on: what verifies, and nothing secret.

The copy holds certificates, journals, tiles, checkpoint and public key. The
segment key, the lock, the reserve and torn tails stay on the device.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from edge.audit.journal import SEGMENTS
from edge.audit.note import Verifier
from edge.audit.publish import CHECKPOINT
from edge.audit.store import PUBLIC_KEY
from edge.audit.verify import Verified, verify_log
from edge.errors import UsageError

_PARTS = (SEGMENTS, "tile", CHECKPOINT, PUBLIC_KEY)


def export_log(directory: Path, out: Path, device: Verifier) -> Verified:
    """Copy the log to `out`, which must not exist, and verify the copy.

    Raises:
        AuditError: the copy does not verify; nothing is left at `out`.
        UsageError: `out` exists or cannot be written.
    """
    if out.exists():
        raise UsageError(f"{out} exists already; name a new directory")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as staging:
            copy = Path(staging) / "log"
            copy.mkdir()
            for part in _PARTS:
                source = directory / part
                if source.is_dir():
                    shutil.copytree(source, copy / part)
                elif source.exists():
                    shutil.copy2(source, copy / part)
            found = verify_log(copy, device)
            os.rename(copy, out)
    except (OSError, shutil.Error) as err:
        raise UsageError(f"cannot export to {out}: {err}") from err
    return found
