"""Export the scene model to ONNX, check it against torch, and try it in INT8.

The graph takes the picture as the guard has it (uint8, BGR, one picture,
(1, 160, 160, 3)) and gives five probabilities; nothing is left to the caller.
Static INT8 (QDQ, per channel) is kept only where it is faster and agrees.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime import quantization
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from bench.lite0 import Lite0
from bench.scene_augment import SIZE, plain

MAX_DIFFERENCE = 1e-3  # between torch and the export, in probability
MAX_LOSS = 0.005  # of agreement that INT8 may cost


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
    net: Lite0, head: nn.Linear, temperature: float, out: Path, sample: Sequence[Path]
) -> dict[str, object]:
    """Write the better of FP32 and INT8 to `out`; returns what was measured."""
    whole = _Whole(net, head, temperature).eval()
    pictures = [plain(cv2.imread(str(path))) for path in sample]
    truth = _torch_answers(whole, pictures)
    with tempfile.TemporaryDirectory() as scratch:
        full, small = Path(scratch) / "full.onnx", Path(scratch) / "small.onnx"
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
        answers, full_ms = _onnx_answers(full, pictures)
        worst = float(np.abs(answers - truth).max())
        if worst > MAX_DIFFERENCE:
            raise SystemExit(f"export differs from torch by {worst:.4f}")
        _quantise(full, small, pictures)
        quick, small_ms = _onnx_answers(small, pictures)
        agreement = float((quick.argmax(1) == truth.argmax(1)).mean())
        use_small = small_ms < full_ms and agreement >= 1 - MAX_LOSS
        out.write_bytes((small if use_small else full).read_bytes())
    return {
        "kept": "INT8" if use_small else "FP32",
        "difference_from_torch": round(worst, 7),
        "int8_agreement": round(agreement, 4),
        "int8_mean_change": round(float(np.abs(quick - truth).mean()), 4),
        "fp32_ms": round(full_ms, 2),
        "int8_ms": round(small_ms, 2),
        "bytes": out.stat().st_size,
    }


def _quantise(full: Path, small: Path, pictures: Sequence[np.ndarray]) -> None:
    ready = small.with_name("ready.onnx")
    quant_pre_process(str(full), str(ready), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(ready),
        str(small),
        _Reader(pictures[: len(pictures) // 2]),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        calibrate_method=quantization.CalibrationMethod.MinMax,
        op_types_to_quantize=["Conv", "Add"],
    )


def _torch_answers(whole: _Whole, pictures: Sequence[np.ndarray]) -> np.ndarray:
    with torch.inference_mode():
        return np.concatenate([whole(torch.from_numpy(p[None])).numpy() for p in pictures])


def _onnx_answers(path: Path, pictures: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """Probabilities, and the median time of one picture on one core in milliseconds."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    answers, times = [], []
    for picture in pictures:
        began = time.perf_counter()
        answers.append(session.run(None, {"image": picture[None]})[0])
        times.append(time.perf_counter() - began)
    return np.concatenate(answers), float(np.median(times)) * 1e3
