"""The Debian package: `python -m deb.build --out dist`, as `make deb` runs it.

The package is a Python environment of its own in /usr/lib/framegate on the system's
python3, with the dependencies that Debian has not, beside units, udev rule, user and
folders. Nothing in /etc is shipped, so there are no conffiles: `framegate service
install NAME` makes what one guard has there. Needs pip, git and dpkg-deb.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edge.daemon.fleet_units import COURIER_UNIT, FETCH_TIMER, FETCH_UNIT
from edge.daemon.install import RULES, machine_files
from edge.daemon.placed import UNITS
from edge.errors import UsageError
from edge.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
HOME = "usr/lib/framegate"
PROGRAM = "/usr/bin/framegate"
DOC = "usr/share/doc/framegate"
MAINTAINER = "framegate <framegate@localhost>"
SYSUSERS = """\
u framegate - "framegate, the guard of a camera" /var/lib/framegate /usr/sbin/nologin
u framegate-courier - "framegate, courier to witnesses" /var/lib/framegate /usr/sbin/nologin
u framegate-fetch - "framegate, takes releases" /var/lib/framegate /usr/sbin/nologin
"""
TMPFILES = """\
d /etc/framegate 0755 root root -
d /var/lib/framegate 0755 root root -
d /var/cache/framegate 0750 framegate framegate -
"""
_PLACES = {  # of the shipped files; a package's units do not belong into /etc
    f"{UNITS}/framegate@.service": "usr/lib/systemd/system/framegate@.service",
    f"{UNITS}/framegate-status@.socket": "usr/lib/systemd/system/framegate-status@.socket",
    **{
        f"{UNITS}/{unit}": f"usr/lib/systemd/system/{unit}"
        for unit in (COURIER_UNIT, FETCH_UNIT, FETCH_TIMER)
    },
    RULES: "usr/lib/udev/rules.d/70-framegate.rules",
}


def control(architecture: str, python: tuple[int, int], kilobytes: int) -> str:
    """The package's control file.

    Args:
        python: the minor version of python3 that the dependencies are built for.
        kilobytes: what the package takes when it is installed.
    """
    major, minor = python
    return (
        f"Package: framegate\nVersion: {VERSION}\nArchitecture: {architecture}\n"
        f"Maintainer: {MAINTAINER}\nInstalled-Size: {kilobytes}\n"
        f"Depends: python3 (>= {major}.{minor}), python3 (<< {major}.{minor + 1}), "
        "libc6 (>= 2.28), libstdc++6, systemd (>= 245)\nRecommends: udev\n"
        "Section: misc\nPriority: optional\n"
        "Description: on-device guard between a camera and a face matcher\n"
        " framegate keeps frames of a camera from a face matcher outside a controlled\n"
        " context, and keeps a signed log of what it decided. Guards run as\n"
        " framegate@NAME.service; framegate service install NAME makes one.\n"
    )


def system_files() -> dict[str, bytes]:
    """Everything but the Python environment: where it goes, and what it holds."""
    found = {
        _PLACES[item.path]: item.data
        for item in machine_files(PROGRAM, {})
        if item.path in _PLACES and item.data is not None
    }
    found["usr/lib/sysusers.d/framegate.conf"] = SYSUSERS.encode()
    found["usr/lib/tmpfiles.d/framegate.conf"] = TMPFILES.encode()
    deploy = ROOT / "edge/daemon/deploy"
    found[f"{DOC}/examples/guard.toml"] = (deploy / "guard.toml").read_bytes()
    licence = (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: framegate\n\nFiles: *\nCopyright: the framegate authors\n"
        "License: Apache-2.0\n On Debian systems the full text is in\n"
        " /usr/share/common-licenses/Apache-2.0. The licences of the dependencies stand in\n"
        f" /{HOME}/lib, in the folder NAME.dist-info of each.\n"
    )
    found[f"{DOC}/copyright"] = licence.encode()
    changes = (
        f"framegate ({VERSION}) unstable; urgency=medium\n\n"
        "  * What changed stands in the project's CHANGELOG.md.\n\n"
        f" -- {MAINTAINER}  Thu, 01 Jan 2026 00:00:00 +0000\n"
    )
    found[f"{DOC}/changelog.gz"] = gzip.compress(changes.encode(), 9, mtime=0)
    return found


def stage(root: Path, packages: Path, python: tuple[int, int], architecture: str) -> None:
    """Lay out the package in `root`: `packages` becomes its site-packages."""
    home = root / HOME
    version = f"{python[0]}.{python[1]}"
    (home / "bin").mkdir(parents=True)
    shutil.move(packages, home / "lib" / f"python{version}" / "site-packages")
    shutil.copyfile(ROOT / "scripts/framegate", home / "bin/framegate")
    (home / "bin/framegate").chmod(0o755)
    for name in ("python", "python3"):
        (home / "bin" / name).symlink_to("/usr/bin/python3")
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {version}\n"
    )
    for path, data in system_files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / "usr/bin").mkdir()
    (root / "usr/bin/framegate").symlink_to("../lib/framegate/bin/framegate")
    _settle_modes(root)
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    kilobytes = sum(path.stat().st_size for path in files) // 1024 + 1
    sums = "".join(f"{_md5(path)}  {path.relative_to(root)}\n" for path in files)
    (root / "DEBIAN").mkdir(mode=0o755)
    (root / "DEBIAN/control").write_text(control(architecture, python, kilobytes))
    (root / "DEBIAN/md5sums").write_text(sums)
    for script in sorted((ROOT / "deb/scripts").iterdir()):
        shutil.copyfile(script, root / "DEBIAN" / script.name)
        (root / "DEBIAN" / script.name).chmod(0o755)


def site_packages(work: Path, python: tuple[int, int]) -> Path:
    """framegate and what it depends on, for the system's python3, as one folder."""
    source, wheels, out = work / "source", work / "wheels", work / "packages"
    listed = _run("git", "-C", str(ROOT), "ls-files", "-z")
    for name in filter(None, listed.split("\0")):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(ROOT / name):  # a link stays one: packages are linked into their place
            shutil.copyfile(ROOT / name, source / name, follow_symlinks=False)
    (source / "scripts/framegate").chmod(0o755)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    _run(*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(source))
    (wheel,) = wheels.glob("framegate-*.whl")
    version = f"{python[0]}.{python[1]}"
    options = ("--python-version", version, "--only-binary", ":all:", "--no-compile")
    # pip itself goes along: `framegate models pull` fetches with it, and Debian's is not seen here;
    # and what `framegate fleet fetch` needs, which has a unit in the package
    _run(*pip, "install", *options, "--target", str(out), f"{wheel}[tuf]", "pip")
    shutil.rmtree(out / "bin", ignore_errors=True)  # commands of the dependencies, and our own
    return out


def build(out: Path, packages: Path | None = None) -> Path:
    """Build the package into the folder `out`; returns its file.

    Args:
        packages: a folder to ship as site-packages; made with pip if None.

    Raises:
        UsageError: a tool is missing or fails.
    """
    for tool in ("dpkg-deb", "git"):
        if shutil.which(tool) is None:
            raise UsageError(f"no {tool}: it is needed to build the Debian package")
    python = _system_python()
    architecture = _run("dpkg", "--print-architecture").strip()
    with tempfile.TemporaryDirectory(prefix="framegate-deb-") as name:
        work = Path(name)
        if packages is None:
            print("gathering framegate and its dependencies with pip", file=sys.stderr)
            packages = site_packages(work, python)
        root = work / "root"
        root.mkdir(mode=0o755)
        stage(root, packages, python, architecture)
        out.mkdir(parents=True, exist_ok=True)
        made = out / f"framegate_{VERSION}_{architecture}.deb"
        part = made.with_name(f".{made.name}.part")
        print("packing", file=sys.stderr)
        _run("dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", str(root), str(part))
        part.replace(made)
    return made


def _system_python() -> tuple[int, int]:
    """The version of /usr/bin/python3, on which the package will run."""
    ask = "import sys; print(*sys.version_info[:2])"
    major, minor = _run("/usr/bin/python3", "-I", "-c", ask).split()
    return int(major), int(minor)


def _settle_modes(root: Path) -> None:
    """Folders 755, files 644, what can be run 755: whatever the umask and pip made of it."""
    for path in (root, *root.rglob("*")):
        if path.is_symlink():
            continue
        run = path.is_dir() or bool(path.stat().st_mode & stat.S_IXUSR)
        path.chmod(0o755 if run else 0o644)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=_environment())
    except OSError as err:
        raise UsageError(f"cannot run {command[0]}: {err.strerror}") from err
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1]
        raise UsageError(f"{command[0]} failed: {reason}")
    return done.stdout


def _environment() -> dict[str, str]:
    """The caller's, with a fixed time for the files: the same source gives the same file."""
    return {"SOURCE_DATE_EPOCH": "1767225600", **os.environ}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m deb.build",
        description="Build the Debian package of this source.",
        epilog="example: python -m deb.build --out dist && sudo apt install ./dist/framegate_*.deb",
    )
    parser.add_argument("--out", type=Path, default=Path("dist"), metavar="DIR", help="(dist)")
    args = parser.parse_args(argv)
    try:
        print(build(args.out))
    except UsageError as err:
        print(f"deb: {err}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
