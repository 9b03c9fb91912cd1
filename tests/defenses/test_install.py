import os
import shutil

import pytest
import torch

from odl_kit.defenses import atrest, install, updates
from odl_kit.defenses.updates import Refused


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused_and_nothing_lost(device, package, says=None):
    before = files(device)
    with pytest.raises(Refused, match=says):
        install.apply(device, package)
    assert files(device) == before


def test_a_new_device_holds_no_model_and_takes_its_first(tmp_path, publisher, package, weights, fits):
    install.provision(tmp_path / "new", publisher.public_key(), **fits)
    with pytest.raises(Refused, match="holds no model yet"):
        install.load(tmp_path / "new")
    assert install.apply(tmp_path / "new", package).version == 6
    manifest, found = install.load(tmp_path / "new")
    assert manifest.version == 6 and install.identity(tmp_path / "new").newest == 6
    assert found.keys() == weights.keys() and all(torch.equal(found[k], weights[k]) for k in weights)


def test_an_update_replaces_the_model_and_its_replay_is_refused(device, package, weights):
    install.apply(device, package)
    assert torch.equal(install.load(device)[1]["head.bias"], weights["head.bias"])
    refused_and_nothing_lost(device, package, "replay")


def test_a_roll_back_is_refused_also_to_a_version_that_was_never_installed(device, publisher, package, weights, fits):
    install.apply(device, package)
    for version in (1, 4, 5):
        refused_and_nothing_lost(device, updates.sign(weights, publisher, **fits, version=version), "roll-back")
    install.apply(device, updates.sign(weights, publisher, **fits, version=900))         # versions may leave gaps
    refused_and_nothing_lost(device, updates.sign(weights, publisher, **fits, version=899), "roll-back")


def test_a_package_altered_at_every_position_changes_no_file(device, package):
    before = files(device)
    for position in range(len(package)):
        with pytest.raises(Refused):
            install.apply(device, package[:position] + bytes([package[position] ^ 0x55]) + package[position + 1:])
    assert files(device) == before and install.apply(device, package).version == 6


def test_a_package_truncated_at_every_length_changes_no_file(device, package):
    before = files(device)
    for length in range(len(package)):
        with pytest.raises(Refused):
            install.apply(device, package[:length])
    assert files(device) == before and install.apply(device, package).version == 6


def test_a_stranger_another_class_and_another_model_are_refused(device, publisher, stranger, weights, fits):
    refused_and_nothing_lost(device, updates.sign(weights, stranger, **fits, version=6), "another signer")
    for key, value, says in (("device_class", "rp2040", "device class rp2040"), ("model", "motion", "holds model motion")):
        refused_and_nothing_lost(device, updates.sign(weights, publisher, **fits | {key: value}, version=6), says)


def test_a_signed_package_without_safetensors_is_refused_before_the_old_model_goes(device, publisher, fits, monkeypatch):
    monkeypatch.setattr(updates, "pack", lambda tensors: b"not safetensors")
    refused_and_nothing_lost(device, updates.sign({}, publisher, **fits, version=6), "no safetensors")


def test_a_sealed_model_altered_or_cut_anywhere_does_not_start(device):
    path, good = device / install.MODEL, (device / install.MODEL).read_bytes()
    for position in range(len(good)):
        for bad in (good[:position], good[:position] + bytes([good[position] ^ 0x80]) + good[position + 1:]):
            path.write_bytes(bad)
            with pytest.raises(Refused):
                install.load(device)
    path.write_bytes(good)
    assert install.load(device)[0].version == 5


def test_a_device_whose_model_was_damaged_still_refuses_a_replay_and_takes_the_next(device, publisher, package, weights, fits):
    (device / install.MODEL).write_bytes(b"damaged")
    refused_and_nothing_lost(device, updates.sign(weights, publisher, **fits, version=5), "replay")
    install.apply(device, package)
    assert install.load(device)[0].version == 6


def test_an_old_sealed_model_put_back_does_not_start(device, package):
    old = (device / install.MODEL).read_bytes()
    install.apply(device, package)
    (device / install.MODEL).write_bytes(old)
    with pytest.raises(Refused, match="holds version 5, its counter is 6: an old file was put back"):
        install.load(device)


def test_a_model_copied_from_another_device_does_not_start(tmp_path, device, publisher, package, fits):
    install.provision(tmp_path / "other", publisher.public_key(), **fits)
    install.apply(tmp_path / "other", package)
    shutil.copy(tmp_path / "other" / install.MODEL, device / install.MODEL)
    with pytest.raises(Refused, match="does not open"):
        install.load(device)


def test_a_model_sealed_by_a_thief_who_has_the_device_key_still_needs_the_signature(device, stranger, weights, fits):
    key = (device / install.KEY).read_bytes()
    forged = atrest.seal(updates.sign(weights, stranger, **fits, version=6), key, place=b"nrf52840/digits")
    (device / install.MODEL).write_bytes(forged)
    with pytest.raises(Refused, match="another signer"):
        install.load(device)


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("call", [1, 2])
def test_a_power_cut_leaves_the_old_model_or_the_new_one_and_no_way_back(device, publisher, package, weights, fits, monkeypatch,
                                                                               error, step, call):
    works, calls = getattr(os, step), []

    def cut(*args):
        calls.append(args)
        if len(calls) == call:
            raise error
        return works(*args)
    monkeypatch.setattr(install.os, step, cut)
    with pytest.raises(type(error)):
        install.apply(device, package)
    monkeypatch.undo()
    assert {*files(device)} == {install.MODEL, install.KEY, install.COUNTER, install.ABOUT, "trusted.pem"}
    if call == 1:
        assert install.load(device)[0].version == 5 and install.apply(device, package).version == 6
    else:                                           # the model is there, the counter behind
        assert (device / install.COUNTER).read_text() == "5" and install.load(device)[0].version == 6
        refused_and_nothing_lost(device, package, "replay")
        assert install.apply(device, updates.sign(weights, publisher, **fits, version=7)).version == 7


@pytest.mark.parametrize("name, data", [("counter", None), ("counter", b""), ("counter", b"-1"), ("counter", b"6.0"),
                                        ("counter", b"4294967296"), ("counter", "²".encode()), ("counter", b"\xff"),
                                        ("trusted.pem", None), ("trusted.pem", b"x"),
                                        ("device.toml", None), ("device.toml", b"model ="), ("device.toml", b'model = "digits"'),
                                        ("device.key", None), ("device.key", b"short")])
def test_a_device_that_is_not_whole_takes_nothing(device, package, name, data):
    (device / name).unlink()
    if data is not None:
        (device / name).write_bytes(data)
    refused_and_nothing_lost(device, package)
    with pytest.raises(Refused):
        install.load(device)


def test_a_device_that_was_told_another_class_cannot_open_its_own_model(device):
    (device / install.ABOUT).write_text('model = "digits"\ndevice_class = "rp2040"\n', encoding="utf-8")
    with pytest.raises(Refused, match="does not open"):
        install.load(device)


def test_provision_refuses_a_used_folder_and_a_name_that_no_package_can_fit(tmp_path, device, publisher, fits):
    before = files(device)
    with pytest.raises(FileExistsError, match="not empty"):
        install.provision(device, publisher.public_key(), **fits)
    assert files(device) == before
    with pytest.raises(ValueError, match="device_class is 'nrf 52840'"):
        install.provision(tmp_path / "new", publisher.public_key(), model="digits", device_class="nrf 52840")
    assert not (tmp_path / "new").exists()


def test_two_devices_have_two_keys(tmp_path, publisher, fits):
    for name in "ab":
        install.provision(tmp_path / name, publisher.public_key(), **fits)
    assert (tmp_path / "a" / install.KEY).read_bytes() != (tmp_path / "b" / install.KEY).read_bytes()


def test_a_thief_reads_the_weights_with_the_key_and_only_the_frame_without_it(device, publisher, package, weights):
    install.apply(device, package)
    found = install.thief_reads(device)
    assert torch.equal(found.pop("weights")["head.weight"], weights["head.weight"])
    install.erase(device)
    assert install.thief_reads(device) == found
    assert found == {"model": "digits", "device_class": "nrf52840", "counter": 6, "package_bytes": len(package)}
    with pytest.raises(Refused, match="crypto-erased"):
        install.load(device)
    install.erase(device)


def test_after_the_erasing_no_file_holds_a_piece_of_the_weights(device, package, weights):
    install.apply(device, package)
    install.erase(device)
    body, everything = updates.pack(weights), b"".join(files(device).values())
    pieces = [body[start:start + 8] for start in range(len(body) - 7)]
    assert all(piece in package for piece in pieces)
    assert not any(piece in everything for piece in pieces)
    refused_and_nothing_lost(device, package)
