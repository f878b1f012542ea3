"""The signatures' part of the archive's tasks: found when a tape is made, and kept beside it."""

from __future__ import annotations

from edge.archive.manifest import Recording
from edge.archive.signed import kept
from edge.archive.signed.verdict import Trust, Verdict
from edge.archive.signed.verify import Finding, decoded
from edge.archive.store import Store
from edge.archive.tape import Tape


def known(recording: Recording, store: Store) -> Finding | None:
    """What the store knows of a recording's signatures; None if it knows nothing.

    Raises:
        GuardError: what it holds is no finding.
    """
    place = kept.name_of(store.folder, recording.sha256)
    data = store.read(place)
    return None if data is None else kept.from_bytes(data, place)


def looked_for(recording: Recording, store: Store, trust: Trust) -> Finding | None:
    """The same before a tape is made: if the store knows nothing, the recording is looked at.

    Raises:
        GuardError: the user refuses such recordings, or the recording is another one.
    """
    found = known(recording, store)
    if found is None and recording.clip.exists():  # a tape outlives its recording
        found = kept.found_in(recording)
    if found is not None:
        trust.judge(found)
    return found


def signed(
    recording: Recording, store: Store, trust: Trust, found: Finding | None, tape: Tape
) -> Verdict:
    """The verdict on the recording of a tape; what was found is kept in the store.

    Raises:
        GuardError: the user refuses such recordings, or the store cannot be written.
    """
    if found is not None:
        found = decoded(found, len(tape.captured_ns) + tape.not_judged)
        store.keep(kept.name_of(store.folder, recording.sha256), kept.to_bytes(found))
    return trust.judge(found)
