"""The matcher's models: what the signed record names, checked before the matcher starts.

A matcher declares its lane by the session and its models by the device record.
Each file must have the digest named there, and put out only what the lane
allows. What else a matcher carries inside its own program is not seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from edge.consent.comparisons import check_outputs, read_outputs
from edge.errors import ModelError, failing, wrong_in
from edge.files import MODEL_BYTES, read_named
from edge.lease import Lane
from edge.policy.selection import Chosen
from edge.reasons import Reason


def check_matcher(lane: Lane, models: Iterable[tuple[Path, str]], chosen: Chosen) -> None:
    """See that the matcher's models are those named, and fit for its lane.

    Raises:
        ModelError: `MODEL_DIGEST` or `MODEL_LANE`, and which file.
        BundleError: the installed bundle names models, and not this one.
    """
    named = tuple(models)
    for path, sha256 in named:
        with failing(f"{Reason.MODEL_DIGEST.value}: cannot read {path}", as_=ModelError):
            data = read_named(path, MODEL_BYTES)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise ModelError(
                f"{Reason.MODEL_DIGEST.value}: {path} is not the model the device record names"
            )
        with wrong_in(f"{Reason.MODEL_LANE.value}: {path}", ModelError, as_=ModelError):
            check_outputs(lane, read_outputs(path, data))
    chosen.check_models(named)
