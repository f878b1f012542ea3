"""ONNX Runtime, as this product imports it: one thread, one arena, and its telemetry off.

From 1.29 on the Linux builds report the sessions they run (model names, hashes,
operators) to a collector on the network, unless told not to before they are
loaded. A guard tells nobody anything: every import of ONNX Runtime is this one.

All models of a process take their working memory from one arena that grows by what
is asked for: they run one after another, and each for itself would hold its own
peak for good.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from edge.errors import ModelError

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # whatever it was before

import onnxruntime

__all__ = ["REFUSALS", "ask", "load", "onnxruntime"]

_errors = onnxruntime.capi.onnxruntime_pybind11_state
REFUSALS = (  # what the engine raises; there is no common class
    _errors.EPFail,
    _errors.Fail,
    _errors.InvalidArgument,
    _errors.InvalidGraph,
    _errors.InvalidProtobuf,
    _errors.NoModel,
    _errors.NoSuchFile,
    _errors.NotImplemented,
    _errors.RuntimeException,
)
_CHUNK_BYTES = 1 << 20
_AS_ASKED = 1  # kSameAsRequested: an arena that doubles holds up to twice what it needs


def load(data: bytes, what: str) -> onnxruntime.InferenceSession:
    """The model in `data`, ready to run; `what` is its name for messages.

    Raises:
        ModelError: the engine cannot use it.
    """
    _share_an_arena()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # it would plan a block for each model apart
    options.log_severity_level = 4  # the error reports it once
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        session = onnxruntime.InferenceSession(data, options, ["CPUExecutionProvider"])
    except REFUSALS as err:
        raise ModelError(f"{what} cannot be loaded: {str(err)[:80]!r}") from err
    session.disable_fallback()  # it keeps `data` to begin again with another provider:
    session._model_bytes = None  # there is none, and the engine has its own copy of the weights
    return session


def ask(
    session: onnxruntime.InferenceSession,
    outputs: Sequence[str] | None,
    inputs: Mapping[str, np.ndarray],
    what: str,
) -> list[Any]:
    """What the model answers.

    Raises:
        ModelError: it failed.
        MemoryError: it could get no memory.
    """
    try:
        found: list[Any] = session.run(outputs, dict(inputs))
    except REFUSALS as err:
        if "alloc" in str(err):  # the engine has one class for all that goes wrong inside
            raise MemoryError(f"{what}: {str(err)[:80]}") from err
        raise ModelError(f"{what} failed: {str(err)[:80]}") from err
    return found


@cache
def _share_an_arena() -> None:
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    config = {
        "arena_extend_strategy": _AS_ASKED,
        "initial_chunk_size_bytes": _CHUNK_BYTES,
        "max_dead_bytes_per_chunk": -1,
        "initial_growth_chunk_size_bytes": -1,
    }
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(config))
