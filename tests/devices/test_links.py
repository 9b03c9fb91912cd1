"""Names of boards, and the USB numbers they are found by; a board behind a real serial port of the system."""
import os
import threading
from types import SimpleNamespace

import pytest
import serial.tools.list_ports

from odl_kit.devices import links, selftest
from odl_kit.devices.board import open_board
from odl_kit.devices.native import HostPort


def port(device, vid, pid, text="a port"):
    return SimpleNamespace(device=device, vid=vid, pid=pid, description=text)


def test_arduinos_are_found_by_their_usb_numbers_and_others_left_out(monkeypatch):
    plugged = [port("/dev/ttyACM1", 0x2341, 0x805A), port("/dev/ttyS0", None, None), port("/dev/ttyACM0", 0x2341, 0x9999, "new board"),
               port("/dev/ttyUSB0", 0x0403, 0x6001)]
    monkeypatch.setattr(serial.tools.list_ports, "comports", lambda: plugged)
    first, second = links.list_boards()
    assert (first.url, first.board, second.url, second.board) == ("/dev/ttyACM0", "", "/dev/ttyACM1", "nano33")
    assert "new board" in str(first) and "Nano 33 BLE Sense" in str(second)


def test_a_port_that_is_not_there_is_an_error_with_its_name_and_what_to_try():
    with pytest.raises(OSError, match="/dev/ttyACM97 cannot be opened.*dialout.*reset twice"):
        open_board("/dev/ttyACM97")


def test_a_url_that_means_nothing_is_an_error():
    with pytest.raises(ValueError, match="'nonsense://x' is no board"):
        open_board("nonsense://x")


def test_a_silent_serial_port_is_an_error_with_a_hint():
    with pytest.raises(OSError, match="loop:// does not answer to hello.*serial monitor"):
        open_board("loop://", timeout_s=0.05)         # pyserial's loop hears only itself


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo terminals")
def test_a_board_behind_a_serial_port_passes_the_selftest():
    ours, theirs = os.openpty()
    port, path = HostPort(), os.ttyname(theirs)

    def serve():
        try:
            while data := os.read(ours, 4096):
                port.write(data)
                os.write(ours, port.read(port.in_waiting))
        except OSError:         # closed
            pass
    threading.Thread(target=serve, daemon=True).start()
    with open_board(path) as device:
        assert [str(check) for check in selftest.run(device) if not check.ok] == []
        assert device.wire.repeats == 0
    os.close(theirs)
