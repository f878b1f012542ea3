"""A matcher around an ONNX model: (1, H, W, 3) uint8 BGR, or (1, 3, H, W) float RGB in 0 to 1.

    framegate run ... --matcher "python3 examples/matchers/onnx_model.py model.onnx"

It needs numpy and onnxruntime. It says how sure the model is, as a result of the lane; a real
verifier compares the output with an enrolled one and never lets it out.
"""

import sys

import numpy as np
import onnxruntime

import framegate_client

options = onnxruntime.SessionOptions()
options.log_severity_level = 3  # errors alone
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
(given, *_) = session.get_inputs()
plain = given.type == "tensor(uint8)"
height, width = given.shape[1:3] if plain else given.shape[2:]
camera = framegate_client.VideoCapture(0)  # was: cv2.VideoCapture(0)
frames = looks = 0
while True:
    ok, frame = camera.read()
    if not ok:
        break
    frames += 1
    if frames % 5 != 1:  # a look at every fifth frame
        continue
    rows = np.arange(height) * frame.shape[0] // height
    columns = np.arange(width) * frame.shape[1] // width
    small = frame[rows][:, columns]
    if not plain:
        small = small[:, :, ::-1].transpose(2, 0, 1).astype(np.float32) / 255
    output = session.run(None, {given.name: np.ascontiguousarray(small[np.newaxis])})[0]
    score = float(np.clip(np.max(output), -2, 2))  # what a result may hold
    camera.result({"subject": None, "score": score, "comparisons": 1})
    looks += 1
print(f"onnx: {frames} frames, {looks} looks", flush=True)
