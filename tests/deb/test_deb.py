"""The Debian package: what it holds, and that it installs, runs, upgrades and goes."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from deb.build import ROOT, build, control, stage, system_files
from edge.daemon.install import machine_files
from edge.version import VERSION

PYTHON = (3, 11)
SCRIPTS = sorted((ROOT / "deb/scripts").iterdir())

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb")


@pytest.fixture
def packages(tmp_path):
    """A folder in place of site-packages, with modes that a package must not have."""
    folder = tmp_path / "packages"
    (folder / "edge").mkdir(parents=True)
    (folder / "edge/__init__.py").write_text("")
    (folder / "edge/__init__.py").chmod(0o666)
    (folder / "edge").chmod(0o777)
    return folder


@pytest.fixture
def staged(packages, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    stage(root, packages, PYTHON, "amd64")
    return root


def test_the_package_holds_units_rule_user_and_command(staged):
    units = staged / "usr/lib/systemd/system"
    assert "ExecStart=/usr/bin/framegate daemon" in (units / "framegate@.service").read_text()
    assert "framegate@%i.service" in (units / "framegate-status@.socket").read_text()
    assert (staged / "usr/lib/udev/rules.d/70-framegate.rules").read_bytes()
    assert "u framegate " in (staged / "usr/lib/sysusers.d/framegate.conf").read_text()
    assert "/var/cache/framegate" in (staged / "usr/lib/tmpfiles.d/framegate.conf").read_text()
    command = staged / "usr/bin/framegate"
    assert command.resolve() == (staged / "usr/lib/framegate/bin/framegate").resolve()
    assert os.access(command, os.X_OK)
    assert (staged / "usr/lib/framegate/lib/python3.11/site-packages/edge/__init__.py").exists()


def test_it_ships_nothing_in_etc_so_it_has_no_conffiles(staged):
    assert not (staged / "etc").exists()
    assert not (staged / "DEBIAN/conffiles").exists()


def test_nothing_in_it_may_be_changed_by_others(staged):
    for path in staged.rglob("*"):
        if not path.is_symlink():
            assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH), path


def test_every_file_stands_in_the_sums(staged):
    listed = {line[34:] for line in (staged / "DEBIAN/md5sums").read_text().splitlines()}

    there = {
        str(path.relative_to(staged))
        for path in staged.rglob("*")
        if path.is_file() and not path.is_symlink() and "DEBIAN" not in path.parts
    }
    assert listed == there
    assert len(there) >= len(system_files()) + 3


def test_it_asks_for_the_python_that_it_was_built_for():
    text = control("arm64", (3, 12), 7)

    assert f"Version: {VERSION}\nArchitecture: arm64\n" in text
    assert "python3 (>= 3.12), python3 (<< 3.13)" in text


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_maintainer_script_refuses_what_it_does_not_know(script):
    assert subprocess.run(["/bin/sh", "-n", script]).returncode == 0
    done = subprocess.run(["/bin/sh", script, "dance"], capture_output=True, text=True)

    assert done.returncode == 1
    assert "unknown argument 'dance'" in done.stderr


def test_where_a_package_brought_the_units_service_install_writes_none():
    own = {item.path for item in machine_files("/usr/bin/framegate", {"centerface.onnx": b""})}
    beside = {
        item.path
        for item in machine_files("/usr/bin/framegate", {"centerface.onnx": b""}, packaged=True)
    }

    assert own - beside == {
        "etc/systemd/system/framegate@.service",
        "etc/systemd/system/framegate-status@.socket",
        "etc/systemd/system/framegate-courier@.service",
        "etc/systemd/system/framegate-fetch@.service",
        "etc/systemd/system/framegate-fetch@.timer",
        "etc/udev/rules.d/70-framegate.rules",
    }
    assert "var/cache/framegate/centerface.onnx" in beside


@needs_dpkg
def test_dpkg_reads_the_package_back(packages, tmp_path):
    made = build(tmp_path / "dist", packages)

    fields = subprocess.run(
        ["dpkg-deb", "-f", made, "Package", "Version"], capture_output=True, text=True
    )
    assert fields.stdout == f"Package: framegate\nVersion: {VERSION}\n"
    listed = subprocess.run(["dpkg-deb", "-c", made], capture_output=True, text=True).stdout
    assert all(line.split()[1] == "root/root" for line in listed.splitlines())
    assert "./usr/bin/framegate -> ../lib/framegate/bin/framegate" in listed


# the whole package in a root of its own ---------------------------------------------------

# A view of this system in which every change goes to memory, and no source tree is seen.
_ENTER = r"""
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mkdir -p "$1/root/pkg"
cp "$2" "$1/root/pkg/framegate.deb"
for place in home root work tmp run; do
    [ ! -d "$1/root/$place" ] || mount -t tmpfs none "$1/root/$place"
done
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
rm -rf "$1/root/etc/framegate" "$1/root/var/lib/framegate"
exec chroot "$1/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -eu -c "$3"
"""
_LIFE = r"""
cd /tmp
dpkg --force-depends -i /pkg/framegate.deb >/tmp/first
echo "version: $(framegate --version)"
echo "user: $(getent passwd framegate | cut -d: -f7)"
echo "cache: $(stat -c '%U %a' /var/cache/framegate)"
find /usr/lib/framegate -name __pycache__ | grep -q . && echo "byte code: yes"
/usr/lib/framegate/bin/python3 -I -m pip --version >/tmp/pip && echo "pip: yes"
framegate config show > /tmp/shown && echo "config show: yes"
printf 'source = "0"\ndevice = "d.toml"\nsession = "s.toml"\n[log]\nkeep_months = 1x\n' > g.toml
framegate config check g.toml 2>&1 | sed 's/^/check: /' || true
mkdir -p /etc/framegate/till-2 && echo kept > /etc/framegate/till-2/guard.toml
dpkg --force-depends -i /pkg/framegate.deb >/tmp/again && echo "again: yes"
dpkg -V framegate && echo "whole: yes"
dpkg -r framegate >/tmp/gone
[ ! -e /usr/lib/framegate ] && echo "removed: yes"
dpkg -P framegate 2>&1 | sed 's/^/purge: /'
[ ! -e /var/cache/framegate ] && echo "cache gone: yes"
echo "kept: $(cat /etc/framegate/till-2/guard.toml)"
"""


@needs_dpkg
@pytest.mark.long
@pytest.mark.timeout(900)
def test_it_installs_runs_upgrades_and_goes_in_a_clean_root(tmp_path):
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a root of its own needs root and unshare")
    given = os.environ.get("FRAMEGATE_DEB")
    made = Path(given) if given else build(tmp_path / "dist")
    (tmp_path / "mnt").mkdir()
    command = ["unshare", "--mount", "/bin/sh", "-c", _ENTER, "sh", tmp_path / "mnt", made, _LIFE]
    done = subprocess.run(command, capture_output=True, text=True)
    if "mount" in done.stderr and not done.stdout:
        pytest.skip(f"this system mounts no overlay: {done.stderr.strip()[:200]}")

    printed = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"version: framegate {VERSION}" in printed
    assert "user: /usr/sbin/nologin" in printed
    assert "cache: framegate 750" in printed
    for what in ("byte code", "pip", "config show", "again", "whole", "removed", "cache gone"):
        assert f"{what}: yes" in printed
    assert any(line.startswith("check: ") and "g.toml" in line for line in printed)
    assert any(line.startswith("purge: ") and "/etc/framegate stays" in line for line in printed)
    assert printed[-1] == "kept: kept"
