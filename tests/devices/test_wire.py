"""Frames: Python's are the C twin's, and nothing that comes over the line can be taken for what it is not."""
import random
import struct
import zlib

import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from odl_kit.devices import wire
from odl_kit.devices.native import HostPort
from odl_kit.devices.wire import Frame, LinkError, Rebooted, Refused, Wire

payloads = st.binary(max_size=wire.PAYLOAD)


@given(st.integers(0, 255), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), payloads, st.integers(0, 255))
def test_a_frame_comes_back_whole(kind, sequence, boot, payload, status):
    frame = Frame(kind, sequence, boot, payload, status)
    data = wire.encode(frame)
    assert data[0] == data[-1] == 0 and 0 not in data[1:-1]
    assert wire.decode(data[1:-1]) == frame


@given(payloads, st.data())
def test_a_frame_with_any_bit_turned_is_none(payload, data):
    block = bytearray(wire.encode(Frame(3, 7, 9, payload))[1:-1])
    block[data.draw(st.integers(0, len(block) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert 0 in block or wire.decode(bytes(block)) is None


@given(st.binary(max_size=700))
def test_noise_is_no_frame(noise):
    assert wire.decode(noise) is None


def test_a_payload_that_is_too_long_is_an_error():
    with pytest.raises(ValueError, match="513 bytes: a frame takes 512"):
        wire.encode(Frame(1, 0, 0, bytes(513)))


class Lossy:
    """A link that drops, doubles and damages what passes, both ways, as a seed says."""

    def __init__(self, link, seed, rate=0.15):
        self.link, self.draw, self.rate, self.timeout = link, random.Random(seed), rate, 0

    def mistreat(self, data):
        fate = self.draw.random()
        if fate < self.rate:
            return b""
        if fate < 2 * self.rate:
            return data + data
        if fate < 3 * self.rate and data:
            at = self.draw.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1:]
        return data

    def write(self, data):
        return self.link.write(self.mistreat(data))

    def read(self, size):
        return self.mistreat(self.link.read(self.link.in_waiting or 1))


def test_the_server_answers_a_hello_and_refuses_what_it_does_not_know():
    line = Wire(HostPort(4096), "host")
    assert line.hello() == (wire.PAYLOAD, 0)
    room, *_ = struct.unpack_from("<6I", line.ask("info"))
    assert room == 4096
    with pytest.raises(Refused, match="refuses train: no program is loaded"):
        line.ask("train", bytes(8))
    with pytest.raises(Refused, match=r"too little memory \(room\); needed 6000, have 4096"):
        line.ask("load_begin", struct.pack("<II", 5000, 1000))
    with pytest.raises(Refused, match="needed 8, have 3"):
        line.ask("load_begin", bytes(3))


def test_a_request_that_is_repeated_is_obeyed_once():
    port = HostPort(4096)
    line = Wire(port, "host")
    line.hello()
    line.ask("load_begin", struct.pack("<II", 100, 100))
    line.ask("load_chunk", struct.pack("<I", 0) + bytes(40))
    again = wire.encode(Frame(wire.KINDS.index("load_chunk") + 1, line.sequence, line.boot, struct.pack("<I", 0) + bytes(40)))
    port.write(again)
    frames = [wire.decode(block) for block in port.read(10_000).split(b"\0") if block]
    assert [(f.status, f.sequence) for f in frames] == [(wire.OK, line.sequence)]     # obeyed again, it would be a wrong offset
    line.ask("load_chunk", struct.pack("<I", 40) + bytes(60))


def test_a_stale_request_changes_nothing_and_the_last_answer_is_still_there():
    port = HostPort(4096)
    line = Wire(port, "host")
    line.hello()
    old = wire.encode(Frame(2, line.sequence, line.boot))       # as an info with hello's number
    line.ask("load_begin", struct.pack("<II", 100, 100))
    last = wire.encode(Frame(3, line.sequence, line.boot, struct.pack("<II", 100, 100)))
    port.write(old + last)
    stale, replayed = [wire.decode(block) for block in port.read(10_000).split(b"\0") if block]
    assert stale.status == 3 and replayed.status == wire.OK


def test_another_hello_is_noticed_by_the_first_host():
    port = HostPort(4096)
    first, second = Wire(port, "host"), Wire(port, "host")
    first.hello()
    assert second.hello()[1] == first.boot
    with pytest.raises(Rebooted) as caught:
        first.ask("info")
    assert caught.value.need == second.boot


@pytest.mark.parametrize("seed", range(5))
def test_over_a_bad_line_every_request_is_obeyed_exactly_once(seed):
    line = Wire(Lossy(HostPort(2**16), seed), "host")
    line.hello(timeout_s=0.02, tries=100)
    line.ask("load_begin", struct.pack("<II", 20_000, 0), timeout_s=0.02, tries=100)
    for at in range(0, 20_000, 500):        # the server takes only the next chunk: one too many or too few is refused
        line.ask("load_chunk", struct.pack("<I", at) + bytes([at % 251]) * 500, timeout_s=0.02, tries=100)
    assert line.repeats > 0


def test_a_silent_port_is_an_error_with_its_name_and_a_hint():
    class Silent:
        timeout = 0

        def write(self, data):
            return len(data)

        def read(self, size):
            return b""
    with pytest.raises(LinkError, match="/dev/nothing does not answer to hello, 2 times 0.01 s long. Press reset"):
        Wire(Silent(), "/dev/nothing", hint="Press reset").hello(timeout_s=0.01, tries=2)


def test_a_link_that_breaks_is_an_error_with_its_name():
    class Broken:
        timeout = 0

        def write(self, data):
            raise OSError("unplugged")
    with pytest.raises(LinkError, match="COM9 takes no bytes: unplugged"):
        Wire(Broken(), "COM9").hello()


@given(st.lists(st.one_of(st.binary(max_size=60), st.tuples(st.integers(1, 15), st.binary(max_size=60))), max_size=20))
def test_the_server_survives_any_bytes_and_any_well_formed_command(pieces):
    port = HostPort(2048)
    line = Wire(port, "host")
    line.hello()
    for piece in pieces:
        if isinstance(piece, bytes):
            port.write(piece)
        else:
            line.sequence = (line.sequence + 1) % 2**16
            port.write(wire.encode(Frame(piece[0], line.sequence, line.boot, piece[1])))
    port.read(10**6)
    port.write(b"\0")
    line.hello()
    assert len(line.ask("info")) > 24


def test_frames_are_made_as_the_packages_cobs_and_zlib_make_them():
    body = struct.pack("<BBHI", 6, 0, 300, 77) + b"ab\0cd"
    assert wire.encode(Frame(6, 300, 77, b"ab\0cd")) == b"\0" + cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"
