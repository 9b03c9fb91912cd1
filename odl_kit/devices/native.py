"""The same C core elsewhere: on this computer as a library, and the virtual board's ELF file in QEMU. Both look like pyserial ports."""
import ctypes
import select
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from odl_kit.budget import BOARDS
from odl_kit.devices import build, virtual

QEMU = "qemu-system-arm"
PIECE = 1024            # as host.c allows


class HostPort:
    """The server compiled for this computer. room_bytes: for a Program and its arena. library: a path, None: compiled now.

    Raises build.NoCompiler if there is no C compiler.
    """

    def __init__(self, room_bytes=2**22, *, library=None):
        self._c = ctypes.CDLL(str(library or build.host_library()))
        self._c.host_out.restype = ctypes.POINTER(ctypes.c_uint8)
        self._room = (ctypes.c_uint64 * -(-room_bytes // 8))()
        self._host = (ctypes.c_uint64 * -(-self._c.host_bytes() // 8))()
        self._c.host_open(self._host, self._room, ctypes.c_uint32(room_bytes))
        self._out = bytearray()
        self.timeout = self.write_timeout = 0       # nothing here waits

    def write(self, data):
        """Hand bytes to the server, which answers at once."""
        for at in range(0, len(data), PIECE):
            piece = bytes(data[at:at + PIECE])
            n = self._c.host_push(self._host, piece, len(piece))
            self._out += ctypes.string_at(self._c.host_out(self._host), n)
        return len(data)

    def read(self, size=1):
        """Up to `size` bytes that the server sent."""
        got = bytes(self._out[:size])
        del self._out[:size]
        return got

    @property
    def in_waiting(self):
        """Bytes that read would give."""
        return len(self._out)

    def close(self):
        """Nothing to do."""


class QemuPort:
    """The virtual board's firmware in QEMU's mps2-an386: a second opinion on the same bytes. board: whose memory limit it is given.

    firmware: bytes of an ELF file, None: the one that the package brings. Not on Windows. Raises OSError without QEMU.
    """

    def __init__(self, board="nano33", *, firmware=None):
        if board not in virtual.MODELS:
            raise ValueError(f"board={board}: it can have the memory of {', '.join(virtual.MODELS)}")
        if not shutil.which(QEMU):
            raise OSError(f"no {QEMU} here: on Debian apt install qemu-system-arm, on macOS brew install qemu")
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "firmware.elf"
        path.write_bytes(virtual.firmware_for(BOARDS[board], firmware))
        self._socket, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [QEMU, "-M", "mps2-an386", "-display", "none", "-monitor", "none", "-kernel", str(path),
             "-icount", "shift=6,sleep=off",
             "-chardev", f"socket,id=uart,fd={theirs.fileno()}", "-serial", "chardev:uart"],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        theirs.close()
        self.timeout = self.write_timeout = 1.0

    def write(self, data):
        """Send bytes. Raises OSError, with what QEMU said, if it has ended."""
        self._alive()
        self._socket.settimeout(self.write_timeout)
        self._socket.sendall(data)
        return len(data)

    def read(self, size=1):
        """What came, at most `size` bytes; nothing after `timeout` seconds of silence."""
        if not select.select([self._socket], [], [], self.timeout)[0]:
            self._alive()
            return b""
        return self._socket.recv(size)

    in_waiting = 4096       # recv takes what is there

    def close(self):
        """End QEMU."""
        self._socket.close()
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _alive(self):
        if self._process.poll() is not None:
            said = self._process.stderr.read().decode(errors="replace").strip()[-500:]
            raise OSError(f"{QEMU} ended with status {self._process.returncode}: {said}")
