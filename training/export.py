"""Export the scene model to ONNX, check it against torch, and try it in INT8.

The graph takes the picture as the guard has it (uint8, BGR, one picture,
(1, 160, 160, 3)) and gives five probabilities; nothing is left to the caller.
Static INT8 (QDQ, per channel) is tried by several recipes and kept only where it is
faster and costs no more than half a point of accuracy on labelled pictures.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from edge.models.runtime import onnxruntime
from training.augment import SIZE, plain
from training.lite0 import Lite0

MAX_DIFFERENCE = 1e-3  # between torch and the export, in probability
MAX_LOSS = 0.005  # of accuracy that INT8 may cost
CALIBRATED = 160  # pictures that set the ranges; the others judge
MIN_CALIBRATED = 32  # with fewer, INT8 is not tried
_Method = quantization.CalibrationMethod


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way of making INT8 out of FP32."""

    name: str
    method: _Method
    activations: quantization.QuantType = quantization.QuantType.QUInt8
    spare: tuple[str, ...] = ()  # ends of the network left in FP32: "first", "last"


RECIPES = (
    Recipe("min-max", _Method.MinMax),
    Recipe("min-max, first and last in FP32", _Method.MinMax, spare=("first", "last")),
    Recipe("min-max, S8S8", _Method.MinMax, quantization.QuantType.QInt8),
    Recipe("percentile, first and last in FP32", _Method.Percentile, spare=("first", "last")),
    Recipe("entropy, first and last in FP32", _Method.Entropy, spare=("first", "last")),
)


class _Whole(nn.Module):
    """Pixels to probabilities."""

    def __init__(self, net: Lite0, head: nn.Linear, temperature: float) -> None:
        super().__init__()
        self.net, self.head, self.temperature = net, head, temperature

    def forward(self, image: Tensor) -> Tensor:
        rgb = image.flip(3).permute(0, 3, 1, 2).float()
        return torch.softmax(self.head(self.net(rgb)) / self.temperature, dim=1)


class _Reader(quantization.CalibrationDataReader):
    def __init__(self, pictures: Sequence[np.ndarray]) -> None:
        self._rest = iter(pictures)

    def get_next(self) -> dict[str, np.ndarray] | None:
        picture = next(self._rest, None)
        return None if picture is None else {"image": picture[None]}


def export(
    net: Lite0,
    head: nn.Linear,
    temperature: float,
    out: Path,
    sample: Sequence[Path],
    labels: np.ndarray,
) -> dict[str, object]:
    """Write the better of FP32 and INT8 to `out`; returns what was measured.

    Args:
        net: the network the head belongs to.
        head: its linear classifier.
        temperature: by which its answers are divided.
        out: the file to write.
        sample: readable pictures in random order; the first part of them calibrates.
        labels: index of the class of each, shape (N,).
    """
    whole = _Whole(net, head, temperature).eval()
    pictures = [plain(cv2.imread(str(path))) for path in sample]
    split = min(CALIBRATED, len(pictures) // 2)
    judged, truth = pictures[split:], labels[split:]
    expected = _torch_answers(whole, judged)
    with tempfile.TemporaryDirectory() as scratch:
        full = Path(scratch) / "full.onnx"
        torch.onnx.export(
            whole,
            (torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8),),
            str(full),
            input_names=["image"],
            output_names=["probabilities"],
            opset_version=17,
            dynamo=False,
        )
        onnx.checker.check_model(str(full))
        answers, full_ms = _onnx_answers([full], judged)
        worst = float(np.abs(answers[0] - expected).max())
        if worst > MAX_DIFFERENCE:
            raise SystemExit(f"export differs from torch by {worst:.4f}")
        tried: list[dict[str, Any]] = []
        if split >= MIN_CALIBRATED:
            tried = compare_int8(full, pictures[:split], judged, truth, Path(scratch))
        good = [t for t in tried if t["points_lost"] <= MAX_LOSS * 100 and t["of_fp32"] < 1]
        best = min(good, key=lambda t: float(t["points_lost"]), default=None)
        data = (full if best is None else best["path"]).read_bytes()
    partial = out.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(out)
    return {
        "kept": "FP32" if best is None else f"INT8 ({best['recipe']})",
        "difference_from_torch": round(worst, 7),
        "fp32_ms": round(full_ms[0], 2),
        "judged_on": len(judged),
        "int8": [{k: v for k, v in t.items() if k != "path"} for t in tried],
        "bytes": len(data),
    }


def compare_int8(
    full: Path,
    calibration: Sequence[np.ndarray],
    judged: Sequence[np.ndarray],
    labels: np.ndarray,
    scratch: Path,
) -> list[dict[str, Any]]:
    """Each recipe's accuracy against that of the model in `full`, in points, and its time."""
    ready = scratch / "ready.onnx"
    quant_pre_process(str(full), str(ready), skip_symbolic_shape=True)
    tried = []
    for number, recipe in enumerate(RECIPES):
        path = scratch / f"small-{number}.onnx"
        _quantise(ready, path, recipe, calibration)
        (exact, answers), (full_ms, ms) = _onnx_answers([full, path], judged)
        lost = (exact.argmax(1) == labels).mean() - (answers.argmax(1) == labels).mean()
        agreed = (answers.argmax(1) == exact.argmax(1)).mean()
        result = {
            "recipe": recipe.name,
            "points_lost": round(100 * float(lost), 2),
            "agreement": round(float(agreed), 4),
            "mean_change": round(float(np.abs(answers - exact).mean()), 4),
            "of_fp32": round(ms / full_ms, 3),
        }
        print("INT8", result, flush=True)
        tried.append({**result, "path": path})
    return tried


def _quantise(ready: Path, small: Path, recipe: Recipe, pictures: Sequence[np.ndarray]) -> None:
    convolutions = [n.name for n in onnx.load(str(ready)).graph.node if n.op_type == "Conv"]
    ends = {"first": convolutions[:2], "last": convolutions[-1:]}
    quantization.quantize_static(
        str(ready),
        str(small),
        _Reader(pictures),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=recipe.activations,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=recipe.method,
        op_types_to_quantize=["Conv", "Add"],
        nodes_to_exclude=[name for end in recipe.spare for name in ends[end]],
        extra_options={"ActivationSymmetric": recipe.activations == quantization.QuantType.QInt8},
    )


def _torch_answers(whole: _Whole, pictures: Sequence[np.ndarray]) -> np.ndarray:
    with torch.inference_mode():
        return np.concatenate([whole(torch.from_numpy(p[None])).numpy() for p in pictures])


def _onnx_answers(
    paths: Sequence[Path], pictures: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[float]]:
    """For each model, asked in turns: probabilities, and the median time of one picture.

    The time is in milliseconds, on one core.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    models = [
        onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"]) for path in paths
    ]
    answers: list[list[np.ndarray]] = [[] for _ in models]
    times: list[list[float]] = [[] for _ in models]
    for picture in pictures:
        for session, found, spent in zip(models, answers, times, strict=True):
            began = time.perf_counter()
            found.append(session.run(None, {"image": picture[None]})[0])
            spent.append(time.perf_counter() - began)
    return [np.concatenate(a) for a in answers], [float(np.median(t)) * 1e3 for t in times]
