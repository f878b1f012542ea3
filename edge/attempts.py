"""How a matcher may try to leave its sandbox: a closed set, for the log takes no free text."""

from __future__ import annotations

from enum import Enum


class Attempt(Enum):
    """The kind of an attempt; the value is its name in the log."""

    CAMERA = "camera"  # opened a camera's node
    CONNECT = "connect"
    BIND = "bind"  # or listened, or accepted
    SEND = "send"  # to an address
    SOCKETS = "sockets"  # asked for ever more of them, each refused
    TRACE = "trace"  # another process, its memory or its descriptors
    NAMESPACE = "namespace"  # a new one, or one of others
    MOUNT = "mount"  # changed what is mounted, or opened a file past the mounts
    KERNEL = "kernel"  # loaded code into it


BY_CALL = {
    "connect": Attempt.CONNECT,
    "bind": Attempt.BIND,
    "listen": Attempt.BIND,
    "accept": Attempt.BIND,
    "accept4": Attempt.BIND,
    "sendto": Attempt.SEND,
    "socket": Attempt.SOCKETS,
    "ptrace": Attempt.TRACE,
    "process_vm_readv": Attempt.TRACE,
    "process_vm_writev": Attempt.TRACE,
    "pidfd_getfd": Attempt.TRACE,
    "clone": Attempt.NAMESPACE,
    "unshare": Attempt.NAMESPACE,
    "setns": Attempt.NAMESPACE,
    "mount": Attempt.MOUNT,
    "umount2": Attempt.MOUNT,
    "pivot_root": Attempt.MOUNT,
    "chroot": Attempt.MOUNT,
    "open_tree": Attempt.MOUNT,
    "move_mount": Attempt.MOUNT,
    "fsopen": Attempt.MOUNT,
    "open_by_handle_at": Attempt.MOUNT,
    "bpf": Attempt.KERNEL,
    "init_module": Attempt.KERNEL,
    "finit_module": Attempt.KERNEL,
    "kexec_load": Attempt.KERNEL,
}
