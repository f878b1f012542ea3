"""Runs the tools that make the parts of a device: apt, pip, dpkg-deb, mke2fs, QEMU."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edge.errors import UsageError

_LIMIT_S = 1200


def with_sbin() -> str:
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"


def run(
    command: Sequence[str], purpose: str, environment: dict[str, str], cwd: Path | None = None
) -> str:
    """Run a tool and return what it printed.

    Raises:
        UsageError: it is missing, took too long or failed; the message has its last line.
    """
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
        )
    except OSError as err:
        raise UsageError(f"cannot {purpose}: {command[0]}: {err.strerror}") from err
    except subprocess.TimeoutExpired as err:
        raise UsageError(f"cannot {purpose}: no end after {_LIMIT_S} s; start it again") from err
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith(("E:", "ERROR"))]
        why = (errors or lines or [f"exit code {done.returncode}"])[0].strip()
        raise UsageError(f"cannot {purpose}: {why}")
    return done.stdout
