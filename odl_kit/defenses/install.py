"""A device as a folder: it takes a package that passes every look, or refuses it and stays exactly as it was.

    trusted.pem   whose signature counts          device.toml   model and device class
    device.key    opens model.sealed              counter       the highest version ever taken
    model.sealed  the whole package, encrypted; its signature is looked at again at every start

The counter must be kept where a thief cannot turn it back (a monotonic counter in hardware). Here it is a file: whoever may write the
folder can restore all of it, key included, to an older day. One program at a time updates a device.
"""
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from odl_kit.defenses import atrest, keys, updates
from odl_kit.defenses.updates import Refused

MODEL, KEY, COUNTER, ABOUT = "model.sealed", "device.key", "counter", "device.toml"


@dataclass(frozen=True)
class Identity:
    """What a device is sure of before any package comes: model, device_class, the trusted Ed25519PublicKey, and newest, its counter."""
    model: str
    device_class: str
    trusted: object
    newest: int


def provision(folder, trusted_key, *, model, device_class):
    """Make a device with no model yet: a folder with its identity, a key of its own, and the counter at 0.

    Raises ValueError for names that a manifest cannot hold, FileExistsError when a device is there already.
    """
    updates.Manifest(model, device_class, 1, 0, "0" * 64)      # the names must be such that a package can fit them
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: name a new folder for a new device")
    folder.mkdir(parents=True, exist_ok=True)
    keys.write_new(folder / KEY, atrest.new_key())
    keys.write_new(folder / keys.TRUSTED, keys.public_pem(trusted_key))
    keys.write_new(folder / COUNTER, b"0")
    keys.write_new(folder / ABOUT, f'model = "{model}"\ndevice_class = "{device_class}"\n'.encode())


def apply(folder, package):
    """Take a package (bytes) -> its Manifest; the next `load` gives its weights. Raises Refused, and then no file has changed.

    The model is replaced in one step, the counter after it: a power cut between the two leaves the new model, and `identity` counts it.
    """
    folder, me = Path(folder), identity(folder)
    manifest, body = updates.verify(package, me.trusted, model=me.model, device_class=me.device_class, newest=me.newest)
    updates.unpack(body)
    _replace(folder / MODEL, atrest.seal(package, _key(folder), place=_place(me.model, me.device_class)))
    _replace(folder / COUNTER, str(manifest.version).encode())
    return manifest


def load(folder):
    """Start the device -> (Manifest, {name: tensor}) of the model it holds, decrypted, its signature and hash looked at again.

    Raises Refused when the key is gone, a byte is altered, or the model is older than the counter: somebody put back an old file.
    """
    folder, me = Path(folder), identity(folder)
    if not (folder / MODEL).exists():
        raise Refused(f"{folder} holds no model yet (counter {me.newest}): odl update apply gives it one")
    manifest, body = _installed(folder, me.trusted, me.model, me.device_class, me.newest)
    return manifest, updates.unpack(body)


def identity(folder):
    """The device's Identity. newest is the counter, or the version of the model if that is higher (after a power cut).

    Raises Refused when a file is missing or unreadable: a device that does not know its own counter takes nothing.
    """
    folder = Path(folder)
    try:
        about = tomllib.loads((folder / ABOUT).read_text(encoding="utf-8"))
        model, device_class = about["model"], about["device_class"]
        trusted, counter = keys.read_trusted(folder / keys.TRUSTED), (folder / COUNTER).read_text(encoding="ascii")
    except (OSError, ValueError, KeyError) as error:
        raise Refused(f"{folder} is no whole device: {error}; odl update provision makes one") from error
    if not counter.isdecimal() or int(counter) > updates.LARGEST_VERSION:
        raise Refused(f"the counter of {folder} reads {counter[:20]!r}: it must be a whole number up to {updates.LARGEST_VERSION}")
    newest = int(counter)
    if (folder / MODEL).exists() and (folder / KEY).exists():
        try:
            newest = max(newest, _installed(folder, trusted, model, device_class, newest)[0].version)
        except Refused:
            pass        # load refuses this model; a newer package may still mend the device
    return Identity(model, device_class, trusted, newest)


def erase(folder):
    """A lost or retired device: drop the key. What was encrypted stays encrypted, for its owner too."""
    atrest.erase(Path(folder) / KEY)


def thief_reads(folder):
    """{what: value} that somebody with the folder alone learns. "weights" is there only while the key is."""
    folder, me = Path(folder), identity(folder)
    found = {"model": me.model, "device_class": me.device_class, "counter": me.newest}
    if (folder / MODEL).exists():
        found["package_bytes"] = (folder / MODEL).stat().st_size - atrest.OVERHEAD      # encryption does not hide the length
        if (folder / KEY).exists():
            found["weights"] = load(folder)[1]
    return found


def _installed(folder, trusted, model, device_class, newest):
    """(Manifest, body) of the sealed model, which must be of version `newest` or above."""
    package = atrest.unseal((folder / MODEL).read_bytes(), _key(folder), place=_place(model, device_class))
    manifest, body = updates.verify(package, trusted, model=model, device_class=device_class, newest=0)
    if manifest.version < newest:
        raise Refused(f"{folder} holds version {manifest.version}, its counter is {newest}: an old file was put back; install version "
                      f"{newest + 1} or above")
    return manifest, body


def _key(folder):
    try:
        key = (folder / KEY).read_bytes()
    except FileNotFoundError:
        raise Refused(f"the key of {folder} is gone (crypto-erased): its model cannot be read, and it takes no new one; provision a new "
                      "device") from None
    if len(key) != atrest.KEY_BYTES:
        raise Refused(f"the key of {folder} has {len(key)} B, not {atrest.KEY_BYTES}: provision a new device")
    return key


def _place(model, device_class):
    return f"{device_class}/{model}".encode()


def _replace(path, data):
    """All of `data`, or the file as it was: write beside it, bring it to the disk, then rename."""
    draft = path.with_name(path.name + ".part")
    try:
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
