import os
import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from odl_kit.defenses import keys


def test_the_two_files_are_a_pair_and_only_the_owner_reads_the_private_one(tmp_path):
    signing, trusted = keys.make(tmp_path / "new")
    keys.read_trusted(trusted).verify(keys.read_signing(signing).sign(b"x"), b"x")
    if os.name == "posix":
        assert signing.stat().st_mode & 0o777 == 0o600


def test_keys_are_never_written_over(tmp_path):
    signing, trusted = keys.make(tmp_path)
    was = signing.read_bytes()
    with pytest.raises(FileExistsError, match="there already"):
        keys.make(tmp_path)
    signing.unlink()
    with pytest.raises(FileExistsError, match="trusted.pem"):
        keys.make(tmp_path)
    assert not signing.exists() and b"PRIVATE" in was
    with pytest.raises(FileExistsError):
        keys.write_new(trusted, b"")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not there")
def test_openssl_reads_the_files(tmp_path):
    signing, trusted = keys.make(tmp_path)
    public = subprocess.run(["openssl", "pkey", "-in", signing, "-pubout"], capture_output=True, check=True).stdout
    assert public == trusted.read_bytes()


def test_what_is_no_such_key_is_an_error_that_names_the_file(tmp_path):
    signing, trusted = keys.make(tmp_path / "pair")
    pem, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    bad = {"empty": b"", "noise": b"\xff\0noise",
           "x25519": X25519PrivateKey.generate().private_bytes(pem, plain, serialization.NoEncryption()),
           "locked": Ed25519PrivateKey.generate().private_bytes(pem, plain, serialization.BestAvailableEncryption(b"secret"))}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        for read in (keys.read_signing, keys.read_trusted):
            with pytest.raises(ValueError, match=f"{name} holds no plain Ed25519"):
                read(tmp_path / name)
    with pytest.raises(ValueError, match="signing.pem"):
        keys.read_signing(trusted)
    with pytest.raises(ValueError, match="trusted.pem"):
        keys.read_trusted(signing)
