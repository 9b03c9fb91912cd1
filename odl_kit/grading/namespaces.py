"""A world of its own for one process (Linux user namespaces): no network, no other processes, every file system read-only but one folder.

No program is needed for it (bubblewrap does the same from outside), and no root where the kernel lets users make namespaces; some
distributions forbid it, and then `unshare` raises and the caller says so.
"""
import contextlib
import ctypes
import os
import struct
import sys

USER, PID, NET, IPC, MOUNT = 0x10000000, 0x20000000, 0x40000000, 0x08000000, 0x00020000         # CLONE_NEW*
BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18                                                 # MS_*
MOUNT_SETATTR, READ_ONLY, WHOLE_TREE, HERE = 442, 1, 0x8000, -100                               # AT_RECURSIVE, AT_FDCWD
CAPABILITIES = 0x20080522                                                                       # _LINUX_CAPABILITY_VERSION_3
NOBODY = 65534
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def become_nobody():
    """Give up root for the user `nobody`, for good. A limit on processes does not bind root, and Landlock lets root reboot."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def unshare(writable, hidden=()):
    """Leave the machine's users, network, System V memory and mounts; the next child is process 1 of its own and takes all others with it
    when it ends. From then on the folders `hidden` are empty, and nothing can be changed but what lies beneath the folder `writable`.

    Raises OSError where the kernel does not let this user do it; some of it may be done by then.
    """
    if _libc is None:
        raise OSError("namespaces are Linux's")
    _check(_libc.unshare(USER | PID | NET | IPC | MOUNT), "unshare")
    folder = os.fsencode(writable)
    _check(_libc.mount(b"none", b"/", None, ctypes.c_ulong(RECURSIVE | PRIVATE), None), "mount /")
    _check(_libc.mount(folder, folder, None, ctypes.c_ulong(BIND), None), "mount the box")
    for path in hidden:
        with contextlib.suppress(OSError):          # a folder that there is not
            _check(_libc.mount(b"none", os.fsencode(path), b"tmpfs", ctypes.c_ulong(0), b"size=4k"), "mount over")
    _set_attributes(b"/", WHOLE_TREE, READ_ONLY, 0)
    _set_attributes(folder, 0, 0, READ_ONLY)
    os.chdir(writable)              # through the new mount: the old way there is read-only


def drop_capabilities():
    """Give up what root inside the namespace may do. Raises OSError."""
    header = struct.pack("Ii", CAPABILITIES, 0)
    _check(_libc.capset(ctypes.c_char_p(header), ctypes.c_char_p(bytes(24))), "capset")


def die_with_parent(signal):
    """Ask for `signal` when the parent ends. A change of user forgets it, so call this after one. No effect but on Linux."""
    if _libc is not None:
        _libc.prctl(1, int(signal), 0, 0, 0)        # PR_SET_PDEATHSIG


def _set_attributes(path, flags, on, off):
    attributes = struct.pack("QQQQ", on, off, 0, 0)
    done = _libc.syscall(ctypes.c_long(MOUNT_SETATTR), ctypes.c_int(HERE), ctypes.c_char_p(path), ctypes.c_uint(flags),
                         ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)))
    _check(done, f"mount_setattr {path!r}")


def _check(result, what):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
