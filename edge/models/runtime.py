"""ONNX Runtime, as this product imports it: with its telemetry off.

From 1.29 on the Linux builds report the sessions they run (model names, hashes,
operators) to a collector on the network, unless told not to before they are
loaded. A guard tells nobody anything: every import of ONNX Runtime is this one.
"""

from __future__ import annotations

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # whatever it was before

import onnxruntime

__all__ = ["onnxruntime"]
