"""Features of every picture and its altered copies, computed once and kept on disk.

The first `BLOCKS` blocks of the network stay as they were published; their
output is kept in half precision, so that the rest can be trained in minutes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from bench.lite0 import Lite0
from bench.scene_augment import SIZE, augment, plain
from bench.scene_data import Picture, read

BLOCKS = 11  # of 16; their output at 160 px is 112 x 10 x 10
SHAPE = (112, 10, 10)


@dataclass(frozen=True, slots=True)
class Cache:
    """Trunk outputs: copy 0 of each picture is the plain one."""

    trunk: np.ndarray  # (pictures, copies, 112, 10, 10) float16
    usable: np.ndarray  # (pictures,) bool


def compute(
    net: Lite0,
    pictures: list[Picture],
    people: list[np.ndarray],
    *,
    copies: int,
    seed: int,
    work: Path,
) -> Cache:
    """Compute, or read back, the trunk outputs; a stopped run goes on where it was."""
    work.mkdir(parents=True, exist_ok=True)
    names = [f"{p.path.parent.name}/{p.path.name}" for p in pictures]
    told = json.dumps([names, copies, seed, SIZE, BLOCKS, len(people)])
    key = hashlib.sha256(told.encode()).hexdigest()[:12]
    path, done_path = work / f"trunk-{key}.npy", work / f"done-{key}.npy"
    shape = (len(pictures), copies, *SHAPE)
    if path.exists() and done_path.exists():
        trunk = np.lib.format.open_memmap(path, mode="r+")
        done = np.load(done_path)
    else:
        trunk = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        done = np.zeros(len(pictures), np.int8)  # 0 not yet, 1 done, 2 unusable
    for number, picture in enumerate(pictures):
        if done[number]:
            continue
        pixels = read(picture)
        if pixels is None:
            print(f"skipped, unreadable or too small: {picture.path}", file=sys.stderr)
            done[number] = 2
            continue
        rng = np.random.default_rng([seed, number])
        batch = [plain(pixels)] + [augment(pixels, rng, people) for _ in range(copies - 1)]
        with torch.inference_mode():
            trunk[number] = net.trunk(to_input(np.stack(batch)), BLOCKS).half().numpy()
        done[number] = 1
        if number % 200 == 199:
            np.save(done_path, done)
            print(f"features: {number + 1} of {len(pictures)}", flush=True)
    np.save(done_path, done)
    return Cache(trunk, done == 1)


def to_input(bgr: np.ndarray) -> torch.Tensor:
    """BGR uint8 (N, H, W, 3) as RGB float (N, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1])).permute(0, 3, 1, 2).float()


def tail_features(net: Lite0, cache: Cache, work: Path) -> np.ndarray:
    """The 1,280 features of every copy, from the kept trunk outputs: (pictures, copies, 1280)."""
    path = work / f"features-{'x'.join(str(n) for n in cache.trunk.shape[:2])}.npy"
    if path.exists():
        return np.load(path)
    found = []
    with torch.inference_mode():
        for rows in np.array_split(np.arange(len(cache.trunk)), max(1, len(cache.trunk) // 16)):
            batch = torch.from_numpy(np.asarray(cache.trunk[rows])).float()
            features = net.tail(batch.flatten(0, 1), BLOCKS)
            found.append(features.reshape(len(rows), -1, features.shape[1]).numpy())
    everything = np.concatenate(found)
    np.save(path, everything)
    return everything
