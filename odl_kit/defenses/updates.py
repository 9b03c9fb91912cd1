"""A signed model package, and the order in which a device looks at it: signature, manifest, hash, and only then the weights.

    "ODLUPD1\\n" (8) | length of the manifest, uint32 little-endian (4) | manifest | Ed25519 signature (64) | body

The manifest is JSON in the one form that `canonical` writes; the signature covers it, and it holds the SHA-256 and size of the body, so
every byte is covered. The body is safetensors: a table of numbers, nothing that runs. A pickle (torch.save) may run code as it is read,
so none is ever read here. Source: The Update Framework (Samuel et al. 2010) cut down to one role, and RFC 9019 for device classes.
What a signature cannot stop: somebody who holds updates back. A device notices that only with a clock.
"""
import hashlib
import json
import re
import struct
from dataclasses import asdict, dataclass

import torch
from cryptography.exceptions import InvalidSignature
from safetensors import SafetensorError
from safetensors import torch as safetensors

MAGIC = b"ODLUPD1\n"
SIGNED_AS = b"odl model update, version 1\0"      # so that a signature made for another purpose never fits
SIGNATURE_BYTES = 64
MANIFEST_LIMIT = 1024
LARGEST_VERSION = 2 ** 32 - 1                     # a counter of 32 bits on the device
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Refused(ValueError):
    """A package that this device does not take. The sentence says which look it failed; nothing on the device has changed."""


@dataclass(frozen=True)
class Manifest:
    """What is signed. model, device_class: names of letters, digits and ._- (64 at most). version: int from 1 to 2^32 - 1, counting up.

    size: bytes of the body. sha256: of the body, 64 hexadecimal digits. Raises ValueError for anything else.
    """
    model: str
    device_class: str
    version: int
    size: int
    sha256: str

    def __post_init__(self):
        for key in ("model", "device_class"):
            value = getattr(self, key)
            if type(value) is not str or not NAME.fullmatch(value):
                raise ValueError(f"{key} is {value!r}: give 1 to 64 letters, digits, '.', '_' or '-'")
        if type(self.version) is not int or not 1 <= self.version <= LARGEST_VERSION:
            raise ValueError(f"version is {self.version!r}: give a whole number from 1 to {LARGEST_VERSION}")
        if type(self.size) is not int or self.size < 0:
            raise ValueError(f"size is {self.size!r}: it is a number of bytes")
        if type(self.sha256) is not str or not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 is {self.sha256!r}: it has 64 hexadecimal digits")

    def __str__(self):
        return f"{self.model} version {self.version} for {self.device_class}: {self.size:,} B, sha256 {self.sha256[:16]}..."


def canonical(manifest):
    """The only bytes that stand for this Manifest: JSON in ASCII, keys sorted, no spaces."""
    return json.dumps(asdict(manifest), sort_keys=True, separators=(",", ":")).encode("ascii")


def pack(tensors):
    """{name: tensor} -> the body, bytes. Raises ValueError for no tensor at all, and for one with nan or infinite entries."""
    if not tensors:
        raise ValueError("no tensor to pack: give {name: tensor}, such as net.state_dict()")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"tensor {name!r} has nan or infinite entries: a device would take them as weights; do not sign this model")
    return safetensors.save({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()})


def unpack(body):
    """The body -> {name: tensor}. Only for bytes that `verify` returned. Raises Refused when they are no safetensors."""
    try:
        return safetensors.load(body)
    except (SafetensorError, KeyError, ValueError) as error:
        raise Refused(f"the body is signed and whole, yet it is no safetensors: {error}; the signer must pack it again") from error


def sign(tensors, signing_key, *, model, device_class, version):
    """{name: tensor} -> the package, bytes. signing_key: Ed25519PrivateKey. The same input gives the same bytes (RFC 8032).

    Raises ValueError as `pack` and Manifest do.
    """
    body = pack(tensors)
    text = canonical(Manifest(model, device_class, version, len(body), hashlib.sha256(body).hexdigest()))
    return MAGIC + struct.pack("<I", len(text)) + text + signing_key.sign(SIGNED_AS + text) + body


def verify(package, trusted_key, *, model, device_class, newest):
    """Look at a package as a device does -> (Manifest, body), or Refused at the first look that fails.

    package: bytes from anywhere. trusted_key: Ed25519PublicKey of the only signer. model, device_class: this device's.
    newest: the highest version it has ever taken, 0 for none; an equal one is a replay, a lower one a roll-back.
    No byte is interpreted before the signature over it holds, but for the length that says where the manifest ends.
    """
    text, signature, body = _split(package)
    try:
        trusted_key.verify(signature, SIGNED_AS + text)
    except InvalidSignature:
        raise Refused("the signature does not fit: another signer, or an altered manifest; ask for the package again") from None
    manifest = _read(text)
    if manifest.device_class != device_class:
        raise Refused(f"made for device class {manifest.device_class}, this is {device_class}")
    if manifest.model != model:
        raise Refused(f"holds model {manifest.model}, this device runs {model}")
    if manifest.version <= newest:
        kind = "replay" if manifest.version == newest else "roll-back"
        raise Refused(f"version {manifest.version} is not above {newest}, the highest taken so far: {kind}; sign the model as {newest + 1}")
    if len(body) != manifest.size:
        raise Refused(f"the body has {len(body)} B, the manifest says {manifest.size}: truncated, or something was added")
    if hashlib.sha256(body).hexdigest() != manifest.sha256:
        raise Refused("the body's SHA-256 is not the signed one: altered on the way; ask for the package again")
    return manifest, body


def _split(package):
    """-> (manifest, signature, body), as bytes."""
    start = len(MAGIC) + 4
    if package[:len(MAGIC)] != MAGIC or len(package) < start:
        raise Refused(f"no update package: it must begin with {MAGIC!r} and a length, this begins with {bytes(package[:start])!r}")
    length, = struct.unpack_from("<I", package, len(MAGIC))
    end = start + length + SIGNATURE_BYTES
    if length > MANIFEST_LIMIT or len(package) < end:
        raise Refused(f"a manifest of {length} B in a package of {len(package)} B: at most {MANIFEST_LIMIT}, and a signature follows")
    return bytes(package[start:start + length]), bytes(package[start + length:end]), bytes(package[end:])


def _read(text):
    """A signed manifest -> Manifest. Refused unless it is in canonical form: two texts for one meaning are two ways to read it."""
    try:
        manifest = Manifest(**json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise Refused(f"the manifest is signed, yet this device cannot read it: {error}") from error
    if canonical(manifest) != text:
        raise Refused("the manifest is signed, yet not in canonical form: the signer must make it with updates.sign")
    return manifest
