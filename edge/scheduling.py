"""What a process asks the kernel for: to run first, or at least before others.

Nothing here is required. What was not granted is said, because it shows in the
tail of every latency.
"""

from __future__ import annotations

import contextlib
import os
import resource

FUSE_US = 500_000  # RLIMIT_RTTIME: a runaway loop at real-time priority is ended


def real_time(priority: int) -> str:
    """Ask for SCHED_FIFO at `priority` (1 to 99); returns what was granted, in words."""
    try:
        resource.setrlimit(resource.RLIMIT_RTTIME, (FUSE_US, FUSE_US))
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except (OSError, ValueError):
        return "SCHED_OTHER: real-time scheduling is not allowed here; expect a longer tail"
    return f"SCHED_FIFO {priority}"


def prefer(niceness: int = -10) -> None:
    """Ask to run before ordinary processes; silently as before where that is not allowed.

    Where the kernel shares out time by session first (autogroup, see sched(7)), a
    niceness only counts inside the session, so a session's leader asks for its group too.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, niceness)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "w") as group:
            group.write(str(niceness))
