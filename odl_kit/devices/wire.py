"""Frames on a serial line, and one request with its reply. The C twin is hardware/odl/src/odl_wire.c; the commands are odl_server.h's.

frame = 00 | COBS(kind u8 | status u8 | seq u16 | boot u32 | payload | crc32 u32) | 00, little-endian. COBS (Cheshire and Baker 1999)
rewrites the bytes so that 00 stands only between frames. Lost, damaged, doubled and late bytes are the line's business as usual.
"""
import secrets
import struct
import time
import zlib
from collections import deque
from dataclasses import dataclass

try:
    from cobs import cobs
except ImportError as error:
    raise ImportError("boards need the package cobs: pip install 'odl-kit[board]'") from error

VERSION, PAYLOAD = 1, 512
KINDS = ("hello", "info", "load_begin", "load_chunk", "load_end", "train", "predict", "evaluate", "read", "write", "memory", "counters",
         "seek", "reset")       # hello is kind 1
HEAD = struct.Struct("<BBHI")
REPLY, OK, BOOT, PROGRAM = 0x80, 0, 4, 32
STATUS = {1: "unknown command", 2: "wrong length", 3: "out of sequence", BOOT: "the board was reset", 5: "no program is loaded",
          6: "too little memory", 7: "wrong offset", 8: "no such tensor", 9: "input or labels are not whole", 10: "impossible value"}


class LinkError(OSError):
    """The line is silent or broken; the message names the port and what to try."""


class Refused(RuntimeError):
    """The board answered that it cannot do it. status: its number; need, have: what it is about."""

    def __init__(self, message, status, need, have):
        super().__init__(message)
        self.status, self.need, self.have = status, need, have


class Rebooted(Refused):
    """The board was reset (need = 0), or another program has said hello to it since. need: the boot id that the board has now."""


@dataclass(frozen=True)
class Frame:
    """kind: number of a command, + 128 in a reply. status: 0 is well. boot: of the board, 0 before hello. payload: bytes, at most 512."""
    kind: int
    sequence: int
    boot: int
    payload: bytes = b""
    status: int = OK


def encode(frame):
    """Frame -> bytes for the line, 00 at both ends. Raises ValueError for a payload that is too long."""
    if len(frame.payload) > PAYLOAD:
        raise ValueError(f"payload of {len(frame.payload)} bytes: a frame takes {PAYLOAD}, send it in pieces")
    body = HEAD.pack(frame.kind, frame.status, frame.sequence, frame.boot) + frame.payload
    return b"\0" + cobs.encode(body + struct.pack("<I", zlib.crc32(body))) + b"\0"


def decode(block):
    """What stood between two 00 -> Frame, or None where it is none: too short or long, damaged, not COBS."""
    try:
        body = cobs.decode(block)
    except cobs.DecodeError:
        return None
    if not HEAD.size + 4 <= len(body) <= HEAD.size + PAYLOAD + 4 or zlib.crc32(body[:-4]) != struct.unpack("<I", body[-4:])[0]:
        return None
    kind, status, sequence, boot = HEAD.unpack_from(body)
    return Frame(kind, sequence, boot, body[HEAD.size:-4], status)


class Wire:
    """Requests over a link, anything with pyserial's read(size), write(data) and timeout; each is repeated until its reply comes.

    A board obeys a sequence number once: a repeated request gets the first one's reply. boot: the number that this host gave the board in
    hello; a reset board has forgotten it. repeats: how often a request was sent again, so far.
    """

    def __init__(self, link, name, *, hint=""):
        self.link, self.name, self.hint = link, name, hint
        self.boot, self.sequence, self.repeats = 0, 0, 0
        self._bytes, self._frames = bytearray(), deque()

    def hello(self, *, timeout_s=2.0, tries=3):
        """Begin: gives the board a fresh boot id. Returns (payload bytes that it takes, boot id that it had: 0 after a reset)."""
        self.boot, self.sequence = secrets.randbelow(2**32 - 1) + 1, secrets.randbelow(2**16)
        version, payload, before = struct.unpack("<HHI", self.ask("hello", timeout_s=timeout_s, tries=tries))
        if version != VERSION:
            raise LinkError(f"{self.name} speaks version {version} of the protocol, this package {VERSION}: flash the board anew")
        return min(payload, PAYLOAD), before

    def ask(self, kind, payload=b"", *, timeout_s=2.0, tries=5):
        """Send one command -> payload of its reply. timeout_s: seconds to wait for it, each of the `tries` times.

        Raises Refused, Rebooted, or LinkError when no reply comes.
        """
        self.sequence = (self.sequence + 1) % 2**16
        number = KINDS.index(kind) + 1
        data = encode(Frame(number, self.sequence, self.boot, payload))
        for attempt in range(tries):
            self.repeats += attempt > 0
            self._write(data, timeout_s)
            reply = self._reply(number | REPLY, time.monotonic() + timeout_s)
            if reply:
                return self._accept(kind, reply)
        raise LinkError(f"{self.name} does not answer to {kind}, {tries} times {timeout_s:g} s long. {self.hint}".rstrip())

    def _accept(self, kind, reply):
        if reply.status == OK:
            return reply.payload
        need, have = struct.unpack_from("<II", reply.payload.ljust(8, b"\0"))
        about = reply.payload[8:].decode("ascii", "replace")
        what = f"invalid program, {about}" if reply.status >= PROGRAM else f"{STATUS.get(reply.status, f'status {reply.status}')} ({about})"
        error = Rebooted if reply.status == BOOT else Refused
        raise error(f"{self.name} refuses {kind}: {what}; needed {need}, have {have}", reply.status, need, have)

    def _reply(self, kind, deadline):
        """The reply to the request that is open, or None at the deadline. Whatever else comes is dropped."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                if (frame.kind, frame.sequence) == (kind, self.sequence) and (frame.boot == self.boot or frame.status == BOOT):
                    return frame
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._read(left)

    def _read(self, seconds):
        try:
            self.link.timeout = min(seconds, 0.2)          # so that Ctrl-C is heard
            self._bytes += self.link.read(max(1, getattr(self.link, "in_waiting", 1)))
        except OSError as error:
            raise LinkError(f"{self.name} is gone: {error}") from error
        *blocks, self._bytes = self._bytes.split(b"\0")
        self._bytes = self._bytes[-2 * PAYLOAD:]            # noise without a 00 must not fill memory
        self._frames.extend(filter(None, map(decode, filter(None, blocks))))

    def _write(self, data, timeout_s):
        try:
            self.link.write_timeout = timeout_s
            self.link.write(data)
        except OSError as error:
            raise LinkError(f"{self.name} takes no bytes: {error}. {self.hint}".rstrip()) from error
