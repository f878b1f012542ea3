"""Enrolment with somebody in the picture: what the guard says, and whether following it helps.

    python -m tests.support.enrolments --data ../shared/data
    python -m tests.support.enrolments --data ../shared/data --only bedroom

A case is a place that is known empty, and somebody in front of it. It is enrolled as at a
site, by the code of `framegate camera enroll`, from files. A refusal is followed to the
letter: the first step that its message names is taken, up to three times; and where the
first message names --mask-people too, that alone must do. A case is right if every
message names a true cause and the view is enrolled in the end. No view may have somebody
in it: a block with the contrasts that enrol one, where somebody stood for half of every take.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from edge.commissioning.enrol_view import Request, enroll
from edge.commissioning.keys import KeyStore
from edge.errors import EnrolmentError
from edge.view import signs
from edge.view.enrol import MIN_PER_BLOCK
from edge.view.enrolment.takes import pairs_where
from edge.view.fingerprint import Fingerprint
from tests.support import render
from tests.support.enrolment_cases import CASES, FPS, FRAMES, Case, Footage

ROUNDS = 3  # steps that are followed
STOOD = 0.5  # share of a place and of a take
SOMEBODY = ("people", "somebody")


class Step(Enum):
    """What a message may advise; the value is how it says so."""

    EMPTY = "enrol while nobody is in the picture"
    MASK = "--mask-people"
    TAKE = "add a take"
    WIDER = "show more of the room"
    LIGHT = "turn the camera from the light"
    STEADY = "fix the camera"
    OVERRIDE = "--override"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One enrolment of a case."""

    message: str  # empty if the view was enrolled
    true: bool  # the first cause named is so
    view: Fingerprint | None
    peopled: int  # blocks enrolled of somebody

    @property
    def steps(self) -> list[Step]:
        """The steps that the message names, in its order."""
        named = [step for step in Step if step.value in self.message]
        return sorted(named, key=lambda step: self.message.index(step.value))


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one case."""

    case: Case
    attempts: tuple[Attempt, ...]
    masked: Attempt | None  # where the first message names that too

    @property
    def right(self) -> bool:
        """Nothing untrue was said, and the view was enrolled with nobody in it."""
        true = all(one.true for one in self.attempts)
        led = all(one.view is not None for one in (self.attempts[-1], self.masked) if one)
        return true and led and not self.peopled

    @property
    def peopled(self) -> int:
        """The most blocks of a view that came out where somebody stood."""
        return max(one.peopled for one in (*self.attempts, self.masked) if one)


class Trial:
    """Enrols cases in a scratch folder."""

    def __init__(self, footage: Footage, scratch: Path) -> None:
        self._footage, self._scratch = footage, scratch
        self._keys = KeyStore.init(scratch / "keys")
        self._second = KeyStore.init(scratch / "second")

    def run(self, case: Case, begin: set[Step]) -> Result:
        """Enrol with these options, follow what is advised, and enrol again."""
        frames, shares = self._footage.take(case)
        takes, stood, options = [self._write("first", frames)], _stood(shares), set(begin)
        attempts = [self._attempt(case, takes, stood, options, somebody=bool(case.people))]
        masked = None
        if Step.MASK in attempts[0].steps[1:]:
            masked = self._attempt(case, takes, stood, options | {Step.MASK}, somebody=True)
        for number in range(ROUNDS):
            if attempts[-1].view is not None or not attempts[-1].steps:
                break
            step, somebody = attempts[-1].steps[0], bool(case.people)
            if step is Step.TAKE:
                frames, shares = self._footage.take(case, mirrored=True)
                takes.append(self._write(f"take{number}", frames))
                stood = stood & _stood(shares)
            elif step in (Step.EMPTY, Step.WIDER) or not stood.any():  # from now on, nobody
                wider = step is Step.WIDER or Step.WIDER in options
                takes = [self._write(f"empty{number}", self._footage.empty(case, wider=wider))]
                stood, somebody = np.zeros_like(stood), False
            options.add(step)
            attempts.append(self._attempt(case, takes, stood, options, somebody=somebody))
        return Result(case, tuple(attempts), masked)

    def _write(self, name: str, frames: list[render.View]) -> Path:
        return render.write_clip(self._scratch / f"{name}.avi", frames, FPS)

    def _attempt(
        self,
        case: Case,
        takes: list[Path],
        stood: np.ndarray,
        options: set[Step],
        *,
        somebody: bool,
    ) -> Attempt:
        request = Request(
            sources=tuple(str(take) for take in takes),
            out=self._scratch / "till.view",
            seconds=FRAMES / FPS,
            mask_people=Step.MASK in options,
            enforce=True,
            override=self._second if Step.OVERRIDE in options else None,
        )
        try:
            view = enroll(request, self._keys).fingerprint
        except EnrolmentError as err:
            return Attempt(str(err), _true(str(err), case, somebody=somebody), None, 0)
        on_somebody = np.where(pairs_where(stood), view.mask, 0).astype(np.uint8)
        return Attempt("", True, view, int((signs.per_block(on_somebody) >= MIN_PER_BLOCK).sum()))


def _stood(shares: np.ndarray) -> np.ndarray:
    """The places of the thumbnail that are a person for half the take."""
    return np.asarray(np.median(shares, axis=0) >= STOOD)


def _true(message: str, case: Case, *, somebody: bool) -> bool:
    """Whether the first cause of a refusal is so."""
    first = message.partition(":")[0]
    if "what looks like" in first:
        return somebody or not case.people  # a curtain moves
    if any(word in first for word in SOMEBODY):
        return somebody
    if "lively" in first or "not steady" in first:
        return somebody or not case.people
    if "plain" in first:
        return case.place.startswith("plain:")
    if "private interior" in first:
        return not somebody
    return False


def main() -> int:
    """Try the cases; 1 if one was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the evaluation footage")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="cases so named")
    parser.add_argument(
        "--clips", type=Path, metavar="DIR", help="write the first takes there, and enrol nothing"
    )
    parser.add_argument(
        "--mask-people", action="store_true", help="begin with --mask-people, not without"
    )
    args = parser.parse_args()
    chosen = [c for c in CASES if not args.only or any(word in c.name for word in args.only)]
    if args.clips:
        return _write_clips(chosen, Footage(args.data), args.clips)
    right = peopled = 0
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(Footage(args.data), Path(scratch))
        for number, case in enumerate(chosen, 1):
            result = trial.run(case, {Step.MASK} if args.mask_people else set())
            right += result.right
            peopled += result.peopled > 0
            print(f"[{number}/{len(chosen)}] {case.name}: {'right' if result.right else 'WRONG'}")
            for one in result.attempts:
                print("   ", _line(one))
            if result.masked is not None:
                print("    masked:", _line(result.masked))
            sys.stdout.flush()
    print(f"{right} of {len(chosen)} enrolled or named the true cause and the step that worked")
    print(f"{peopled} views enrolled with somebody in them")
    return int(right < len(chosen) or peopled > 0)


def _write_clips(cases: list[Case], footage: Footage, out: Path) -> int:
    """The takes as recordings, for `framegate evaluate --scene`."""
    out.mkdir(parents=True, exist_ok=True)
    rows = ["file,kind,camera,setting"]
    for case in cases:
        setting = "uncontrolled" if case.public else "controlled"
        render.write_clip(out / f"{case.name}.mp4", footage.take(case)[0], FPS)
        rows.append(f"{case.name}.mp4,video,stationary,{setting}")
    (out / "MANIFEST.csv").write_text("\n".join(rows) + "\n")
    return 0


def _line(one: Attempt) -> str:
    if one.view is None:
        return f"refused{'' if one.true else ', WRONG CAUSE'}: {one.message}"
    peopled = f", SOMEBODY in {one.peopled} blocks" if one.peopled else ""
    blocks = int((one.view.counts > 0).sum())
    return f"enrolled, {blocks} blocks, scene {one.view.file.scene.value}{peopled}"


if __name__ == "__main__":
    sys.exit(main())
