"""Which libraries work inside the matcher's sandbox: a short program uses each, with all layers.

    python -m bench.sandboxed_libraries [PYTHON]

PYTHON is an interpreter that has the libraries, by default this one. Prints a table:
library, version, result. The exit code is 1 if the sandbox refused a call that a
library needs, or reported one as an escape attempt.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edge.guard.processes import spawn_sandboxed
from edge.models import BODY as BODY_FILE
from edge.models import SCENE
from edge.models.pull import assets_dir
from edge.sandbox import spec
from edge.sandbox.notifier import SeccompNotifier

BODY = assets_dir() / BODY_FILE
_PICTURE = "import numpy as np; picture = np.full((120, 160, 3), 90, np.uint8)\n"
_POINTS = (  # eyes, nose and mouth of a face in it, px
    "points = np.array([[60, 50], [90, 50], [75, 70], [63, 85], [88, 85]], np.float32)\n"
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One library: its distribution, and a program that uses it."""

    distribution: str
    program: str


TRIALS = {
    "NumPy": Trial("numpy", "import numpy as np; assert np.linalg.inv(np.eye(99)).sum() == 99"),
    "OpenCV": Trial(
        "opencv-python-headless",
        _PICTURE + "import cv2; assert cv2.imencode('.jpg', cv2.resize(picture, (80, 60)))[0]",
    ),
    "onnxruntime": Trial(
        "onnxruntime",
        "import onnxruntime as ort\n"
        f"session = ort.InferenceSession({str(SCENE)!r}, providers=['CPUExecutionProvider'])\n"
        "assert session.get_inputs()",
    ),
    "ai-edge-litert": Trial(
        "ai-edge-litert",
        "import numpy as np\nfrom ai_edge_litert.interpreter import Interpreter\n"
        f"net = Interpreter(model_path={str(BODY)!r}); net.allocate_tensors()\n"
        "given = net.get_input_details()[0]\n"
        "net.set_tensor(given['index'], np.zeros(given['shape'], given['dtype'])); net.invoke()",
    ),
    "requests": Trial(
        "requests",
        "import requests\ntry:\n    requests.get('http://192.0.2.1/', timeout=2)\n"
        "except requests.exceptions.ConnectionError:\n    pass\nelse:\n    raise SystemExit(1)",
    ),
    "matplotlib": Trial(
        "matplotlib",
        "import io\nimport matplotlib; matplotlib.use('Agg')\nimport matplotlib.pyplot as plt\n"
        "plt.plot([1, 2]); plt.savefig(io.BytesIO(), format='png')",
    ),
    "multiprocessing": Trial(
        "",
        "import multiprocessing\nif __name__ == '__main__':\n"
        "    with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "        assert pool.map(abs, [-1, -2]) == [1, 2]",
    ),
    "supervision": Trial(
        "supervision",
        _PICTURE + "import supervision as sv\n"
        "found = sv.Detections(xyxy=np.array([[1, 1, 9, 9]]), class_id=np.array([0]))\n"
        "sv.BoxAnnotator().annotate(picture, found)",
    ),
    "dlib": Trial(
        "dlib-bin", _PICTURE + "import dlib; dlib.get_frontal_face_detector()(picture, 1)"
    ),
    "face_recognition": Trial(
        "face_recognition",
        _PICTURE + "import face_recognition as fr\n"
        "assert len(fr.face_encodings(picture, [(10, 90, 90, 10)])[0]) == 128",
    ),
    # no model: both fetch theirs from the network, which the sandbox has not
    "uniface": Trial(
        "uniface",
        _PICTURE + _POINTS + "import uniface\n"
        "assert uniface.face_alignment(picture, points)[0].shape == (112, 112, 3)",
    ),
    "insightface": Trial(
        "insightface",
        _PICTURE + _POINTS + "import insightface\nfrom insightface.utils import face_align\n"
        "assert face_align.norm_crop(picture, points).shape == (112, 112, 3)",
    ),
    "PyTorch": Trial("torch", "import torch; assert float(torch.eye(3).sum()) == 3"),
    "GStreamer": Trial(
        "PyGObject",
        "import gi; gi.require_version('Gst', '1.0')\nfrom gi.repository import Gst\n"
        "Gst.init(None); assert Gst.parse_launch('videotestsrc num-buffers=2 ! fakesink')",
    ),
}


def version(python: str, distribution: str) -> str | None:
    """The installed version; None where there is none."""
    if not distribution:
        return "of Python"
    ask = f"import importlib.metadata as m; print(m.version({distribution!r}))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, env={}, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def tried(python: str, program: str) -> str:
    """The result of a program in the sandbox, in words; "works" if there was no error."""
    ours, theirs = socket.socketpair()
    channel, other = socket.socketpair()
    notifier = SeccompNotifier(ours)
    notifier.start()
    confinement = spec.Confinement(
        without=frozenset(spec.missing()), reads=(SCENE.parent, BODY.parent)
    )
    with theirs, channel, other:
        child = spawn_sandboxed(
            (python, "-c", program), confinement, {}, channel.fileno(), theirs.fileno()
        )
    _, errors = child.process.communicate(timeout=120)
    child.end()
    notifier.close()
    if notifier.attempt:
        return f"taken for an escape: {notifier.attempt}"
    if child.process.returncode != 0:
        lines = errors.decode(errors="replace").strip().splitlines()
        return f"fails: {lines[-1] if lines else child.process.returncode}"
    return "works"


def main() -> int:
    """Try each that is installed."""
    python = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    wrong = 0
    for name, trial in TRIALS.items():
        found = version(python, trial.distribution)
        what = "not installed here, not tried" if found is None else tried(python, trial.program)
        wrong += what not in ("works", "not installed here, not tried")
        print(f"{name:18} {found or '-':12} {what}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    assert Path(SCENE).exists()
    sys.exit(main())
