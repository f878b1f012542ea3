"""From a clone to matches: a fresh virtual environment, `framegate init`, and the guard on a clip.

    python3 examples/matchers/try_matchers.py FRAMEGATE CLIP FOLDER [KIND ...]

FRAMEGATE is the command, as .venv/bin/framegate; KIND is one of face_recognition, onnx, cpp and
gstreamer, by default all. FOLDER gets the environment (some 110 MB of packages), one site, and the
log of each guard. What each matcher prints is on standard output, below its name; a kind whose
packages or programs are not to be had is skipped, with the reason.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = (
    "dlib-bin==20.0.1.post1",
    "face_recognition_models==0.3.0",
    "onnxruntime>=1.17,<2",
    "numpy<3",
    "pillow<14",
    "click<9",
    "setuptools<81",
)
ALONE = ("face_recognition==1.3.0",)  # it asks for dlib by another name
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FACTS = (
    "--lane verify_1_1 --operator private_business --jurisdiction EU --public no "
    "--taking-part yes --dwell-s 1 --trial --no-run"
)
SIDE = 64  # px, of the pictures that the pipeline writes down
PIPELINE = (
    "framegatesrc ! videoconvert ! videoscale ! "
    f"video/x-raw,format=GRAY8,width={SIDE},height={SIDE} ! filesink buffer-mode=unbuffered"
)
MATCHERS_USER = 65534


class NotHere(Exception):
    """Something that a kind of matcher needs is not to be had; the text says what."""


def main() -> int:
    """Commission one site, run each matcher behind a guard of its own; the worst exit code."""
    args = arguments()
    args.folder.mkdir(parents=True, exist_ok=True)
    codes, args.lacking = [], ""
    for kind in args.kinds or KINDS:
        print(f"== {kind}", flush=True)
        try:
            matcher = KINDS[kind](args)
            if not codes and (code := commission(args, matcher)) != 0:
                return code
            codes.append(guard(args, kind, matcher))
        except NotHere as err:
            print(f"skipped: {err}", flush=True)
    return max(codes, default=0)


def commission(args: argparse.Namespace, matcher: str) -> int:
    """Make the one site, with the first matcher in its configuration; the exit code."""
    init = [args.framegate, "init", args.folder / "site", "--source", args.clip]
    init += [*FACTS.split(), "--consent", args.consent, "--matcher", matcher]
    init += [word for layer in args.without for word in ("--without", layer)]
    return subprocess.run(init).returncode


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("framegate", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("kinds", nargs="*", metavar="kind")
    parser.add_argument("--keep", type=Path, help="where the environment is kept for next time")
    parser.add_argument("--consent", default="valid", help="none: the policy forbids every frame")
    parser.add_argument(
        "--without", action="append", default=[], help="as for `framegate init`, such as own_uid"
    )
    args = parser.parse_intermixed_args()
    if strange := [kind for kind in args.kinds if kind not in KINDS]:
        parser.error(f"kind {strange[0]!r}: expected one of {', '.join(KINDS)}")
    if shutil.which(args.framegate) is None:
        parser.error(f"{args.framegate}: expected the framegate command, as .venv/bin/framegate")
    if not args.clip.is_file():  # said before anything is downloaded
        parser.error(f"{args.clip}: expected a recording")
    if args.folder.is_file() or (args.folder / "site").exists():
        what = "this is a file" if args.folder.is_file() else "there is a site in it"
        parser.error(f"{args.folder}: expected a new folder, {what}")
    return args


def guard(args: argparse.Namespace, kind: str, matcher: str) -> int:
    """The guard on the clip with this matcher."""
    site, out = args.folder / "site", args.folder / kind
    run = [args.framegate, "run", "--source", args.clip, "--device", site / "device.toml"]
    run += ["--session", site / "session.toml", "--keys", site / "keys", "--matcher", matcher]
    run += ["--results", "stdout", "--out", out]
    if kind == "gstreamer":
        written = writable(out)
        code = subprocess.run([*run, "--matcher-write", written]).returncode
        size = sum(path.stat().st_size for path in written.iterdir())
        print(f"gstreamer: {size // SIDE**2} frames", flush=True)
        return code
    return subprocess.run(run).returncode


def face_recognition(args: argparse.Namespace) -> str:
    """The library's usual loop over a webcam, with one line changed."""
    return f"{environment(args)} {HERE / 'face_recognition_loop.py'}"


def onnx(args: argparse.Namespace) -> str:
    """A model in ONNX Runtime; the guard's own scene model stands in for a face model."""
    model = ROOT / "edge" / "models" / "scene.onnx"
    return f"{environment(args)} {HERE / 'onnx_model.py'} {model}"


def cpp(args: argparse.Namespace) -> str:
    """A program in C++ that includes one header."""
    compiler = shutil.which("c++")
    if compiler is None:
        raise NotHere("no c++ here")
    binary, client = args.folder / "matcher", ROOT / "client"
    build = [compiler, "-O2", "-I", client / "include", client / "examples" / "matcher.cpp"]
    if subprocess.run([*build, "-o", binary]).returncode != 0:
        raise NotHere("c++ could not build client/examples/matcher.cpp")
    return str(binary)


def gstreamer(args: argparse.Namespace) -> str:
    """A pipeline of the real gst-launch-1.0, which writes small grey pictures down."""
    if shutil.which("gst-launch-1.0") is None:
        raise NotHere("no gst-launch-1.0 here")
    place = args.folder.resolve() / "gstreamer" / "written" / "frames.gray"
    return f"{sys.executable} -m framegate_client.gst {PIPELINE} location={place}"


KINDS = {
    "face_recognition": face_recognition,
    "onnx": onnx,
    "cpp": cpp,
    "gstreamer": gstreamer,
}


def writable(out: Path) -> Path:
    """A folder in `out` that the matcher's user owns."""
    folder = out / "written"
    folder.mkdir(parents=True)
    if os.getuid() == 0:
        os.chown(folder, MATCHERS_USER, MATCHERS_USER)
    return folder


def environment(args: argparse.Namespace) -> Path:
    """The Python of an environment that has the packages; built whole, or not at all."""
    words = (sys.version, sys.executable, *PACKAGES, *ALONE)
    key = hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
    home = (args.keep or args.folder).resolve() / f"matchers-{key}"
    python = Path("bin", "python")
    if args.lacking:  # asked for once already
        raise NotHere(args.lacking)
    if not home.is_dir():
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as made:
            os.chmod(made, 0o755)
            args.lacking = build(Path(made, "venv"))
            if args.lacking:
                raise NotHere(args.lacking)
            Path(made, "venv").rename(home)
    return home / python


def build(venv: Path) -> str:
    """Make a fresh virtual environment with the packages; why it cannot be had, or ""."""
    if subprocess.run([sys.executable, "-m", "venv", venv]).returncode != 0:
        return "no venv here; on Debian: apt install python3-venv"
    print("fetching the packages, some 110 MB ...", file=sys.stderr, flush=True)
    pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check", "--retries", "0", "--timeout", "15"]
    for more in (PACKAGES, ("--no-deps", *ALONE)):
        done = subprocess.run([*pip, *more], stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["pip says nothing"])[-1]
            return f"the packages cannot be had here: {last}"
    return ""


if __name__ == "__main__":
    sys.exit(main())
