"""A matcher around an ONNX model: (1, H, W, 3) uint8 BGR, or (1, 3, H, W) float RGB in 0 to 1.

    framegate run ... --matcher "python3 examples/matchers/onnx_model.py model.onnx"

It needs numpy and onnxruntime. The model's first output is taken for the enrolled one; each later
output is compared with it by the cosine of their angle, and none is let out.
"""

import hashlib
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
person = hashlib.sha256(b"the enrolled person").hexdigest()
enrolled, frames, compared, matches = None, 0, 0, 0
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
    output = session.run(None, {given.name: np.ascontiguousarray(small[np.newaxis])})[0].ravel()
    output = output / np.linalg.norm(output)
    if enrolled is None:
        enrolled = output
        continue
    score = float(output @ enrolled)
    same = score > 0.9
    camera.compared(person)
    camera.result({"subject": person if same else None, "score": score, "comparisons": 1})
    compared, matches = compared + 1, matches + same
print(f"onnx: {frames} frames, {matches} of {compared} looks match", flush=True)
