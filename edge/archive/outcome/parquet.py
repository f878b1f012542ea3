"""Tapes as Parquet, for other tools: one row a frame, zstd-compressed columns.

Columns of what an evidence frame shows are null in every other frame. The tape in the store
stays the only one that is judged: a tool that writes a Parquet file anew changes its bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from edge.archive.tape import Tape
from edge.errors import UsageError
from edge.evidence.vision import Sighting
from edge.reasons import Reason
from edge.replay.engine import START_NS


def parquet(tape: Tape, about: Mapping[str, str]) -> bytes:
    """A tape as a Parquet file.

    Args:
        about: said in the file's metadata beside what the tape says of itself.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as err:
        raise UsageError("archive export needs pyarrow: pip install 'framegate[parquet]'") from err
    codes = pa.list_(pa.string())
    frames = {
        "captured_ns": pa.array(tape.captured_ns),
        "mean": pa.array(tape.looks[:, 0]),
        "std": pa.array(tape.looks[:, 1]),
        "sharpness": pa.array(tape.looks[:, 2]),
        "difference": pa.array(tape.looks[:, 3]),
        "digest": pa.array(tape.digests),
        "malformed": pa.array(tape.malformed),
        "liveness": pa.array([_codes(why) for why in tape.liveness.values()], codes),
        "wrong_signs": pa.FixedSizeListArray.from_arrays(
            pa.array(tape.wrong.ravel()), tape.wrong.shape[1]
        ),
    }
    looked = {one.captured_ns - START_NS: one for one in tape.sightings}
    seen = [looked.get(at_ns) for at_ns in tape.captured_ns.tolist()]  # None: nobody looked
    for name in ("view_open", "view_continue", "moving", "freshness", "scene"):
        frames[name] = pa.array([one and _codes(getattr(one, name)) for one in seen], codes)
    for name, kind in (
        ("people", pa.bool_()),
        ("faces", pa.int32()),
        ("faceless", pa.int32()),
        ("unsettled", pa.bool_()),
        ("seen_blocks", pa.int64()),
        ("shift", pa.float64()),
    ):
        frames[name] = pa.array([one and _value(one, name) for one in seen], kind)
    says = {
        "masked": str(tape.masked).lower(),
        "height": str(tape.size[0]),
        "width": str(tape.size[1]),
        "not_judged": str(tape.not_judged),
        "recording": tape.recording,
    }
    table = pa.table(frames).replace_schema_metadata({**says, **about})
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _value(seen: Sighting, name: str) -> Any:
    return len(seen.boxes) if name == "faces" else getattr(seen, name)


def _codes(reasons: tuple[Reason, ...] | None) -> list[str] | None:
    return None if reasons is None else [reason.value for reason in reasons]
