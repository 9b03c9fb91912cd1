"""A file at rest that only its key opens: ChaCha20-Poly1305. Drop the key and the file is noise, however many copies of it there are.

    "ODLSEAL1" (8) | nonce (12) | ciphertext, as long as the data | tag (16)

Source: RFC 8439. Nonces are drawn at random; at one update a day 2^32 of them, the limit for 12 bytes, are never used up.
"""
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from odl_kit.defenses.updates import Refused

MAGIC = b"ODLSEAL1"
KEY_BYTES, NONCE_BYTES, TAG_BYTES = 32, 12, 16
OVERHEAD = len(MAGIC) + NONCE_BYTES + TAG_BYTES


def new_key():
    """32 random bytes, one key a device: a sealed file copied to another device does not open there."""
    return ChaCha20Poly1305.generate_key()


def seal(data, key, *, place):
    """bytes -> bytes, OVERHEAD longer. place: bytes that say what this is (device, purpose); the same must be given to open it."""
    nonce = os.urandom(NONCE_BYTES)
    return MAGIC + nonce + _cipher(key).encrypt(nonce, bytes(data), MAGIC + place)


def unseal(sealed, key, *, place):
    """What was sealed, bytes. Raises Refused for a wrong key or place and when any byte is altered, missing or added."""
    start = len(MAGIC) + NONCE_BYTES
    if sealed[:len(MAGIC)] != MAGIC or len(sealed) < OVERHEAD:
        raise Refused(f"no sealed file: {len(sealed)} B that begin with {bytes(sealed[:len(MAGIC)])!r}, it must be {MAGIC!r} and at least "
                      f"{OVERHEAD} B")
    try:
        return _cipher(key).decrypt(bytes(sealed[len(MAGIC):start]), bytes(sealed[start:]), MAGIC + place)
    except InvalidTag:
        raise Refused("the sealed file does not open: another key, another device, or an altered byte; install the model again") from None


def erase(path):
    """Crypto-erase: overwrite the file of a key with random bytes, then remove it. Nothing to do if it is not there.

    On this computer the overwriting is an attempt: flash and many file systems write elsewhere and keep the old bytes for a while. A real
    device holds its key where erasing is sure: fuses, a secure element, a page of its own.
    """
    path = Path(path)
    if path.exists():
        with open(path, "r+b") as file:
            file.write(os.urandom(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()


def _cipher(key):
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {len(key)} B: it has {KEY_BYTES}; make one with atrest.new_key()")
    return ChaCha20Poly1305(key)
