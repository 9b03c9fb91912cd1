import ast
import hashlib
import json
import pickle
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import torch as safetensors

import odl_kit
from odl_kit.defenses import updates
from odl_kit.defenses.updates import Refused

ORDER = 2 ** 252 + 27742317777372353535851937790883648493      # of the Ed25519 base point (RFC 8032, sec. 5.1)


@pytest.fixture(scope="session")
def look(publisher, fits):
    """look(package): as a device that has taken version 5 looks at it."""
    def look(package, **other):
        return updates.verify(package, publisher.public_key(), **fits | {"newest": 5} | other)
    return look


def by_hand(text, key, body):
    """A package put together without the code under test; text: the manifest, a dict or bytes."""
    text = text if isinstance(text, bytes) else json.dumps(text, sort_keys=True, separators=(",", ":")).encode()
    return b"ODLUPD1\n" + len(text).to_bytes(4, "little") + text + key.sign(b"odl model update, version 1\0" + text) + body


def manifest_of(body, fits, **other):
    return {**fits, "version": 6, "size": len(body), "sha256": hashlib.sha256(body).hexdigest(), **other}


@pytest.fixture
def parsing_is_an_error(monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("something was parsed before it was verified")
    monkeypatch.setattr(updates.json, "loads", never)
    monkeypatch.setattr(updates.safetensors, "load", never)


def test_a_good_package_gives_back_the_manifest_and_the_very_weights(package, weights, look):
    manifest, body = look(package)
    found = updates.unpack(body)
    assert (manifest.model, manifest.device_class, manifest.version) == ("digits", "nrf52840", 6)
    assert found.keys() == weights.keys() and all(torch.equal(found[k], weights[k]) for k in weights)


def test_a_package_is_the_bytes_that_the_format_says(package, weights, publisher, fits):
    body = safetensors.save(dict(weights))
    assert package == by_hand(manifest_of(body, fits), publisher, body)
    assert package == updates.sign(weights, publisher, **fits, version=6)


def test_another_library_accepts_the_signature(package, publisher):
    eddsa = pytest.importorskip("Crypto.Signature.eddsa")
    length, = struct.unpack_from("<I", package, 8)
    key = eddsa.import_public_key(publisher.public_key().public_bytes_raw())
    text, signature = package[12:12 + length], package[12 + length:12 + length + 64]
    eddsa.new(key, "rfc8032").verify(b"odl model update, version 1\0" + text, signature)       # raises if it does not fit


@pytest.mark.parametrize("mask", [1, 2, 4, 8, 16, 32, 64, 128, 255])
def test_an_altered_byte_at_every_position_is_refused(package, look, mask):
    for position in range(len(package)):
        altered = bytearray(package)
        altered[position] ^= mask
        with pytest.raises(Refused):
            look(bytes(altered))


def test_a_package_truncated_at_every_length_is_refused(package, look):
    for length in range(len(package)):
        with pytest.raises(Refused):
            look(package[:length])


@pytest.mark.parametrize("more", [b"\0", b"x" * 100])
def test_a_package_with_something_added_is_refused(package, look, more):
    for altered, says in ((package + more, "truncated, or something was added"), (more + package, "no update package")):
        with pytest.raises(Refused, match=says):
            look(altered)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_byte_inserted_or_cut_out_anywhere_is_refused(package, look, data):
    start = data.draw(st.integers(0, len(package) - 1))
    stop = data.draw(st.integers(start, len(package)))
    put = data.draw(st.binary(max_size=20))
    altered = package[:start] + put + package[stop:]
    if altered != package:
        with pytest.raises(Refused):
            look(altered)


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=300))
def test_noise_is_refused(look, noise):
    for package in (noise, updates.MAGIC + noise):
        with pytest.raises(Refused):
            look(package)


def test_a_replay_and_a_roll_back_are_refused_by_name(package, look):
    look(package, newest=5)
    with pytest.raises(Refused, match="version 6 is not above 6, the highest taken so far: replay; sign the model as 7"):
        look(package, newest=6)
    with pytest.raises(Refused, match="version 6 is not above 9, the highest taken so far: roll-back"):
        look(package, newest=9)


def test_the_highest_version_is_the_last_one(weights, publisher, fits, look):
    last = updates.sign(weights, publisher, **fits, version=2 ** 32 - 1)
    look(last, newest=2 ** 32 - 2)
    with pytest.raises(Refused, match="replay"):
        look(last, newest=2 ** 32 - 1)
    with pytest.raises(ValueError, match="version is 4294967296"):
        updates.sign(weights, publisher, **fits, version=2 ** 32)


def test_a_package_of_a_stranger_is_refused(weights, stranger, fits, look):
    with pytest.raises(Refused, match="another signer"):
        look(updates.sign(weights, stranger, **fits, version=6))


def test_a_package_for_another_class_or_model_is_refused(weights, publisher, look, fits):
    for key, says in (("device_class", "made for device class other, this is nrf52840"),
                      ("model", "holds model other, this device runs digits")):
        with pytest.raises(Refused, match=says):
            look(updates.sign(weights, publisher, **fits | {key: "other"}, version=6))


def test_parts_of_two_good_packages_make_no_good_one(package, weights, publisher, look, fits):
    other = updates.sign({k: -v for k, v in weights.items()}, publisher, **fits, version=7)
    cut = len(package) - len(updates.pack(weights))
    for manifest, body, says in ((package, other, "SHA-256"), (other, package, "SHA-256")):
        with pytest.raises(Refused, match=says):
            look(manifest[:cut] + body[cut:])
    with pytest.raises(Refused, match="signature"):                                  # the signature of one under the manifest of the other
        look(package[:cut - 64] + other[cut - 64:])


def test_a_signature_made_for_another_purpose_is_refused(package, publisher, look):
    length, = struct.unpack_from("<I", package, 8)
    text, end = package[12:12 + length], 12 + length + 64
    look(package[:12] + text + publisher.sign(b"odl model update, version 1\0" + text) + package[end:])
    for purpose in (b"", b"odl model update, version 2\0"):
        with pytest.raises(Refused, match="signature"):
            look(package[:12] + text + publisher.sign(purpose + text) + package[end:])


def test_the_second_form_of_a_signature_is_refused(package, look):
    length, = struct.unpack_from("<I", package, 8)
    end = 12 + length + 64
    s = int.from_bytes(package[end - 32:end], "little")
    for k in range(1, (2 ** 256 - 1 - s) // ORDER + 1):           # s + k L solves the same equation: RFC 8032 asks to refuse it
        with pytest.raises(Refused, match="signature"):
            look(package[:end - 32] + (s + k * ORDER).to_bytes(32, "little") + package[end:])
    assert k >= 1


def test_nothing_is_parsed_before_it_is_verified(package, look, stranger, weights, fits, parsing_is_an_error):
    forged = [updates.MAGIC + b"\xff\xff\xff\xff" + package[12:], package[:12] + b"[" * 900 + package[912:]]
    forged += [package[:n] for n in range(0, len(package), 7) if n < 12 + len(package) // 4]
    for bad in (*forged, by_hand({"version": 6}, stranger, b"")):
        with pytest.raises(Refused):
            look(bad)


def test_the_body_is_not_parsed_before_its_hash_fits(package, look, monkeypatch):
    monkeypatch.setattr(updates.safetensors, "load", lambda body: pytest.fail("parsed"))
    for bad in (package[:-1], package + b"\0", package[:-1] + bytes([package[-1] ^ 1])):
        with pytest.raises(Refused):
            look(bad)


@pytest.mark.parametrize("wrong", [
    {"version": True}, {"version": 6.0}, {"version": "6"}, {"version": 0}, {"version": -1}, {"version": 2 ** 32}, {"version": None},
    {"size": -1}, {"size": 1.5}, {"sha256": "A" * 64}, {"sha256": "0" * 63}, {"sha256": 0}, {"model": ""}, {"model": "a/b"},
    {"model": ["digits"]}, {"model": "digits\n"}, {"device_class": "x" * 65}, {"device_class": None}, {"more": 1}])
def test_a_signed_manifest_that_is_not_one_is_refused(publisher, weights, fits, look, wrong):
    body = updates.pack(weights)
    with pytest.raises(Refused, match="signed, yet"):
        look(by_hand(manifest_of(body, fits) | wrong, publisher, body))


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"null", b"6", b"{", b"\xff\xfe", b"[" * 1000, b'{"version":NaN}'])
def test_a_signed_text_that_is_no_manifest_is_refused(publisher, look, text):
    with pytest.raises(Refused, match="signed, yet"):
        look(by_hand(text, publisher, b""))


def test_a_second_way_to_write_the_same_manifest_is_refused(publisher, weights, fits, look):
    body = updates.pack(weights)
    plain = manifest_of(body, fits)
    one = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    look(by_hand(one.encode(), publisher, body))
    ways = [json.dumps(plain, sort_keys=True), json.dumps(dict(sorted(plain.items(), reverse=True)), separators=(",", ":")), one + " ",
            one.replace("digits", "\\u0064igits"), one.replace('"version":6', '"version":9,"version":6')]
    for text in ways:
        assert json.loads(text) == plain
        with pytest.raises(Refused, match="canonical"):
            look(by_hand(text.encode(), publisher, body))


def test_a_manifest_has_a_largest_size(publisher, look):
    with pytest.raises(Refused, match="a manifest of 1025 B"):
        look(by_hand(b" " * 1025, publisher, b""))


class Payload:
    """A pickle of this makes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_is_never_read_even_when_it_is_signed(tmp_path, publisher, fits, look):
    payload = pickle.dumps(Payload(str(tmp_path / "ran")))
    with pytest.raises(Refused):
        look(payload)
    _, body = look(by_hand(manifest_of(payload, fits), publisher, payload))
    with pytest.raises(Refused, match="no safetensors"):
        updates.unpack(body)
    assert not (tmp_path / "ran").exists()
    pickle.loads(payload).close()
    assert (tmp_path / "ran").exists()             # the payload is one that works


def test_the_room_imports_no_pickle_and_calls_no_torch_load():
    for path in (odl_kit.home() / "odl_kit" / "defenses").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names}
        assert not names & {"pickle", "joblib", "shelve", "marshal", "dill"}, path
        assert "torch.load" not in {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}, path


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_body_that_is_broken_gives_refused_and_no_other_error(weights, data):
    body = bytearray(updates.pack(weights))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        updates.unpack(bytes(body[:data.draw(st.integers(0, len(body)))]))
    except Refused:
        pass


def test_a_model_with_nan_or_without_a_tensor_is_not_signed(publisher, fits):
    for bad, says in (({"w": torch.tensor([1.0, float("nan")])}, "'w' has nan"), ({"w": torch.tensor(float("inf"))}, "'w' has nan or inf"),
                      ({}, "no tensor")):
        with pytest.raises(ValueError, match=says):
            updates.sign(bad, publisher, **fits, version=1)


def test_shared_and_transposed_tensors_are_packed_as_what_they_hold():
    w = torch.arange(6.0).reshape(2, 3)
    found = updates.unpack(updates.pack({"a": w, "b": w.T, "c": w[0], "n": torch.tensor([3], dtype=torch.int8)}))
    assert torch.equal(found["a"], w) and torch.equal(found["b"], w.T) and torch.equal(found["c"], w[0]) and found["n"].dtype == torch.int8
