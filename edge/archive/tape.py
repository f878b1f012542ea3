"""The evidence tape: what was seen in each frame of one recording, without a picture.

An archive keeps tapes, so that what another policy, record or session would have
decided is found without video and without models. A tape holds for each frame what the
sentinel found, with the wrong signs counted block by block (the judge says over which
blocks they count), and a `Sighting` for each evidence frame. It is a compressed NumPy
archive, read without pickles; equal tapes have equal bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.decision.engine import Engine, Examined
from edge.errors import RecordError
from edge.evidence.vision import Sighting
from edge.frames.sentinel import MIN_PAIRS
from edge.reasons import Reason
from edge.view import signs
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint
from edge.view.look import MALFORMED, Look

FORMAT = 2

_NO_TAPE = (ValueError, LookupError, TypeError, OSError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Tape:
    """What was seen of one recording."""

    masked: bool  # seen for the masked lane, in which people are looked for more often
    size: tuple[int, int]  # of the pictures: height and width, pixels
    view: bytes  # the fingerprint file that frames were compared with; empty: none
    not_judged: int  # pictures of the recording that were not decoded or had no usable time
    recording: str  # what is wrong with the recording; empty if all of it was seen
    captured_ns: NDArray[np.int64]  # from the first frame
    looks: NDArray[np.float64]  # (frames, 4): mean, std, sharpness, difference
    digests: NDArray[np.uint32]  # of the thumbnails
    malformed: NDArray[np.bool_]
    wrong: NDArray[np.uint8]  # (frames, 48): enrolled signs that do not agree, by block
    sightings: tuple[Sighting, ...]
    last: Sighting | None  # of the last frame, looked at once more

    def to_bytes(self) -> bytes:
        """The tape as a file."""
        facts = {
            "format": FORMAT,
            "masked": self.masked,
            "size": self.size,
            "not_judged": self.not_judged,
            "recording": self.recording,
            "sightings": [_plain(one) for one in self.sightings],
            "last": None if self.last is None else _plain(self.last),
        }
        text = json.dumps(facts, separators=(",", ":")).encode()
        out = io.BytesIO()
        np.savez_compressed(
            out,
            facts=np.frombuffer(text, np.uint8),
            view=np.frombuffer(self.view, np.uint8),
            captured_ns=self.captured_ns,
            looks=self.looks,
            digests=self.digests,
            malformed=self.malformed,
            wrong=self.wrong,
        )
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Tape:
        """Read a tape.

        Raises:
            RecordError: it is none of this format; `name` says which file.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as columns:
                facts = json.loads(columns["facts"].tobytes())
                if facts["format"] != FORMAT:
                    raise ValueError(f"expected format {FORMAT}, got {facts['format']!r}")
                last = facts["last"]
                tape = cls(
                    masked=bool(facts["masked"]),
                    size=(int(facts["size"][0]), int(facts["size"][1])),
                    view=columns["view"].tobytes(),
                    not_judged=int(facts["not_judged"]),
                    recording=str(facts["recording"]),
                    captured_ns=_column(columns, "captured_ns", np.int64),
                    looks=_column(columns, "looks", np.float64, 4),
                    digests=_column(columns, "digests", np.uint32),
                    malformed=_column(columns, "malformed", np.bool_),
                    wrong=_column(columns, "wrong", np.uint8, signs.BLOCKS),
                    sightings=tuple(_sighting(one) for one in facts["sightings"]),
                    last=None if last is None else _sighting(last),
                )
        except (
            ValueError,
            KeyError,
            TypeError,
            IndexError,
            OSError,
            EOFError,
            zipfile.BadZipFile,
        ) as err:
            raise RecordError(f"{name}: expected an evidence tape: {err}") from err
        lengths = {len(tape.captured_ns), len(tape.looks), len(tape.digests)}
        if lengths != {len(tape.wrong)} or lengths != {len(tape.malformed)}:
            raise RecordError(f"{name}: expected an evidence tape: its columns differ in length")
        return tape

    def moments(self) -> Iterator[TapeMoment]:
        """The frames in order, for a replay."""
        height, width = self.size
        for i, at_ns in enumerate(self.captured_ns.tolist()):
            yield TapeMoment(TapeFrame(i, (height, width, 3), height * width * 3), at_ns)


class TapeFrame(NamedTuple):
    """The substitute for a picture in a replay of a tape."""

    number: int
    shape: tuple[int, int, int]
    nbytes: int


class TapeMoment(NamedTuple):
    """One frame of a tape."""

    frame: TapeFrame
    captured_ns: int


class TapeExaminer:
    """Looks at what a tape holds; see `edge.replay.examiner.Examiner`."""

    def __init__(self, tape: Tape, fingerprint: Fingerprint | None) -> None:
        """`fingerprint` is the tape's view."""
        self._looks = tape.looks.tolist()
        self._digests, self._malformed = tape.digests.tolist(), tape.malformed.tolist()
        self._wrong = tape.wrong
        self._counts = None if fingerprint is None else fingerprint.counts
        self._over: dict[int, tuple[int, NDArray[np.intp]]] = {}  # pairs and wrong, by the blocks
        self._seen = {one.captured_ns: one for one in tape.sightings}
        self._last = tape.last
        self._now = MALFORMED

    @property
    def repeat(self) -> bool:
        return self._now.difference == 0.0

    def look(self, picture: TapeFrame, seen_blocks: int) -> Look:
        number = picture.number
        if self._malformed[number]:
            self._now = MALFORMED
        else:
            score = self._score(number, seen_blocks)
            mean, std, sharpness, change = self._looks[number]
            digest = self._digests[number]
            self._now = Look(score, mean, std, sharpness, change, digest, False)
        return self._now

    def examine(
        self, engine: Engine, picture: TapeFrame, captured_ns: int, *, final: bool
    ) -> Examined:
        seen = self._last if final else self._seen[captured_ns]
        assert seen is not None and seen.captured_ns == captured_ns  # both go by the same rule
        return engine.hear(seen)

    def _score(self, number: int, seen_blocks: int) -> float:
        """The share of agreeing signs over these blocks, as `Sentinel` finds it."""
        if self._counts is None:
            return 0.0
        found = self._over.get(seen_blocks)
        if found is None:
            blocks = signs.as_blocks(seen_blocks)
            wrong = self._wrong[:, blocks].sum(axis=1, dtype=np.intp)
            found = self._over[seen_blocks] = int(self._counts[blocks].sum()), wrong
        pairs, wrong = found
        return 0.0 if pairs < MIN_PAIRS else 1.0 - 255.0 * int(wrong[number]) / (255.0 * pairs)


def _plain(seen: Sighting) -> list[Any]:
    """A sighting as JSON: its fields in order, reasons by their codes."""
    return [_as_json(value) for value in astuple(seen)]


def _as_json(value: object) -> object:
    if isinstance(value, Reason):
        return value.value
    if isinstance(value, tuple):
        return [_as_json(one) for one in value]
    return value


def _sighting(found: list[Any]) -> Sighting:
    (
        captured_ns, height, width, people, boxes, faceless, view_open, view_continue,
        seen_blocks, unsettled, moving, shift, freshness, scene,
    ) = found  # fmt: skip
    return Sighting(
        int(captured_ns),
        int(height),
        int(width),
        bool(people),
        tuple(Box(*map(float, box)) for box in boxes),
        int(faceless),
        _reasons(view_open),
        _reasons(view_continue),
        int(seen_blocks),
        bool(unsettled),
        _reasons(moving),
        None if shift is None else float(shift),
        _reasons(freshness),
        None if scene is None else _reasons(scene),
    )


def _reasons(codes: list[str]) -> tuple[Reason, ...]:
    return tuple(Reason[code] for code in codes)


def _column(columns: Mapping[str, Any], name: str, dtype: type, wide: int = 0) -> NDArray[Any]:
    column: NDArray[Any] = columns[name]
    shape = (len(column), wide) if wide else (len(column),)
    if column.dtype != np.dtype(dtype) or column.shape != shape:
        raise ValueError(f"column {name} is {column.dtype} {column.shape}")
    return column
