"""A matcher around an ONNX model: finds faces with CenterFace (MIT) and says how many.

    framegate init site --source 0 ... --lane verify_1_1 \
        --matcher "python3 examples/matchers/onnx_faces.py centerface.onnx"

It needs numpy and onnxruntime. A verifier puts the crop of each face through a second model.
"""

import sys

import numpy as np
import onnxruntime

import framegate_client

STRIDE = 4  # of the model's heat map
SIDE = 32  # the model takes multiples of it
LIKELY = 0.5

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(given,) = session.get_inputs()
camera = framegate_client.VideoCapture(0)  # was: cv2.VideoCapture(0)
frames = faces = 0
while True:
    ok, frame = camera.read()
    if not ok:
        break
    frames += 1
    if frames % 5:  # a look at every fifth frame is enough to count
        continue
    height, width = (side // SIDE * SIDE for side in frame.shape[:2])
    picture = frame[:height, :width, ::-1].astype(np.float32).transpose(2, 0, 1)[np.newaxis]
    heat = session.run(None, {given.name: picture})[0][0, 0]
    peak = float(heat.max())
    faces += peak > LIKELY
    camera.result({"subject": None, "score": peak, "comparisons": 1})
print(f"onnx: {frames} frames, a face in {faces} of {frames // 5}", flush=True)
