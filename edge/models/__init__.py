"""Models: the scene classifier made here, and what is fetched by pinned digest."""

from __future__ import annotations

from pathlib import Path

SCENE = Path(__file__).with_name("scene.onnx")
BODY = "selfie_segmentation.tflite"
BODY_WIDE = "selfie_segmentation_landscape.tflite"
FACES = "centerface.onnx"
FETCHED = (FACES, BODY, BODY_WIDE)  # without one of them, no guard starts
