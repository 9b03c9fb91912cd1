"""From a name to a link: serial ports by pyserial, boards on them by the USB numbers of their makers, the others by their words."""
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from odl_kit.budget import BOARDS

# USB vendor and product numbers, from ArduinoCore-mbed's boards.txt. A board has several: as a bootloader and as a sketch.
ARDUINO = 0x2341
PRODUCTS = {"nano33": (0x005A, 0x805A, 0x015A, 0x025A), "rp2040": (0x005E, 0x805E)}
BAUD = 115_200          # a USB-CDC port ignores it
HINT = ("Is another program (a serial monitor) using it? On Linux: are you in the group dialout? Press reset twice quickly, then flash "
        "hardware/odl/examples/01_meet_the_board")


@dataclass(frozen=True)
class Port:
    """A serial port. url: for open_board. board: a name in budget.BOARDS, "" for another product. about: what the system says."""
    url: str
    board: str
    about: str

    def __str__(self):
        return f"{self.url:<16} {BOARDS[self.board].title if self.board else self.about}"


def list_boards():
    """The Ports whose USB vendor is Arduino, sorted. Raises ImportError without pyserial."""
    found = [(port, _board(port.vid, port.pid)) for port in _serial("serial.tools.list_ports").comports() if port.vid == ARDUINO]
    return [Port(port.device, board, port.description or "") for port, board in sorted(found, key=lambda pair: pair[0].device)]


def open_link(url):
    """(link, hint) for a url of open_board: something with pyserial's read, write, timeout and close; what to try if it is silent.

    Raises ValueError for a url that is none, OSError for a port that cannot be opened.
    """
    split = urlsplit(url)
    words = dict(parse_qsl(split.query, keep_blank_values=True))
    if url.partition("?")[0] in ("virtual", "qemu", "host"):
        return _made(split.path, words), ""
    try:
        return _serial("serial").serial_for_url(url, BAUD, timeout=0.2, write_timeout=5), HINT
    except _serial("serial").SerialException as error:
        ports = ", ".join(port.url for port in list_boards()) or "none"
        raise OSError(f"{url} cannot be opened: {error}. {HINT}. Arduino ports here: {ports}") from error
    except ValueError as error:
        raise ValueError(f'{url!r} is no board: use "virtual", "host", "qemu" or a serial port ({error})') from error


def _made(kind, words):
    board = words.pop("board", "nano33")
    if words:
        raise ValueError(f"{kind}: option {', '.join(words)} is unknown; the only one is board=")
    if kind == "virtual":
        from odl_kit.devices.virtual import VirtualPort
        return VirtualPort(board)
    from odl_kit.devices import native
    return native.QemuPort(board) if kind == "qemu" else native.HostPort()


def _board(vid, pid):
    return next((name for name, pids in PRODUCTS.items() if vid == ARDUINO and pid in pids), "")


def _serial(name):
    try:
        import importlib

        import serial  # noqa: F401
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError("a board on a serial port needs pyserial: pip install 'odl-kit[board]'") from error
