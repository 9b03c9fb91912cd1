"""The keys of signed updates, as files: the signer keeps signing.pem, every device gets trusted.pem. Nothing is ever written over."""
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIGNING, TRUSTED = "signing.pem", "trusted.pem"


def make(folder):
    """Draw a new pair and write both files into `folder`; returns their paths (signing, trusted).

    signing.pem is PKCS8, not encrypted, readable by its owner only: whoever has it is the signer.
    Raises FileExistsError when either is there already.
    """
    folder = Path(folder)
    paths = folder / SIGNING, folder / TRUSTED
    for path in paths:
        if path.exists():
            raise FileExistsError(f"{path} is there already, and devices may trust it: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    write_new(paths[0], key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    write_new(paths[1], public_pem(key.public_key()))
    return paths


def public_pem(key):
    """An Ed25519PublicKey as the bytes of a PEM file."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def read_signing(path):
    """The Ed25519PrivateKey in a PEM file. Raises ValueError when it holds something else."""
    return _read(path, lambda data: serialization.load_pem_private_key(data, password=None), Ed25519PrivateKey, SIGNING)


def read_trusted(path):
    """The Ed25519PublicKey in a PEM file. Raises ValueError when it holds something else."""
    return _read(path, serialization.load_pem_public_key, Ed25519PublicKey, TRUSTED)


def write_new(path, data):
    """Write bytes to a file that only its owner may read. Raises FileExistsError when it is there already."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _read(path, load, kind, name):
    try:
        key = load(Path(path).read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm):      # TypeError: the key is encrypted
        key = None
    if not isinstance(key, kind):
        raise ValueError(f"{path} holds no plain {kind.__name__}: give the {name} that `odl update keys` wrote")
    return key
