"""What a plan's matcher is given in its sandbox: checked, and completed by the signed record."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from edge.commissioning.records import Device
from edge.sandbox import spec as sandbox
from edge.sandbox.paths import faults


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """The guard's own files and folders; one that is not there counts as well."""

    secret: tuple[Path, ...]  # no matcher reads or changes them: keys, log, consent
    signed: tuple[Path, ...]  # no matcher changes them: records, policy


def completed(
    given: sandbox.Confinement, device: Device | None, own: OwnFiles
) -> sandbox.Confinement:
    """What the operator gave, with what the signed record says; without one, every layer."""
    without = () if device is None else device.matcher_without
    return replace(
        given,
        without=frozenset(sandbox.Layer(name) for name in without),
        models=() if device is None else device.matcher_models,
        hidden=own.secret,
    )


def path_faults(confinement: sandbox.Confinement, own: OwnFiles) -> list[str]:
    """What the matcher is given although it cannot use it, or it would leave it no sandbox."""
    uid = confinement.uid if sandbox.Layer.OWN_UID in confinement.layers else None
    found = faults(confinement.reads, confinement.writes, own.secret, own.signed, uid)
    cwd = confinement.cwd
    if cwd is not None and not cwd.is_dir():
        found.append(f"matcher cwd {str(cwd)!r}: expected a folder that exists, found none")
    return found


def withheld(command: tuple[str, ...], confinement: sandbox.Confinement) -> list[str]:
    """What the command names and the matcher may not read, each with the line that allows it."""
    cwd = os.path.abspath(confinement.cwd or os.getcwd())
    given = [*confinement.reads, *confinement.writes, *map(Path, sandbox.interpreter_reads())]
    found = []
    for path in map(Path, sandbox.named(command, cwd)):
        if path.is_dir() and not _within(path, given):
            found.append(
                f"the matcher's command names {path}, which its sandbox does not let it read; to "
                f'allow it, write read = ["{path}"] under [matcher] of guard.toml, or start with '
                f"--matcher-read {path}"
            )
    return found


def _within(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)
