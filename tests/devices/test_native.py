"""QEMU and this computer as boards."""
import pytest

from odl_kit.devices import native, selftest
from odl_kit.devices.board import open_board
from odl_kit.devices.wire import LinkError


@pytest.mark.slow
@pytest.mark.parametrize("url", ["host", "qemu", "virtual"])
def test_the_selftest_passes(need_tool, url):
    if url == "qemu":
        need_tool("qemu-system-arm", hint="apt-get install qemu-system-arm")
    with open_board(url) as device:
        assert [str(check) for check in selftest.run(device) if not check.ok] == []


def test_a_wrong_bit_fails_the_selftest(monkeypatch):
    with open_board("host") as device:
        monkeypatch.setattr(device, "weights", lambda: type(device).weights(device) + 1e-7)
        assert not all(check.ok for check in selftest.run(device))


def test_a_qemu_that_ends_is_an_error_with_its_name(need_tool):
    need_tool("qemu-system-arm", hint="apt-get install qemu-system-arm")
    device = open_board("qemu")
    device.link._process.kill()
    device.link._process.wait()
    with pytest.raises(LinkError, match="qemu .*qemu-system-arm ended with status -9"):
        device.info()
    device.close()


def test_without_qemu_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    with pytest.raises(OSError, match="no qemu-system-arm here: on Debian apt install"):
        open_board("qemu")
