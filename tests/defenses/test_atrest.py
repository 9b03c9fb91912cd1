import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.defenses import atrest
from odl_kit.defenses.updates import Refused

KEY, PLACE, DATA = bytes(range(32)), b"nrf52840/digits", b"weights, weights, weights"


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=200), place=st.binary(max_size=20))
def test_what_is_sealed_comes_back_and_is_overhead_longer(data, place):
    sealed = atrest.seal(data, KEY, place=place)
    assert atrest.unseal(sealed, KEY, place=place) == data
    assert len(sealed) == len(data) + atrest.OVERHEAD


def test_another_library_opens_it():
    cipher = pytest.importorskip("Crypto.Cipher.ChaCha20_Poly1305")
    sealed = atrest.seal(DATA, KEY, place=PLACE)
    opened = cipher.new(key=KEY, nonce=sealed[8:20])
    opened.update(b"ODLSEAL1" + PLACE)
    assert opened.decrypt_and_verify(sealed[20:-16], sealed[-16:]) == DATA


def test_the_same_data_sealed_twice_share_nothing_but_the_magic():
    one, two = atrest.seal(DATA, KEY, place=PLACE), atrest.seal(DATA, KEY, place=PLACE)
    assert one[:8] == two[:8] and one[8:20] != two[8:20] and one[20:] != two[20:]
    assert b"weights" not in one


def test_an_altered_byte_at_every_position_is_refused():
    sealed = atrest.seal(DATA, KEY, place=PLACE)
    for position in range(len(sealed)):
        for mask in range(1, 256):
            with pytest.raises(Refused):
                atrest.unseal(sealed[:position] + bytes([sealed[position] ^ mask]) + sealed[position + 1:], KEY, place=PLACE)


def test_truncated_at_every_length_or_with_a_byte_added_it_is_refused():
    sealed = atrest.seal(DATA, KEY, place=PLACE)
    for bad in (*(sealed[:n] for n in range(len(sealed))), sealed + b"\0", b"\0" + sealed):
        with pytest.raises(Refused):
            atrest.unseal(bad, KEY, place=PLACE)


def test_another_key_or_place_does_not_open_it():
    sealed = atrest.seal(DATA, KEY, place=PLACE)
    for key, place in ((atrest.new_key(), PLACE), (KEY, b"nrf52840/other"), (KEY, b"")):
        with pytest.raises(Refused, match="does not open"):
            atrest.unseal(sealed, key, place=place)


def test_keys_are_new_and_a_short_one_is_an_error():
    assert len({atrest.new_key() for _ in range(100)}) == 100
    for work in (atrest.seal, atrest.unseal):
        with pytest.raises(ValueError, match="a key of 16 B: it has 32"):
            work(atrest.seal(DATA, KEY, place=PLACE), KEY[:16], place=PLACE)


def test_erase_overwrites_before_it_removes_and_may_come_twice(tmp_path):
    path, other_name = tmp_path / "key", tmp_path / "same file"
    path.write_bytes(KEY)
    other_name.hardlink_to(path)
    atrest.erase(path)
    assert not path.exists()
    assert len(other_name.read_bytes()) == 32 and other_name.read_bytes() != KEY
    atrest.erase(path)
