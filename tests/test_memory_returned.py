"""After its start a process unmaps library pages, but none that was written to."""

import subprocess
import sys

import pytest

from edge import isolation, scheduling
from edge.scheduling import LateReturn, unwritten

MAPPING = """\
7f00{n}000-7f00{n}800 {mode} 00000000 fe:00 26723                      {path}
Rss:                   8 kB
{sizes}
VmFlags: rd mr mw me
"""
UNTOUCHED = "Anonymous:             0 kB\nSwap:                  0 kB\nSwapPss:               0 kB"
SCRIPT = """
import ctypes, mmap, os, sys, threading
from edge import scheduling

PAGES = 64
path, threads = sys.argv[1], int(sys.argv[2])
for _ in range(threads):
    threading.Thread(target=threading.Event().wait, daemon=True).start()

def mapped():
    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), PAGES * 4096, mmap.MAP_PRIVATE, 3)

def resident(memory):  # KiB
    place = f"{ctypes.addressof(ctypes.c_char.from_buffer(memory)):x}-"
    lines = iter(open("/proc/self/smaps").read().split("\\n"))
    next(line for line in lines if line.startswith(place))
    return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))

written, read = mapped(), mapped()
written[5] = 7
for memory in (written, read):
    assert sum(memory[at] for at in range(0, PAGES * 4096, 4096)) == PAGES
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), PAGES * 4096, 1) == 0
before = resident(read)
scheduling.return_memory()
after = resident(read)
print(before, after, written[5], read[5], read[0])
"""


def _run(folder, threads):
    """KiB of the pages that were only read, before and after; and bytes of both mappings."""
    (folder / "script.py").write_text(SCRIPT)
    (folder / "library").write_bytes((b"\x01" + bytes(4095)) * 64)
    done = subprocess.run(
        [sys.executable, folder / "script.py", folder / "library", str(threads)],
        capture_output=True,
        text=True,
        env={**isolation.environment(), "PYTHONPATH": isolation._ROOT},
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


def test_a_page_that_was_only_read_is_unmapped_and_one_that_was_written_stays(tmp_path):
    before, after, written, other, read = _run(tmp_path, threads=0)

    assert before > 0
    assert after == 0
    assert (written, other) == (7, 0)
    assert read == 1, "comes from the file again"


def test_a_process_with_another_thread_keeps_its_pages(tmp_path):
    """The other might load a library at this very moment."""
    before, after, written, _, read = _run(tmp_path, threads=1)

    assert before > 0
    assert after > 0
    assert (written, read) == (7, 1)


def test_memory_is_returned_once_more_when_the_first_work_is_done(monkeypatch):
    returned = []
    monkeypatch.setattr(scheduling, "return_memory", lambda: returned.append(True))
    late = LateReturn(at_ns=100)

    late.turn(99)
    before = len(returned)
    late.turn(100)
    late.turn(101)

    assert (before, len(returned)) == (0, 1)


def test_libraries_are_what_is_unmapped():
    smaps = MAPPING.format(n=1, mode="r-xp", path="/lib/a.so", sizes=UNTOUCHED)
    smaps += MAPPING.format(n=2, mode="r--p", path="/lib/with blank.so", sizes=UNTOUCHED)

    assert unwritten(smaps) == [(0x7F001000, 0x7F001800), (0x7F002000, 0x7F002800)]


@pytest.mark.parametrize(
    ("mode", "path", "sizes"),
    [
        ("rw-p", "/lib/a.so", UNTOUCHED),
        ("rwxp", "/lib/a.so", UNTOUCHED),
        ("rw-s", "/memfd:framegate-ring (deleted)", UNTOUCHED),
        ("r-xp", "[vdso]", UNTOUCHED),
        ("r--p", "", UNTOUCHED),
        ("r--p", "/lib/a.so", "Anonymous:             4 kB\nSwap:                  0 kB"),
        ("r--p", "/lib/a.so", "Anonymous:             0 kB\nSwap:                  4 kB"),
        ("r--p", "/lib/a.so", "Anonymous:             0 kB"),
        ("r--p", "/lib/a.so", "Swap:                  0 kB"),
        ("r--p", "/lib/a.so", "Rss:                   8 kB"),
    ],
)
def test_what_may_hold_something_of_its_own_is_kept(mode, path, sizes):
    library = MAPPING.format(n=1, mode="r-xp", path="/lib/a.so", sizes=UNTOUCHED)

    smaps = library + MAPPING.format(n=2, mode=mode, path=path, sizes=sizes)

    assert unwritten(smaps) == [(0x7F001000, 0x7F001800)]


FAULTS = """
import resource
from edge import scheduling

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        bytearray(1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

scheduling.keep_memory(1 << 17)  # less than one of them
few = faults()
scheduling.keep_memory(1 << 22)
faults()  # the first one is new
print(few, faults())
"""


def test_memory_that_is_kept_is_not_cleared_page_by_page_for_each_picture():
    command = [sys.executable, "-c", FAULTS]
    environment = {**isolation.environment(), "PYTHONPATH": isolation._ROOT}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    given_back, kept = (int(word) for word in done.stdout.split())

    assert given_back >= 20 * 200, "of 256 pages each"
    assert kept < 200
