"""Builds the parts of the emulated device, each step once: packages, wheels, kernel, disk.

Everything is in one cache folder; an interrupted build continues where it stopped.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from bench.device.image import compiled, initramfs, recipe
from bench.device.image.cache import Cache
from bench.device.image.tools import run, with_sbin
from bench.device.machines import MACHINES, Pages
from edge.errors import UsageError
from edge.isolation import cleaned

GUEST = Path(__file__).parents[1] / "guest"
HOME = "opt/framegate"  # the virtual environment's place in the device
SOURCES = Path("/etc/apt")
_PACKAGE_INPUTS = [recipe.SUITE, recipe.PACKAGES]
Make = Callable[[Path], None]
Apt = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Built:
    """The files that a machine starts from."""

    kernel: Path
    initrd: Path
    root: Path
    modules: Path  # a folder: those that a chapter loads, and their order


class Builder:
    """The steps, in the order in which they need each other."""

    def __init__(self, cache: Cache, mirror: str | None) -> None:
        self._cache = cache
        self._mirror = mirror
        self._wanted = recipe.requirements(metadata.requires("framegate") or ())

    def build(self, pages: Pages) -> Built:
        """The files for a machine with this kernel; builds only those that are missing.

        Raises:
            UsageError: nothing could be fetched, or a tool failed.
        """
        with self._cache.locked():
            packages = self._packages()
            wheels = self._step(
                "wheels", self._wanted, lambda part: self._wheels(part, self._wanted)
            )
            kernel = self._kernel(pages, packages)
            inputs = self._root_inputs()
            machine = next(m for m in MACHINES if m.pages is pages)

            def root_with(part: Path) -> None:
                self._root(part, packages, wheels)
                compiled.compile_on(machine, kernel, part, self._cache.say)

            root = self._step("root", inputs, root_with)
        return Built(kernel / "vmlinuz", kernel / "initrd", root, kernel / "modules")

    def built(self, pages: Pages) -> bool:
        """Whether all files for this kernel are already built."""
        steps = (
            ("packages", _PACKAGE_INPUTS),
            ("wheels", self._wanted),
            (pages.value, self._kernel_inputs(pages)),
            ("root", self._root_inputs()),
        )
        return all(self._cache.has(name, inputs) for name, inputs in steps)

    def _root_inputs(self) -> list[object]:
        start = (GUEST / "start").read_text()
        return [_PACKAGE_INPUTS, self._wanted, recipe.FORM, recipe.DISK_MIB, start]

    def _step(self, name: str, inputs: object, make: Make) -> Path:
        return self._cache.step(name, inputs, make)

    def _packages(self) -> Path:
        def make(part: Path) -> None:
            apt = self._apt(part)
            apt(["apt-get", "--yes", "--download-only", "install", *recipe.PACKAGES])
            for deb in (part / "archives").glob("*.deb"):
                deb.rename(part / deb.name)
            for left in ("archives", "lists", "cache", "state", "etc"):
                shutil.rmtree(part / left)

        return self._step("packages", _PACKAGE_INPUTS, make)

    def _apt(self, folder: Path) -> Apt:
        """A function that runs apt with separate package lists, which it has downloaded."""
        for name in ("lists/partial", "archives/partial", "cache", "state", "etc"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "device.sources").write_text(recipe.apt_sources(self._found_mirror()))
        (folder / "apt.conf").write_text(recipe.apt_configuration(str(folder.resolve())))
        environment = {**cleaned(os.environ), "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C"}

        def apt(words: Sequence[str], cwd: Path | None = None) -> str:
            return run(
                words, "fetch packages (check the network, or name a --mirror)", environment, cwd
            )

        apt(["apt-get", "--error-on=any", "update"])
        return apt

    def _found_mirror(self) -> str:
        if self._mirror is not None:
            return self._mirror
        for path in sorted((*SOURCES.glob("sources.list"), *SOURCES.glob("sources.list.d/*"))):
            if path.suffix in (".list", ".sources") and (
                found := recipe.mirror_of(path.read_text())
            ):
                return found
        raise UsageError(f"no Debian mirror is named under {SOURCES}: name one with --mirror URL")

    def _wheels(self, part: Path, wanted: Sequence[str]) -> None:
        arguments = recipe.pip_arguments(wanted, str(part))
        part.mkdir()
        run(
            [sys.executable, "-m", "pip", *arguments],
            "fetch wheels (check the network)",
            cleaned(os.environ),
        )

    def _kernel_inputs(self, pages: Pages) -> list[object]:
        wanted = [recipe.MODULES, recipe.LATER_MODULES]
        return [recipe.SUITE, pages.value, wanted, (GUEST / "init").read_text()]

    def _kernel(self, pages: Pages, packages: Path) -> Path:
        def make(part: Path) -> None:
            scratch = part / "scratch"
            apt = self._apt(scratch)
            name = recipe.kernel_of(apt(["apt-cache", "depends", pages.value]))
            apt(["apt-get", "download", name], scratch)
            unpack(scratch, scratch / "tree")
            unpack(packages, scratch / "busybox", "busybox-static_*.deb")
            kernels = list((scratch / "tree/boot").glob("vmlinuz-*"))
            if len(kernels) != 1:
                raise UsageError(f"expected one kernel in {name}; found {len(kernels)}")
            shutil.copyfile(kernels[0], part / "vmlinuz")
            busybox = (scratch / "busybox/usr/bin/busybox").read_bytes()
            modules = initramfs.load_modules(scratch / "tree", recipe.MODULES)
            (part / "initrd").write_bytes(_initrd(busybox, modules))
            (part / "modules").mkdir()
            for wanted in recipe.LATER_MODULES:
                later = initramfs.load_modules(scratch / "tree", (wanted,))
                for module, data in later.items():
                    (part / "modules" / f"{module}.ko").write_bytes(data)
                (part / "modules" / wanted).write_text("".join(f"{m}.ko\n" for m in later))
            shutil.rmtree(scratch)

        return self._step(pages.value, self._kernel_inputs(pages), make)

    def _root(self, part: Path, packages: Path, wheels: Path) -> None:
        tree = part.with_name(part.name + "-tree")
        try:
            unpack(packages, tree)
            _lay_out(tree, wheels)
            with part.open("wb") as file:
                file.truncate(recipe.DISK_MIB << 20)
            make = ["mke2fs", "-q", "-t", "ext4", "-F", "-E", "root_owner=0:0"]
            make += ["-O", "^metadata_csum", "-d", str(tree), str(part)]
            if os.geteuid() != 0:  # in the device the files must belong to root
                make = ["unshare", "--map-root-user", *make]
            run(make, "make the device's disk", {**cleaned(os.environ), "PATH": with_sbin()})
        finally:
            shutil.rmtree(tree, ignore_errors=True)


def unpack(folder: Path, into: Path, which: str = "*.deb") -> None:
    """Unpack packages; the one that holds the links /bin and /lib comes first."""
    into.mkdir(parents=True, exist_ok=True)
    debs = sorted(folder.glob(which), key=lambda deb: (not deb.name.startswith("base-files_"), deb))
    for deb in debs:
        run(
            ["dpkg-deb", "--extract", str(deb), str(into)],
            f"unpack {deb.name}",
            cleaned(os.environ),
        )


def _lay_out(tree: Path, wheels: Path) -> None:
    """Accounts, and a virtual environment that holds the wheels and looks at /srv/framegate."""
    for name in ("passwd", "group"):
        shutil.copyfile(tree / f"usr/share/base-passwd/{name}.master", tree / "etc" / name)
    with (tree / "etc/passwd").open("a") as users, (tree / "etc/group").open("a") as groups:
        users.write(recipe.USER)
        groups.write("framegate:x:990:\n")
    if not (tree / "usr/bin/sh").is_symlink():
        (tree / "usr/bin/sh").symlink_to("dash")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost device\n")
    (tree / "etc/machine-id").write_text("5f" * 16 + "\n")
    home = tree / HOME
    version = ".".join(str(number) for number in recipe.PYTHON)
    packages = home / f"lib/python{version}/site-packages"
    packages.mkdir(parents=True)
    (home / "bin").mkdir()
    for name in ("python", "python3"):
        (home / "bin" / name).symlink_to("/usr/bin/python3")
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {version}\n"
    )
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as packed:
            packed.extractall(packages)
    (packages / "framegate.pth").write_text("/srv/framegate\n/srv/framegate/client\n")
    command = home / "bin/framegate"
    command.write_text('#!/bin/sh\nexec /opt/framegate/bin/python3 -I -m edge.entry "$@"\n')
    command.chmod(0o755)
    shutil.copyfile(GUEST / "start", home / "start")
    (home / "start").chmod(0o755)


def _initrd(busybox: bytes, modules: dict[str, bytes]) -> bytes:
    files = {f"modules/{name}.ko": data for name, data in modules.items()}
    files["modules/order"] = "".join(f"{name}.ko\n" for name in modules).encode()
    files |= {"bin/busybox": busybox, "init": (GUEST / "init").read_bytes()}
    folders = ("bin", "dev", "modules", "proc", "root", "sys")
    return initramfs.archive(files, {"bin/sh": "busybox"}, folders)
