"""A policy bundle is asked about the models that were loaded, not about what lies at their path."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from edge.decision.loading import load_models
from edge.errors import ModelError
from edge.evidence.faces import FaceBoxes
from edge.models import SCENE
from edge.policy.selection import Chosen
from edge.policy.signed.trust import BundleError
from edge.reasons import Reason


@dataclass
class Bundle:
    """Stands for a policy in force: hears which digests it is asked about."""

    names: bool = True
    heard: dict[str, str] = field(default_factory=dict)

    def check_models(self, models: Iterable[tuple[Path, str]]) -> None:
        self.heard = {path.name: sha256 for path, sha256 in models}
        if not self.names:
            raise BundleError(Reason.MODEL_DIGEST, "not the model the policy names")


def loaded(path: Path, bundle: Bundle, faces: FaceBoxes | None = None) -> Any:
    return load_models(path, cast(Chosen, bundle), faces, masking=False)


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
