"""Features of every picture, of its parts and its altered copies, computed once and kept.

The network stays as it was published, so a picture's features need no second
look at it. A stopped run goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from edge.evidence.scene import LOOKS, looks
from training.augment import SIZE, augment, plain
from training.data import Picture, read
from training.lite0 import FEATURES, Lite0

_EVERY = 200  # pictures between two lines of progress


def compute(
    net: Lite0,
    pictures: Sequence[Picture],
    people: list[np.ndarray],
    *,
    copies: int,
    seed: int,
    work: Path,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the features, or read back those that an earlier run computed.

    Returns:
        Features, shape (pictures, LOOKS + copies, 1280), float32: the whole picture,
        its parts, then the altered copies; and which pictures could be used, bool.
    """
    work.mkdir(parents=True, exist_ok=True)
    path, done_path = (work / f"{kind}-{_key(pictures, copies, seed, people)}.npy" for kind in "fd")
    if path.exists() and done_path.exists():
        features = np.lib.format.open_memmap(path, mode="r+")
        done = np.load(done_path)
    else:
        shape = (len(pictures), LOOKS + copies, FEATURES)
        features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        done = np.zeros(len(pictures), np.int8)  # 0 not yet, 1 done, 2 unusable
    began, fresh = time.monotonic(), 0
    for number, picture in enumerate(pictures):
        if done[number] == 1:
            continue
        pixels = read(picture)
        if pixels is None:
            print(f"skipped, unreadable or too small: {picture.path}", file=sys.stderr)
            done[number] = 2
            continue
        rng = np.random.default_rng([seed, number])
        batch = [plain(part) for part in looks(pixels)]
        batch += [augment(pixels, rng, people) for _ in range(copies)]
        with torch.inference_mode():
            features[number] = net(to_input(np.stack(batch))).numpy()
        done[number] = 1
        fresh += 1
        if fresh % _EVERY == 0:
            np.save(done_path, done)
            left_s = (time.monotonic() - began) / fresh * (len(pictures) - number - 1)
            print(f"features: {number + 1} of {len(pictures)}, {left_s:.0f} s left", flush=True)
    np.save(done_path, done)
    return features, done == 1


def to_input(bgr: np.ndarray) -> torch.Tensor:
    """BGR uint8 (N, H, W, 3) as RGB float (N, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1])).permute(0, 3, 1, 2).float()


def _key(pictures: Sequence[Picture], copies: int, seed: int, people: list[np.ndarray]) -> str:
    """Tells runs apart whose features differ: files by name, size and time of change."""
    files = [(str(p.path.resolve()), *_stamp(p.path)) for p in pictures]
    code = Path(augment.__code__.co_filename).read_bytes()
    cut = [hashlib.sha256(person.tobytes()).hexdigest() for person in people]
    settings = json.dumps([files, copies, seed, SIZE, LOOKS, cut, hashlib.sha256(code).hexdigest()])
    return hashlib.sha256(settings.encode()).hexdigest()[:12]


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
