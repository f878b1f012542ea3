"""The layers of the matcher's sandbox by name, and the launcher's order: one JSON argument."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

NOBODY = 65534
REFUSED = 77  # exit code of the sandbox when it did not start the matcher


class Layer(Enum):
    """One wall of the sandbox; the value is its name in records and messages."""

    DESCRIPTORS = "descriptors"  # standard streams and the one socket, nothing else
    NETWORK = "network_namespace"  # a network of its own, with nothing in it
    MOUNTS = "mount_namespace"  # a /tmp of its own, the checked bytes of models, no guard's folder
    OWN_UID = "own_uid"  # a user of its own, who owns nothing
    NO_NEW_PRIVS = "no_new_privs"  # none gained at exec, none of the old kept
    NO_CORE = "no_core"  # no core file, ended with the guard, memory closed to its like
    LANDLOCK = "landlock"  # files by name; TCP, where the kernel can
    SECCOMP = "seccomp"  # system calls by name


LAYERS = tuple(Layer)
LAYER_NAMES = tuple(layer.value for layer in Layer)


@dataclass(frozen=True, slots=True)
class Order:
    """One matcher's sandbox. Paths are absolute."""

    command: tuple[str, ...]
    layers: tuple[Layer, ...] = LAYERS
    uid: int = NOBODY
    fd: int = -1  # the control socket; -1 for none
    reads: tuple[str, ...] = ()  # files and folders, with all that is in them
    lists: tuple[str, ...] = ()  # folders whose names may be listed, not what is in them
    writes: tuple[str, ...] = ()
    models: tuple[tuple[str, str], ...] = ()  # path and SHA-256: these very bytes are what is read
    devices: tuple[str, ...] = ()  # nodes to read, write and make requests of
    requests: tuple[int, ...] = ()  # their types
    hidden: tuple[str, ...] = ()  # the guard's own folders: not even there
    cwd: str = ""  # where the matcher begins; empty: where it is
    report: int = -1  # where the sandbox sends its listener; closed before the matcher begins
    drop: tuple[str, ...] = ()  # environment names that end with the sandbox
