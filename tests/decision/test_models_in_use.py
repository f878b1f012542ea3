"""A policy bundle is asked about the models that were loaded, not about what lies at their path."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from edge.cameras.opencv import FileCamera
from edge.decision.loading import load_models
from edge.errors import ModelError
from edge.evidence.faces import FaceBoxes
from edge.models import SCENE
from edge.policy.selection import Chosen
from edge.policy.signed.trust import BundleError
from edge.reasons import Reason
from edge.view.bodies import Bodies


@dataclass
class Bundle:
    """Stands for a policy in force: hears which digests it is asked about."""

    names: bool = True
    heard: dict[str, str] = field(default_factory=dict)

    def check_models(self, models: Iterable[tuple[Path, str]]) -> None:
        self.heard = {path.name: sha256 for path, sha256 in models}
        if not self.names:
            raise BundleError(Reason.MODEL_DIGEST, "not the model the policy names")


def loaded(
    path: Path,
    bundle: Bundle,
    faces: FaceBoxes | None = None,
    shape: tuple[int, int] = (480, 640),
) -> Any:
    return load_models(path, cast(Chosen, bundle), shape, faces, masking=False)


def test_a_model_that_is_swapped_after_its_load_is_asked_about_by_what_was_loaded(
    face_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / face_model.name
    shutil.copy(face_model, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    faces = FaceBoxes(path)
    path.write_bytes(b"swapped")
    bundle = Bundle()

    loaded(path, bundle, faces)

    assert bundle.heard == {
        path.name: digest,
        SCENE.name: hashlib.sha256(SCENE.read_bytes()).hexdigest(),
    }
    with pytest.raises(ModelError):
        loaded(path, bundle)  # loaded afresh, it is not the pinned one


def test_models_that_the_bundle_does_not_name_are_not_used(face_model: Path) -> None:
    with pytest.raises(ModelError, match="MODEL_DIGEST"):
        loaded(face_model, Bundle(names=False))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(270, 480), (360, 240)], ids=["landscape", "portrait"])
def test_the_one_body_model_that_a_camera_needs_finds_what_both_would(
    face_model: Path, clip: Callable[[str], Path], shape: tuple[int, int]
) -> None:
    frame = next(iter(FileCamera(clip("single_face.mp4")).shots())).frame
    picture = np.ascontiguousarray(cv2.resize(frame, (480, 360))[: shape[0], : shape[1]])

    bodies = loaded(face_model, Bundle(), shape=shape).bodies

    assert bodies.find(picture).any()
    assert np.array_equal(bodies.find(picture), Bodies(both=False).find(picture))
    assert len(bodies._nets) == 1
