"""What a command is started from: modes, descriptors, mounts, limits, hostile folders."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from edge.audit.store import PRIVATE
from tests.cases.case import Case, Found, Outcome, Skipped, Workshop
from tests.support.surroundings import trap

_JUDGED, _PARTLY, _REFUSED = Outcome.JUDGED, Outcome.PARTLY, Outcome.REFUSED
_ALL = "^60 frames"
_FLOWS = r"\d+ frames: [1-9]\d* released"
_IN_MOUNTS = "mount --make-rprivate / && {} || exit 77"
_SMALL_SHM = _IN_MOUNTS.format("mount -t tmpfs -o size=64k tmpfs /dev/shm")
_NO_TEMPORARY = _IN_MOUNTS.format(  # the current folder, which the case may write, is left
    "mount --bind /tmp /tmp && mount --bind . $PWD && mount -o remount,bind,ro /tmp && "
    "mount -t tmpfs -o ro tmpfs /var/tmp && cd $PWD"
)
_READ_ONLY = _IN_MOUNTS.format("mount -o remount,bind,ro /")


def _replay(before: str) -> Callable[[Workshop], Found]:
    return lambda shop: shop.replay(shop.clip, before=before)


def _guard(before: str) -> Callable[[Workshop], Found]:
    return lambda shop: shop.guard(before)


def _mounted(work: Callable[[Workshop, str], Found], script: str) -> Callable[[Workshop], Found]:
    """Do `work` in mounts of its own, which `script` changes first."""

    def run(shop: Workshop) -> Found:
        if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
            raise Skipped("mounts of its own take root")
        shop.clip  # noqa: B018 - made before nothing can be written any more
        inner = script.replace("'", "")
        return work(shop, f'exec unshare -m sh -c \'{inner}; exec "$@"\' sh "$@"')

    return run


def _replayed(shop: Workshop, before: str) -> Found:
    return shop.replay(shop.clip, before=before)


def _guarded(shop: Workshop, before: str) -> Found:
    shop.site  # noqa: B018 - as above
    return shop.guard(before)


def _hostile_folder(shop: Workshop) -> Found:
    """The current folder, which is the case's, holds modules by the names of ours."""
    return _unmarked(shop, trap(shop.folder))


def _hostile_path(shop: Workshop) -> Found:
    """The matcher is its owner's program and keeps the variable; no process of ours may."""
    if os.geteuid() != 0:
        raise Skipped("only root's processes are told from the matcher by the mark")
    (shop.folder / "hostile").mkdir()
    mark = trap(shop.folder / "hostile")
    shop.environment["PYTHONPATH"] = str(shop.folder / "hostile")
    shop.guard()
    if mark.exists():
        return Found(Outcome.FAULT, f"imported {mark.read_text()}")
    return shop.replay(shop.clip)


_MARKS = r"""
#include <stdio.h>
__attribute__((constructor)) static void mark(void) {
    char words[8192];
    FILE *own = fopen("/proc/self/cmdline", "r"), *all = fopen("MARK", "a");
    size_t n = own ? fread(words, 1, sizeof words, own) : 0;
    for (size_t i = 0; i < n; i++) if (words[i] == 0) words[i] = '\t';
    if (all) { fwrite(words, 1, n, all); fputc('\n', all); fclose(all); }
    if (own) fclose(own);
}
"""
_BEFORE = {"sh", "readlink", "test"}  # what the shell runs until the entry starts itself anew


def _preloaded(shop: Workshop) -> Found:
    """A library that leaves a mark in each process that loads it; the first are not ours."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Skipped("no C compiler")
    mark, source, library = (shop.folder / name for name in ("mark", "x.c", "x.so"))
    source.write_text(_MARKS.replace("MARK", str(mark)))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    shop.environment["LD_PRELOAD"] = str(library)
    found = shop.guard()
    if not mark.exists():
        return Found(Outcome.FAULT, "the library was never loaded")
    loaded = [line.split("\t") for line in mark.read_text().splitlines()]
    ours = [w for w in loaded if Path(w[0]).name not in _BEFORE and "edge.entry" not in w]
    return Found(Outcome.FAULT, f"loaded into {' '.join(ours[0])}") if ours else found


def _unmarked(shop: Workshop, mark: Path) -> Found:
    found = shop.guard()
    return Found(Outcome.FAULT, f"imported {mark.read_text()}") if mark.exists() else found


def _second_guard(shop: Workshop) -> Found:
    """Another guard on the folder of one that runs."""
    import fcntl

    first = shop.guard()
    if first.outcome is not _JUDGED:
        return first
    with (shop.folder / "out" / "audit" / PRIVATE / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as its one writer holds it
        return shop.guard()


def _memory(kilobytes: int, work: Callable[[Workshop, str], Found]) -> Callable[[Workshop], Found]:
    return lambda shop: work(shop, f"ulimit -v {kilobytes}")


CASES = (
    Case("stdin closed", _replay("exec <&-"), _JUDGED, _ALL),
    Case("stdout closed", _replay("exec >&-"), _JUDGED, "^$"),
    Case("stderr closed", _replay("exec 2>&-"), _JUDGED, _ALL),
    Case("stdin and stdout closed, a guard", _guard("exec <&- >&-"), _JUDGED, "^$"),
    Case("umask 077", _guard("umask 077"), _JUDGED, _FLOWS),
    Case("umask 027", _guard("umask 027"), _JUDGED, _FLOWS),
    Case("no writable temporary folder", _mounted(_replayed, _NO_TEMPORARY), _JUDGED, _ALL),
    Case("the same, a guard", _mounted(_guarded, _NO_TEMPORARY), _JUDGED, _FLOWS),
    Case("read-only root", _mounted(_replayed, _READ_ONLY), _REFUSED, "for temporary files"),
    Case("read-only root, a guard", _mounted(_guarded, _READ_ONLY), _REFUSED, "temporary files"),
    Case("/dev/shm of 64 kB", _mounted(_guarded, _SMALL_SHM), _JUDGED, _FLOWS),
    Case("24 open files", _guard("ulimit -n 24"), _REFUSED, "too many open files"),
    *(
        Case(f"{size} MB of addresses", _memory(size << 10, _replayed), _REFUSED, "little memory")
        for size in (60, 200, 400, 1000)
    ),
    Case("200 MB, a guard", _memory(200 << 10, _guarded), _REFUSED, "too little memory"),
    Case("1200 MB of addresses", _memory(1200 << 10, _replayed), _JUDGED, _ALL),
    Case("1200 MB, a guard", _memory(1200 << 10, _guarded), _JUDGED, _FLOWS),
    Case("modules in the current folder", _hostile_folder, _JUDGED, _FLOWS),
    Case("modules in PYTHONPATH", _hostile_path, _JUDGED, _ALL),
    Case("a preloaded library", _preloaded, _JUDGED, _FLOWS),
    Case("a second guard, one audit log", _second_guard, _REFUSED, "in use"),
)  # fmt: skip
