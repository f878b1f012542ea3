"""A new site in one folder: keys, both signed records, the enrolled view and `guard.toml`.

All of it is made in a folder beside the final one and renamed, so that an error
leaves nothing, and nothing that is there is ever changed. Facts of law (who
operates, where, whether the place is public, on whose consent) are given, never
guessed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edge.cameras.identity import CameraIdentity
from edge.cameras.live import open_source
from edge.cameras.source import parse_source
from edge.commissioning.enrol_view import DEFAULT_SECONDS, Request, enroll
from edge.commissioning.keys import KeyStore, RecordKind
from edge.commissioning.records import parse_device, parse_session
from edge.commissioning.toml_text import toml_value
from edge.errors import UsageError
from edge.files import move_over, named_by_user, write_new
from edge.view.fingerprint import Fingerprint

VIEW_NAME = "camera.view"
CONFIG_NAME = "guard.toml"
_COLUMNS = 8  # of the 48 blocks of a view


@dataclass(frozen=True, slots=True)
class Answers:
    """What only a person can say of a site; the words are those of the records."""

    source: str
    site: str
    lane: str
    gallery: str
    operator: str
    by_or_for: str
    jurisdiction: str
    public: bool
    consent: str
    taking_part: bool
    board: str  # a serial port, or "virtual"
    dock_id: str
    dwell_s: float
    matcher: tuple[str, ...]
    without: tuple[str, ...]  # layers of the sandbox that this machine lacks, named by a person
    virtual_board: bool = False  # beside a camera: a trial that proves nothing
    trial: bool = False  # the view is enrolled by the lower limits, people left out
    unkept_clock: bool = False  # no time service keeps the wall clock


@dataclass(frozen=True, slots=True)
class Site:
    """What was made."""

    folder: Path
    view: Fingerprint

    @property
    def config(self) -> Path:
        return self.folder / CONFIG_NAME


def make_site(folder: Path, answers: Answers) -> Site:
    """Make `folder` with all that a daemon needs.

    Raises:
        UsageError: it is there already and not empty, or cannot be written.
        GuardError: the source, the view or an answer is not usable; says why.
    """
    refuse_existing(folder)
    parent = folder.absolute().parent
    with named_by_user("write in", parent):
        parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".init-", dir=parent))
    try:
        with named_by_user("write", folder):
            view = _fill(staging, answers)
            if folder.is_dir():
                folder.rmdir()  # it is empty
            move_over(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Site(folder, view)


def refuse_existing(folder: Path) -> None:
    """See that nothing would be overwritten.

    Raises:
        UsageError: `folder` is a file, or holds something.
    """
    if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            f"{folder} is there already and not empty: nothing is overwritten; name another folder"
        )


def _fill(folder: Path, answers: Answers) -> Fingerprint:
    with contextlib.closing(open_source(answers.source)) as camera:
        identity = camera.identity  # pinned in the record; a recording by its digest
    store = KeyStore.init(folder / "keys")
    device, session = device_text(answers, identity).encode(), session_text(answers).encode()
    parse_device(device, folder / "device.toml")  # said before the camera is looked at for long
    parse_session(session, folder / "session.toml")
    request = Request(
        sources=(answers.source,),
        out=folder / VIEW_NAME,
        seconds=DEFAULT_SECONDS,
        mask_people=answers.trial,
        enforce=not answers.trial,
    )
    enrolled = enroll(request, store)
    for name, data, kind in (
        ("device.toml", device, RecordKind.DEVICE),
        ("session.toml", session, RecordKind.SESSION),
    ):
        write_new(folder / name, data)
        store.sign_file(folder / name, kind)
    write_new(folder / CONFIG_NAME, config_text(answers).encode())
    return enrolled.fingerprint


def device_text(answers: Answers, camera: CameraIdentity) -> str:
    """The commissioning record."""
    lines = [
        "# What this device is and where it stands. Sign it anew after every change:",
        "# framegate keys sign device.toml --kind device --keys keys",
        'camera = "fixed"',
        'mount = "fixed_surveyed"',
        f"site = {toml_value(answers.site)}",
        f"dock_id = {toml_value(answers.dock_id)}",
        f"publicly_accessible = {toml_value(answers.public)}",
        f"lanes = {toml_value([answers.lane])}",
        f"dwell_s = {answers.dwell_s:g}",
        "[operator]",
        f"user = {toml_value(answers.operator)}",
        f"by_or_for = {toml_value(answers.by_or_for)}",
        f"jurisdiction = {toml_value(answers.jurisdiction)}",
        "[view]",
        f"fingerprint = {toml_value(VIEW_NAME)}",
        "[identity]",
    ]
    if camera.kind == "virtual":
        lines.append(f"virtual_sha256 = {toml_value([camera.sha256])}")
    else:
        lines += [
            f"driver = {toml_value(camera.driver)}",
            f"card = {toml_value(camera.card)}",
            f"bus = {toml_value(camera.bus)}",
        ]
    if answers.virtual_board:
        lines += ["[board]", "virtual = true"]
    if answers.unkept_clock:
        lines += ["[clock]", "unproven = true"]
    if answers.without:
        lines += ["[matcher]", f"without = {toml_value(list(answers.without))}"]
    return "\n".join(lines) + "\n"


def session_text(answers: Answers) -> str:
    """The session claim."""
    return "\n".join(
        (
            "# What the matcher is about to do, and on whose consent. Sign it anew after a change:",
            "# framegate keys sign session.toml --kind session --keys keys",
            f"operation = {toml_value(answers.lane)}",
            f"gallery = {toml_value(answers.gallery)}",
            f"consent = {toml_value(answers.consent)}",
            f"active_involvement = {toml_value(answers.taking_part)}",
            "",
        )
    )


def config_text(answers: Answers) -> str:
    """`guard.toml`; a file is named by its whole path, all else lies in the folder."""
    parsed = parse_source(answers.source)
    source = answers.source if parsed.live else os.path.abspath(parsed.target)
    lines = [
        "# framegate config show guard.toml prints every key and what it means.",
        f"source = {toml_value(source)}",
        'device = "device.toml"',
        'session = "session.toml"',
        'keys = "keys"',
        f"board = {toml_value(answers.board)}",
    ]
    if answers.matcher:
        lines += ["[matcher]", f"command = {toml_value(list(answers.matcher))}"]
    return "\n".join(lines) + "\n"


def coverage(view: Fingerprint) -> list[str]:
    """The view's 48 blocks as they lie in the picture: `#` has lasting contrasts, `.` has none."""
    marks = ["#" if count else "." for count in view.counts]
    return [" ".join(marks[at : at + _COLUMNS]) for at in range(0, len(marks), _COLUMNS)]
