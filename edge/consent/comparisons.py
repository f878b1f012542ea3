"""What a matcher's lane lets its model put out, and how often it may compare.

A matcher declares its lane; the shapes its model declares are checked against
that lane's allow-list, so a "landmark" model that also emits a vector is
refused. Shapes limit a model but prove nothing: what a lane's numbers reveal is for
the tests of the model. Comparisons are counted a probe: one claimed reference
is 1:1, anything more is a search (GD-09).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ModelError
from edge.lease import Lane
from edge.models.onnx_file import has_external_data

BOX_NUMBERS = 16  # box, score, class and five landmarks
MIN_CELLS = 8  # a map of fewer cells a side is a vector in disguise
_SEEING = frozenset({Lane.DETECT, Lane.DETECT_EVENT, Lane.REDACT, Lane.VIEW_MASKED})
_SCORES = frozenset(
    {Lane.DETECT_DROWSINESS, Lane.INFER_ATTRIBUTE, Lane.INFER_EMOTION, Lane.SOCIAL_SCORE}
)
_PLATE_SIGNS = 24  # positions in a plate's text
_PLATE_ALPHABET = 64


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a model as the file declares it; None is a free size."""

    name: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = "x".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} ({sizes or 'scalar'})"


def read_outputs(model: Path, data: bytes) -> tuple[Output, ...]:
    """The outputs that the ONNX file `data` declares; `model` is its name, for messages.

    Raises:
        ModelError: it cannot be read as a model, or keeps weights in other files.
    """
    from edge.models.runtime import REFUSALS, onnxruntime

    if has_external_data(data):
        raise ModelError(
            f"{model} keeps weights in other files, which its digest does not cover: "
            "save it as one file"
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # one error reports a bad file, below
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except REFUSALS as err:
        raise ModelError(f"{model} is not a usable ONNX model: {str(err)[:80]!r}") from err
    return tuple(
        Output(out.name, tuple(size if isinstance(size, int) else None for size in out.shape))
        for out in session.get_outputs()
    )


def check_outputs(lane: Lane, outputs: Sequence[Output]) -> None:
    """See that a model may serve a lane.

    Raises:
        ModelError: it puts out nothing, or something its lane does not allow.
    """
    if lane is Lane.TRANSCRIBE:
        raise ModelError("the lane transcribe_audio gets no frames, so no model may serve it here")
    if not outputs:
        raise ModelError("the model declares no output")
    if lane.identifying or lane is Lane.EXPORT:
        return
    for output in outputs:
        if not _allowed(lane, output.shape):
            raise ModelError(f"lane {lane.value} does not allow the output {output}")


def _allowed(lane: Lane, shape: tuple[int | None, ...]) -> bool:
    batched = len(shape) == 4 or (len(shape) > 1 and shape[0] in (1, None))
    sizes = shape[1:] if batched else shape
    if lane in _SCORES:
        return len(sizes) <= 1 and _at_most(sizes, BOX_NUMBERS)
    if lane is Lane.READ_PLATE:
        return (
            len(sizes) <= 2
            and _at_most(sizes, _PLATE_ALPHABET)
            and _at_most(sizes[:-1], _PLATE_SIGNS)
        )
    if lane not in _SEEING:
        return False
    if len(sizes) == 3:  # channels, rows, columns
        cells = all(size is None or size >= MIN_CELLS for size in sizes[1:])
        return cells and _at_most(sizes[:1], BOX_NUMBERS)
    if len(sizes) == 2:  # detections, numbers each
        return _at_most(sizes[1:], BOX_NUMBERS)
    return len(sizes) <= 1 and _at_most(sizes, BOX_NUMBERS)


def _at_most(sizes: Sequence[int | None], limit: int) -> bool:
    return all(size is not None and size <= limit for size in sizes)


class Comparisons:
    """Counts what one probe is compared with, while the same person may be there."""

    def __init__(self) -> None:
        self._claimed: str | None = None
        self._compared: set[str] = set()
        self._claims: set[str] = set()

    def claim(self, reference: str) -> None:
        """The person says which reference is theirs."""
        self._claimed = reference
        self._claims.add(reference)

    def compare(self, reference: str) -> None:
        """The matcher compared the probe with this reference."""
        self._compared.add(reference)

    def nobody(self) -> None:
        """The picture is empty: the next face is another probe."""
        self._claimed = None
        self._compared.clear()
        self._claims.clear()

    @property
    def counting(self) -> bool:
        """Whether a reference was claimed or compared since the picture was last empty."""
        return bool(self._claims or self._compared)

    @property
    def split_search(self) -> bool:
        """Whether a claimed 1:1 comparison is a search: many references, or an unclaimed one."""
        unclaimed = self._compared - {self._claimed}
        return bool(unclaimed) or len(self._compared | self._claims) > 1
