"""From a clone to matches: a fresh virtual environment, `framegate init`, and the guard on a clip.

    python3 examples/matchers/try_face_recognition.py FRAMEGATE CLIP FOLDER

FRAMEGATE is the command, as .venv/bin/framegate. The packages are some 110 MB. Exit code 3
if they cannot be had.
"""

import subprocess
import sys
from pathlib import Path

PACKAGES = ("dlib-bin", "face_recognition_models", "numpy", "pillow", "click", "setuptools<81")
HERE = Path(__file__).resolve().parent
FACTS = (
    "--lane verify_1_1 --operator private_business --jurisdiction EU --public no "
    "--consent valid --taking-part yes --dwell-s 1 --trial --no-run"
)


def main() -> int:
    """Build, commission, run; the matcher's line is on standard output."""
    framegate, clip, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    venv = folder / "venv"
    python = venv / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for more in (PACKAGES, ("--no-deps", "face_recognition")):  # it asks for dlib by another name
        if subprocess.run([*pip, *more]).returncode != 0:
            print("the packages cannot be had here", file=sys.stderr)
            return 3
    matcher = f"{python} {HERE / 'face_recognition_loop.py'}"
    site = folder / "site"
    init = [framegate, "init", site, "--source", clip, *FACTS.split(), "--matcher", matcher]
    subprocess.run(init, check=True)
    run = [framegate, "run", "--source", clip, "--device", site / "device.toml"]
    run += ["--session", site / "session.toml", "--keys", site / "keys"]
    run += ["--matcher", matcher, "--results", "stdout", "--out", folder / "out"]
    return subprocess.run(run).returncode


if __name__ == "__main__":
    sys.exit(main())
