"""What the emulated device is made of: packages, wheels, disk. No I/O; `build.py` does it.

The root file system is unpacked, not installed. No package script runs, so neither
user-mode emulation nor root rights are needed. Python and its libraries work without
those scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from edge.errors import UsageError

SUITE = "trixie"
PYTHON = (3, 13)  # what the suite ships
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PACKAGES = (
    *("base-files", "base-passwd", "bash", "busybox-static", "ca-certificates", "coreutils"),
    *("dash", "findutils", "grep", "iproute2", "kmod", "libglib2.0-0t64", "libstdc++6", "procps"),
    *("python3", "sed", "systemd", "tar", "udev", "util-linux"),
    *("swtpm", "tpm2-tools", "libtss2-tcti-device0t64"),
)
LATER_MODULES = ("vivid", "i6300esb", "softdog", "tpm_vtpm_proxy")  # a chapter loads them itself
USER = "framegate:x:990:990::/nonexistent:/usr/sbin/nologin\n"  # as the service's manual has it
MODULES = ("crc32c_generic", "ext4", "virtio_blk")  # in this order: dependencies first
DISK_MIB = 2048
ROOM_MIB = 2600  # of a cold build: downloads, unpacked tree and disk
FORM = 2  # raise this when the layout of the disk changes
_NEWEST_GLIBC = 41
_TESTS = ("hypothesis", "pymerkle", "pytest", "pytest-benchmark", "pytest-timeout", "pytest-xdist")
_PROJECT = re.compile(r"[A-Za-z0-9._-]+")


def requirements(declared: Iterable[str]) -> list[str]:
    """The packages for the device: all that the guard needs, and from `[test]` those for its tests.

    Args:
        declared: the `Requires-Dist` lines of the distribution.
    """
    chosen = []
    for line in declared:
        wanted, _, marker = (part.strip() for part in line.partition(";"))
        found = _PROJECT.match(wanted)
        if found is None:
            raise UsageError(f"expected a requirement with a project's name; got {line!r}")
        if not marker or ("extra" in marker and found[0].lower() in _TESTS):
            chosen.append(wanted)
    return sorted(set(chosen))


def pip_arguments(wanted: Iterable[str], into: str) -> list[str]:
    """pip's arguments that fetch wheels for the device, on whatever machine this is."""
    arguments = ["download", "--quiet", "--only-binary=:all:", "--dest", into]
    for glibc in range(_NEWEST_GLIBC, 16, -1):
        arguments += ["--platform", f"manylinux_2_{glibc}_aarch64"]
    arguments += ["--platform", "manylinux2014_aarch64", "--implementation", "cp"]
    arguments += ["--python-version", "".join(str(part) for part in PYTHON)]
    for abi in (f"cp{PYTHON[0]}{PYTHON[1]}", "abi3", "none"):
        arguments += ["--abi", abi]
    return [*arguments, *wanted]


def mirror_of(sources: str) -> str | None:
    """The first Debian mirror that apt sources name, in either of their two forms."""
    for line in sources.splitlines():
        words = line.split()
        if not words or words[0] not in ("deb", "URIs:"):
            continue
        for word in words[1:]:
            if re.fullmatch(r"https?://\S+/debian/?", word):
                return word.rstrip("/")
    return None


def checked_mirror(mirror: str) -> str:
    """A mirror that a person named.

    Raises:
        UsageError: it is no address that apt reads packages from.
    """
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", mirror):
        raise UsageError(
            f"expected --mirror as http://HOST/debian or https://HOST/debian; got {mirror!r}"
        )
    return mirror.rstrip("/")


def apt_sources(mirror: str) -> str:
    """An apt sources file for the device's suite alone."""
    return f"Types: deb\nURIs: {mirror}\nSuites: {SUITE}\nComponents: main\nSigned-By: {KEYRING}\n"


def apt_configuration(folder: str) -> str:
    """apt's settings: apt uses only files under `folder` and none of this machine's."""
    places = {
        "Dir::State": f"{folder}/state",
        "Dir::State::lists": f"{folder}/lists",
        "Dir::State::status": f"{folder}/status",
        "Dir::Cache": f"{folder}/cache",
        "Dir::Cache::archives": f"{folder}/archives",
        "Dir::Etc": f"{folder}/etc",
        "Dir::Etc::sourcelist": f"{folder}/device.sources",
        "Dir::Etc::sourceparts": f"{folder}/etc",
        "APT::Architecture": "arm64",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "",
        "Acquire::Languages": "none",
    }
    lines = [f'{name} "{value}";' for name, value in places.items()]
    return "\n".join(["#clear APT::Architectures;", *lines, 'APT::Architectures { "arm64"; };', ""])


def kernel_of(depends: str) -> str:
    """The name of the kernel package, from `apt-cache depends` of the metapackage.

    Raises:
        UsageError: none is named.
    """
    found = re.search(r"Depends: (linux-image-\S+)", depends)
    if found is None:
        raise UsageError("expected a kernel package in the distribution's list; found none")
    return found[1]
