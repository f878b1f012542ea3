"""The evidence tape: what was seen in each frame of one recording, without a picture.

An archive keeps tapes, so that what another policy, record or session would have
decided is found without video and without models. A tape holds for each frame what the
sentinel found, with the wrong signs counted block by block (the judge says over which
blocks they count), and a `Sighting` for each evidence frame. `edge.archive.columns` says how it is
stored; equal tapes have equal bytes.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.archive.columns import UNREADABLE, Coded, Kind, pack, unpack
from edge.decision.engine import Engine, Examined
from edge.errors import RecordError, wrong_in
from edge.evidence.vision import Sighting
from edge.frames.sentinel import MIN_PAIRS
from edge.reasons import Reason
from edge.replay.engine import START_NS
from edge.view import signs
from edge.view.box import Box
from edge.view.fingerprint import Fingerprint
from edge.view.look import MALFORMED, Look

FORMAT = 3

_COLUMNS = {
    "view": Kind("<u1"),
    "captured_ns": Kind("<i8"),
    "looks": Kind("<f8", 4),
    "digests": Kind("<u4"),
    "malformed": Kind("?"),
    "wrong": Kind("<u1", signs.BLOCKS),
    "liveness": Kind("<u2"),
}
_BY_FRAME = ("captured_ns", "looks", "digests", "malformed", "wrong")  # a row for each


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
    liveness: Coded[tuple[Reason, ...]]  # what each frame holds against a live camera
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
            "liveness": [_as_json(one) for one in self.liveness.table],
            "sightings": [_plain(one) for one in self.sightings],
            "last": None if self.last is None else _plain(self.last),
        }
        view = np.frombuffer(self.view, np.uint8)
        frames = {name: getattr(self, name) for name in _BY_FRAME}
        return pack(facts, {"view": view, **frames, "liveness": self.liveness.rows})

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Tape:
        """Read a tape.

        Raises:
            RecordError: it is none of this format; `name` says which file.
        """
        with wrong_in(f"{name}: expected an evidence tape", *UNREADABLE, as_=RecordError):
            facts, columns = unpack(data, FORMAT, _COLUMNS)
            last = facts["last"]
            tape = cls(
                masked=bool(facts["masked"]),
                size=(int(facts["size"][0]), int(facts["size"][1])),
                view=columns["view"].tobytes(),
                not_judged=int(facts["not_judged"]),
                recording=str(facts["recording"]),
                **{name: columns[name] for name in _BY_FRAME},
                liveness=Coded(tuple(map(_reasons, facts["liveness"])), columns["liveness"]),
                sightings=_sightings(facts["sightings"]),
                last=None if last is None else _sighting(last, _boxes(last[4])),
            )
            if {len(columns[name]) for name in _BY_FRAME} != {len(tape.liveness.rows)}:
                raise ValueError("its columns differ in length")
        return tape


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
        self._tape = tape
        self.captured_ns: list[int] = tape.captured_ns.tolist()
        self.malformed: list[bool] = tape.malformed.tolist()
        self.repeats = (~tape.malformed & (tape.looks[:, 3] == 0.0)).tolist()  # same pixels again
        self.nbytes = tape.size[0] * tape.size[1] * 3
        self._counts = None if fingerprint is None else fingerprint.counts
        self.liveness = tape.liveness.values()
        self._seen = {one.captured_ns: one for one in tape.sightings}
        self._now = MALFORMED

    @property
    def repeat(self) -> bool:
        return self._now.difference == 0.0

    def moment(self, number: int) -> TapeMoment:
        """A frame of the tape; -1 is the last."""
        frame = range(len(self.captured_ns))[number]
        size = (*self._tape.size, 3)
        return TapeMoment(TapeFrame(frame, size, self.nbytes), self.captured_ns[frame])

    def look(self, picture: TapeFrame, seen_blocks: int) -> Look:
        number = picture.number
        if self.malformed[number]:
            self._now = MALFORMED
        else:
            score = self.score(number, seen_blocks)
            mean, std, sharpness, change = self._tape.looks[number].tolist()
            digest = int(self._tape.digests[number])
            self._now = Look(score, mean, std, sharpness, change, digest, False)
        return self._now

    def examine(
        self, engine: Engine, picture: TapeFrame, captured_ns: int, *, final: bool
    ) -> Examined:
        return engine.receive(self.sighting(captured_ns, final=final))

    def sighting(self, captured_ns: int, *, final: bool) -> Sighting:
        """What was seen in the evidence frame of this time, or in the last frame."""
        seen = self._tape.last if final else self._seen[captured_ns]
        assert seen is not None and seen.captured_ns == captured_ns  # both go by the same rule
        return seen

    def score(self, number: int, seen_blocks: int) -> float:
        """The share of agreeing signs over these blocks, as `Sentinel` finds it."""
        for blocks, scores in self._likely:
            if blocks[number] == seen_blocks:
                return scores[number]
        if self._counts is None:
            return 0.0
        places = np.flatnonzero(signs.as_blocks(seen_blocks))
        wrong, pairs = self._tape.wrong[number, places].sum(dtype=int), self._counts[places].sum()
        return 0.0 if pairs < MIN_PAIRS else 1.0 - 255.0 * int(wrong) / (255.0 * int(pairs))

    @cached_property
    def _likely(self) -> list[tuple[list[int], list[float]]]:
        """For each frame, blocks that it is probably compared over, and its score over these.

        Those are the blocks seen in the last evidence frame before it, or in the one before that.
        """
        if self._counts is None:
            return []
        seen = [signs.ALL_BLOCKS, signs.ALL_BLOCKS]
        seen += [one.seen_blocks & signs.ALL_BLOCKS for one in self._tape.sightings]
        blocks = np.array(seen, np.uint64)
        chosen = (blocks[:, None] >> np.arange(signs.BLOCKS, dtype=np.uint64) & 1).astype(np.uint8)
        pairs = chosen @ self._counts.astype(np.intp)
        times = [one.captured_ns - START_NS for one in self._tape.sightings]
        before = np.searchsorted(times, self._tape.captured_ns)  # how many evidence frames
        found = []
        for row in (before + 1, before):
            wrong = (self._tape.wrong * chosen[row]).sum(axis=1, dtype=np.intp)
            over = pairs[row]
            scores = 1.0 - 255.0 * wrong / (255.0 * np.maximum(over, 1))
            scores[over < MIN_PAIRS] = 0.0
            found.append((blocks[row].tolist(), scores.tolist()))
        return found


def _plain(seen: Sighting) -> list[Any]:
    """A sighting as JSON: its fields in order, reasons by their codes."""
    return [_as_json(value) for value in astuple(seen)]


def _as_json(value: object) -> object:
    if isinstance(value, Reason):
        return value.value
    if isinstance(value, tuple):
        return [_as_json(one) for one in value]
    return value


def _sightings(found: list[list[Any]]) -> tuple[Sighting, ...]:
    """What was seen, in order; faces that were not looked for anew are one object."""
    made: list[Sighting] = []
    last: list[Any] = []
    boxes: tuple[Box, ...] = ()
    for one in found:
        if one[4] != last:
            last = one[4]
            boxes = _boxes(last)
        made.append(_sighting(one, boxes))
    return tuple(made)


def _boxes(found: list[Any]) -> tuple[Box, ...]:
    return tuple([Box(*map(float, box)) for box in found])


def _sighting(found: list[Any], boxes: tuple[Box, ...]) -> Sighting:
    (
        captured_ns, height, width, people, _, faceless, view_open, view_continue,
        seen_blocks, unsettled, moving, shift, freshness, scene,
    ) = found  # fmt: skip
    return Sighting(
        int(captured_ns),
        int(height),
        int(width),
        bool(people),
        boxes,
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
    return _known(tuple(codes))


@cache
def _known(codes: tuple[str, ...]) -> tuple[Reason, ...]:
    return tuple(Reason[code] for code in codes)
