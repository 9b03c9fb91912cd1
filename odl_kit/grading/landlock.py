"""Landlock (Linux 5.13 and newer): a process gives up, for itself and its children and for good, every file and port that it does not list.

Through ctypes, since Python has no module for it. Source: the kernel's Documentation/userspace-api/landlock.rst. What Landlock does not
cover: reading a file's size or date, chmod, UDP, and Unix sockets that have a path; see `namespaces` for the first three.
"""
import ctypes
import os
import struct
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF, CREATE_VERSION, PATH_BENEATH = 444, 445, 446, 1, 1      # the same numbers on every architecture
NO_NEW_PRIVILEGES = 38                                                          # prctl
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = (1 << bit for bit in range(4))
REFER, TRUNCATE, IOCTL = 1 << 13, 1 << 14, 1 << 15                              # since version 2, 3, 5
READ = EXECUTE | READ_FILE | READ_DIR
ON_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL                 # the rest means something for folders only
TCP, SCOPES = 0b11, 0b11                                                        # bind and connect (4); abstract sockets and signals (6)
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def version():
    """The version of Landlock's interface in this kernel, 0 where there is none."""
    if _libc is None:
        return 0
    return max(0, _libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(CREATE_VERSION)))


def restrict(*, read, write, devices=()):
    """From here on this process and its children may read what lies beneath `read` (and run it), do everything beneath `write`, use the
    files `devices`, open no TCP port and send no signal to anybody outside (where the kernel's version can do these).

    Paths that do not exist are left out. Must be called while the process has one thread. Raises OSError where there is no Landlock.
    """
    have = version()
    if not have:
        raise OSError("this kernel has no Landlock")
    files = (1 << 13) - 1 | (REFER if have >= 2 else 0) | (TRUNCATE if have >= 3 else 0) | (IOCTL if have >= 5 else 0)
    attributes = struct.pack("QQQ", files, TCP if have >= 4 else 0, SCOPES if have >= 6 else 0)
    size = 8 if have < 4 else 16 if have < 6 else 24
    ruleset = _call(CREATE_RULESET, ctypes.c_char_p(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for paths, access in ((read, READ), (write, files), (devices, READ_FILE | WRITE_FILE | IOCTL)):
            for path in paths:
                _allow(ruleset, path, access & files)
        if _libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_NO_NEW_PRIVS)")
        _call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _allow(ruleset, path, access):
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            access &= ON_A_FILE
        _call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), ctypes.c_char_p(struct.pack("=Qi", access, parent)),
              ctypes.c_uint32(0))
    finally:
        os.close(parent)


def _call(number, *arguments):
    result = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result
