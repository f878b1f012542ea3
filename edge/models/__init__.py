"""Models: the scene classifier made here, two body masks, and what is fetched by pinned digest."""

from __future__ import annotations

from pathlib import Path

SCENE = Path(__file__).with_name("scene.onnx")
BODY = Path(__file__).with_name("body.tflite")
BODY_WIDE = Path(__file__).with_name("body_wide.tflite")
