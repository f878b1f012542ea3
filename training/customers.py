"""What fifty pictures of one's own move: every source in turn plays the customer.

    python -m training.customers --data DIR [--people CLIP] [--customer sun cmu+scene15]

Interiors only, private or public. The features are those of the shipped network, read
from inside it with `onnx`; heads are trained in NumPy like `training.train` does, so no
torch is needed. Without the customer's pictures a head and its limit come from the other
sources. Then 50 private interiors of the customer choose the limit; or 25 private and 25
public ones join the training, and the limit stays or is chosen by those 25, each half by
a head that knows the other. Judged are the customer's pictures that were not drawn.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.evaluation.scene.pictures import PRIVATE, PUBLIC, Picture, gather, read
from edge.evidence.scene import LOOKS, looks
from edge.models import SCENE
from edge.models.runtime import onnxruntime
from training.augment import augment, cut_people, plain
from training.data import folds
from training.judge import KEEP_PRIVATE, softmax

COPIES = 5  # altered copies of each picture
OWN = 25  # pictures a class that join the training; twice as many choose a limit
WEIGHT = 6.0  # of each of them
DRAWS = 2
EPOCHS, BATCH, RATE, DECAY, DROPPED = 4, 512, 2e-3, 3e-3, 0.8
_POOLED = "/net/ReduceMean_output_0"  # the features, inside the shipped graph
_EVERY = 100


@dataclass(frozen=True)
class Data:
    """Features, shape (pictures, LOOKS + COPIES, 1280), and what each picture is."""

    features: np.ndarray
    labels: np.ndarray
    sources: np.ndarray
    pictures: list[Picture]


@dataclass(frozen=True, slots=True)
class Head:
    """A linear classifier; `weight` has the shape (2, 1280)."""

    weight: np.ndarray
    bias: np.ndarray

    def private(self, features: np.ndarray) -> np.ndarray:
        """The probability of a private interior, the mean over the looks at a picture."""
        seen = features[:, :LOOKS].astype(np.float32)
        shares: np.ndarray = softmax(seen @ self.weight.T + self.bias).mean(axis=1)[:, PRIVATE]
        return shares


def load(data: Path, people: list[np.ndarray]) -> Data:
    """The features of every interior below `data`."""
    import onnx

    graph = onnx.load(str(SCENE))
    graph.graph.output.append(onnx.helper.make_tensor_value_info(_POOLED, 1, [1, 1280]))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    pictures = [p for p in gather(data) if p.label in (PRIVATE, PUBLIC)]
    found, usable, began = [], [], time.monotonic()
    for number, picture in enumerate(pictures):
        pixels = read(picture)
        if pixels is None:
            print(f"skipped, unreadable or too small: {picture.path}", file=sys.stderr)
            continue
        rng = np.random.default_rng([1, number])
        batch = [plain(part) for part in looks(pixels)]
        batch += [augment(pixels, rng, people) for _ in range(COPIES)]
        each = [session.run([_POOLED], {"image": np.ascontiguousarray(b)[None]}) for b in batch]
        found.append(np.stack([answer[0][0] for answer in each]).astype(np.float16))
        usable.append(picture)
        if (number + 1) % _EVERY == 0:
            left_s = (time.monotonic() - began) / (number + 1) * (len(pictures) - number - 1)
            print(f"features: {number + 1} of {len(pictures)}, {left_s:.0f} s left", flush=True)
    labels = np.array([p.label for p in usable])
    return Data(np.stack(found), labels, np.array([p.source for p in usable]), usable)


def train(features: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> Head:
    """A head on standardised features, both classes weighing the same (AdamW, dropout)."""
    rng = np.random.default_rng(1)
    x = np.delete(features, np.s_[1:LOOKS], axis=1)  # the whole picture and its copies
    copies = x.shape[1]
    x = x.reshape(-1, x.shape[2]).astype(np.float32)
    y = np.repeat(labels, copies)
    each = np.ones(len(y)) if weights is None else np.repeat(weights, copies)
    each = each / np.array([max(each[y == c].sum(), 1e-9) for c in (PRIVATE, PUBLIC)])[y]
    mean, std = x.mean(0), x.std(0) + 0.05
    x = (x - mean) / std
    truth = np.where(np.eye(2)[y] == 1, 0.99, 0.01)
    values = [rng.uniform(-1, 1, (2, x.shape[1])) / np.sqrt(x.shape[1]), np.zeros(2)]
    first, second = ([np.zeros_like(v) for v in values] for _ in range(2))
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * 0.5 * (1 + np.cos(np.pi * epoch / EPOCHS))
        for rows in np.array_split(rng.permutation(len(x)), max(1, len(x) // BATCH)):
            step += 1
            kept = x[rows] * (rng.random((len(rows), x.shape[1])) >= DROPPED) / (1 - DROPPED)
            off = softmax(kept @ values[0].T + values[1]) - truth[rows]
            off *= each[rows, None] / each[rows].sum()
            for at, gradient in enumerate((off.T @ kept, off.sum(axis=0))):
                first[at] = 0.9 * first[at] + 0.1 * gradient
                second[at] = 0.999 * second[at] + 0.001 * gradient**2
                moved = first[at] / (1 - 0.9**step)
                scale = np.sqrt(second[at] / (1 - 0.999**step)) + 1e-8
                values[at] = values[at] * (1 - rate * DECAY) - rate * moved / scale
    return Head(values[0] / std, values[1] - (values[0] / std) @ mean)


def customer(data: Data, held: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Shares of private interiors kept and public ones taken, in each way; means of the draws."""
    mine = np.isin(data.sources, held)
    others, inside = np.flatnonzero(~mine), np.flatnonzero(mine)
    inner = folds([data.pictures[i] for i in others], 5, 1) == 0
    head = train(data.features[others[~inner]], data.labels[others[~inner]])
    judged = others[inner & (data.labels[others] == PRIVATE)]
    limit = float(np.quantile(head.private(data.features[judged]), 1 - KEEP_PRIVATE))
    ways: dict[str, list[tuple[float, float]]] = {"without": [_shares(data, head, limit, inside)]}
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        private, public = (
            rng.permutation(inside[data.labels[inside] == label]) for label in (PRIVATE, PUBLIC)
        )
        chosen = head.private(data.features[private[: 2 * OWN]])
        rest = np.setdiff1d(inside, private[: 2 * OWN])
        own = float(np.quantile(chosen, 1 - KEEP_PRIVATE))
        ways.setdefault("limit from 50", []).append(_shares(data, head, own, rest))
        halves = [np.r_[private[at:OWN:2], public[at:OWN:2]] for at in (0, 1)]
        scores = [
            _joined(data, others, known).private(
                data.features[asked][data.labels[asked] == PRIVATE]
            )
            for known, asked in (halves, halves[::-1])
        ]
        own = float(np.quantile(np.concatenate(scores), 0.08))
        joined = np.concatenate(halves)
        trained, rest = _joined(data, others, joined), np.setdiff1d(inside, joined)
        ways.setdefault("trained, the limit stays", []).append(_shares(data, trained, limit, rest))
        ways.setdefault("trained, its own limit", []).append(_shares(data, trained, own, rest))
    return {
        way: (float(np.mean([k for k, _ in some])), float(np.mean([t for _, t in some])))
        for way, some in ways.items()
    }


def _joined(data: Data, others: np.ndarray, own: np.ndarray) -> Head:
    rows = np.concatenate([others, own])
    weights = np.concatenate([np.ones(len(others)), np.full(len(own), WEIGHT)])
    return train(data.features[rows], data.labels[rows], weights)


def _shares(data: Data, head: Head, limit: float, rows: np.ndarray) -> tuple[float, float]:
    taken, labels = head.private(data.features[rows]) >= limit, data.labels[rows]
    return float(taken[labels == PRIVATE].mean()), float(taken[labels == PUBLIC].mean())


def main() -> int:
    """Print a table, a row a customer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the pictures")
    parser.add_argument("--people", type=Path, metavar="CLIP", help="green-screen clip of people")
    parser.add_argument(
        "--customer", nargs="+", default=["cmu+scene15", "sun", "scene15"], metavar="SOURCES"
    )
    args = parser.parse_args()
    data = load(args.data, cut_people(args.people) if args.people else [])
    for name in args.customer:
        held = np.isin(data.sources, name.split("+"))
        counts = [int((held & (data.labels == label)).sum()) for label in (PRIVATE, PUBLIC)]
        if min(counts) <= 2 * OWN or len(set(data.labels[~held])) < 2:
            print(
                f"{name}: expected more than {2 * OWN} private and public interiors of it, and "
                f"both of others; it has {counts[0]} and {counts[1]}",
                file=sys.stderr,
            )
            return 2
        print(f"{name}: private kept, public taken")
        for way, (kept, taken) in customer(data, name.split("+")).items():
            print(f"  {way:<26}{kept:6.1%}{taken:8.1%}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
