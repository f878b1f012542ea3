"""Which libraries work inside the matcher's sandbox: a short program uses each, with all layers.

    python -m bench.sandboxed_libraries [PYTHON]
    python -m bench.sandboxed_libraries --fetch FOLDER [NAME ...]

PYTHON is an interpreter that has the libraries, by default this one. With `--fetch`, a fresh
virtual environment in FOLDER gets those that are named, by default all but PyTorch, which is
some 5 GB. Prints a table: library, version, result. The exit code is 1 if a library did not
work: it failed, or the sandbox took it for an escape; 3 if the packages cannot be had.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.guard.processes import spawn_sandboxed
from edge.models import BODY as BODY_FILE
from edge.models import SCENE
from edge.models.pull import assets_dir
from edge.sandbox import spec
from edge.sandbox.notifier import SeccompNotifier

BODY = assets_dir() / BODY_FILE
NOT_TRIED = "not tried: not installed here"
_PICTURE = "import numpy as np; picture = np.full((120, 160, 3), 90, np.uint8)\n"
_POINTS = (  # eyes, nose and mouth of a face in it, px
    "points = np.array([[60, 50], [90, 50], [75, 70], [63, 85], [88, 85]], np.float32)\n"
)
_RECOGNISER = (  # the libraries fetch theirs; one of the same shape, in the matcher's own /tmp
    "import onnx; from onnx import TensorProto as T, helper as h, numpy_helper as n\n"
    "rng = np.random.default_rng(1); picture = rng.integers(0, 255, (120, 160, 3), np.uint8)\n"
    "made = [n.from_array(rng.normal(size=s).astype('f4'), k)\n"
    "        for k, s in (('a', (8, 3, 7, 7)), ('b', (8, 512)))]\n"
    "steps = [h.make_node('Conv', ['x', 'a'], ['c'], strides=[4, 4]),\n"
    "         h.make_node('Relu', ['c'], ['r']), h.make_node('GlobalAveragePool', ['r'], ['p']),\n"
    "         h.make_node('Flatten', ['p'], ['f']), h.make_node('MatMul', ['f', 'b'], ['y'])]\n"
    "ends = [[h.make_tensor_value_info('x', T.FLOAT, [1, 3, 112, 112])],\n"
    "        [h.make_tensor_value_info('y', T.FLOAT, [1, 512])]]\n"
    "graph = h.make_graph(steps, 'g', *ends, made)\n"
    "net = h.make_model(graph, opset_imports=[h.make_opsetid('', 13)], ir_version=8)\n"
    "onnx.checker.check_model(net); onnx.save(net, '/tmp/recogniser.onnx')\n"
)


@dataclass(frozen=True, slots=True)
class Trial:
    """One library: its distribution, a program that uses it, and what else that needs."""

    distribution: str
    program: str
    more: tuple[str, ...] = ()


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
        "(given,) = session.get_inputs()\n"
        "import numpy as np\n"
        "(found,) = session.run(None, {given.name: np.full(given.shape, 90, np.uint8)})\n"
        "assert abs(float(found.sum()) - 1) < 1e-3",
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
        "dlib-bin",
        _PICTURE + "import dlib; dlib.get_frontal_face_detector()(picture, 1)",
        ("numpy",),
    ),
    "face_recognition": Trial(
        "face_recognition",
        _PICTURE + "import face_recognition as fr\n"
        "assert len(fr.face_encodings(picture, [(10, 90, 90, 10)])[0]) == 128",
        ("dlib-bin", "face_recognition_models", "numpy", "pillow", "click", "setuptools<81"),
    ),
    "uniface": Trial(
        "uniface",
        _PICTURE + _POINTS + _RECOGNISER + "import uniface\n"
        "from uniface.recognition.base import BaseRecognizer, PreprocessConfig\n"
        "class Recogniser(BaseRecognizer):\n"
        "    def __init__(self):\n"
        "        super().__init__(model_path='/tmp/recogniser.onnx',\n"
        "            preprocessing=PreprocessConfig(), providers=['CPUExecutionProvider'])\n"
        "one = Recogniser().get_normalized_embedding(picture, points).ravel()\n"
        "two = Recogniser().get_normalized_embedding(picture, points).ravel()\n"
        "assert one.shape == (512,) and uniface.compute_similarity(one, two) > 0.999",
        ("onnx", "onnxruntime"),
    ),
    "insightface": Trial(
        "insightface",
        _PICTURE + _POINTS + _RECOGNISER + "import insightface\n"
        "from insightface.app.common import Face\n"
        "net = insightface.model_zoo.get_model(\n"
        "    '/tmp/recogniser.onnx', providers=['CPUExecutionProvider'])\n"
        "net.prepare(-1); one, two = (net.get(picture, Face(kps=points)) for _ in range(2))\n"
        "assert one.shape == (512,) and net.compute_sim(one, two) > 0.999",
        ("onnx", "onnxruntime"),
    ),
    "PyTorch": Trial(
        "torch",
        _PICTURE + "import torch\nfrom torch import nn\n"
        "net = nn.Sequential(nn.Conv2d(3, 8, 7, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),\n"
        "    nn.Flatten(), nn.Linear(8, 512)).eval()\n"
        "given = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255\n"
        "torch.jit.save(torch.jit.trace(net, given), '/tmp/net.pt')\n"
        "with torch.inference_mode():\n"
        "    one, two = net(given), torch.jit.load('/tmp/net.pt', map_location='cpu')(given)\n"
        "assert one.shape == (1, 512) and torch.allclose(one, two, atol=1e-5)",
        ("numpy",),
    ),
    "GStreamer": Trial(
        "PyGObject",
        "import gi; gi.require_version('Gst', '1.0')\nfrom gi.repository import Gst\n"
        "Gst.init(None); assert Gst.parse_launch('videotestsrc num-buffers=2 ! fakesink')",
    ),
}
LARGE = "PyTorch"
OF_THE_SYSTEM = "GStreamer"  # no wheel has it: give the system's python3 as PYTHON
ALONE = "face_recognition"  # it asks for dlib by another name


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


def fetched(folder: Path, names: Sequence[str]) -> str:
    """The Python of a fresh environment with these libraries; empty if they cannot be had."""
    venv = folder.resolve() / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    trials = [TRIALS[name] for name in names if name != OF_THE_SYSTEM]
    found = {word for trial in trials for word in (trial.distribution, *trial.more) if word}
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--retries", "0", "--timeout", "15"]
    alone = ["--no-deps", ALONE] if ALONE in found else []
    for words in (sorted(found - {ALONE}), alone):
        if words and subprocess.run([*pip, *words]).returncode != 0:
            return ""
    return str(venv / "bin" / "python")


def main() -> int:
    """Try each that is installed."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sandboxed_libraries",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", metavar="PYTHON | NAME")
    parser.add_argument("--fetch", type=Path, metavar="FOLDER")
    args = parser.parse_intermixed_args()
    if args.fetch is None:
        names, python = list(TRIALS), args.words[0] if args.words else sys.executable
    else:
        names = args.words or [name for name in TRIALS if name != LARGE]
        if strange := sorted({*names} - {*TRIALS}):
            parser.error(f"{strange[0]} is not known; allowed: {', '.join(TRIALS)}")
        python = fetched(args.fetch, names)
        if not python:
            print("the packages cannot be had here", file=sys.stderr)
            return 3
    wrong = 0
    for name in names:
        trial = TRIALS[name]
        found = version(python, trial.distribution)
        what = NOT_TRIED if found is None else tried(python, trial.program)
        wrong += what not in ("works", NOT_TRIED)
        print(f"{name:18} {found or '-':12} {what}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    assert Path(SCENE).exists()
    sys.exit(main())
