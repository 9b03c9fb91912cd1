"""The protocol, step by step; the whole round is in test_secagg.py."""
import hashlib
import hmac
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sympy import isprime

from odl_kit.federation import masking


def shared(count, *, threshold):
    """(states, adverts, letters) of clients 0, ..., count - 1 after advertise and share, everybody everybody's neighbour."""
    states, adverts = (list(column) for column in zip(*map(masking.advertise, range(count)), strict=True))
    letters = {client: {} for client in range(count)}
    for client in range(count):
        peers = {peer: advert for peer, advert in enumerate(adverts) if peer != client}
        states[client], sealed = masking.share(states[client], peers, threshold=threshold)
        for peer, letter in sealed.items():
            letters[peer][client] = letter
    return states, dict(enumerate(adverts)), letters


def everybody(count):
    return {client: {*range(count)} - {client} for client in range(count)}


def values(client, size=9):
    return np.random.default_rng(client).integers(0, 2 ** 32, size, dtype=np.uint32)


def masked_round(count, *, threshold, dropped=()):
    """All steps up to the vectors: (states, adverts, {id: y})."""
    states, adverts, letters = shared(count, threshold=threshold)
    y = {}
    for client in {*range(count)} - {*dropped}:
        states[client], y[client] = masking.mask(states[client], letters[client], values(client))
    return states, adverts, y


def test_the_masks_are_the_chacha20_keystream_of_rfc_8439():
    # Appendix A.1, test vector 1: key 0, nonce 0, block counter 0
    vector = bytes.fromhex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                           "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586")
    assert masking.keystream(bytes(32), 16).astype("<u4").tobytes() == vector
    assert np.array_equal(masking.keystream(bytes(32), 40)[:16], masking.keystream(bytes(32), 16))


def test_a_pairs_mask_comes_from_the_x25519_secret_of_rfc_7748_and_cancels():
    # Section 6.1: two private keys, their public keys, the secret
    alice = X25519PrivateKey.from_private_bytes(bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
    bob = X25519PrivateKey.from_private_bytes(bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
    alice_public = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    bob_public = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    secret = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    key = hmac.digest(hmac.digest(bytes(32), secret, hashlib.sha256), b"odl secagg mask" + b"\x01", hashlib.sha256)     # HKDF, RFC 5869
    first = masking._pair_mask(alice, 3, bob_public, 8, 20)
    assert np.array_equal(first, masking.keystream(key, 20))
    assert not (first + masking._pair_mask(bob, 8, alice_public, 3, 20)).any()


def test_the_field_of_the_shares_is_the_first_prime_above_every_256_bit_secret():
    assert isprime(masking.PRIME) and not any(isprime(2 ** 256 + k) for k in range(1, 297, 2))


def test_any_threshold_of_the_shares_give_the_secret_and_no_fewer_do():
    secret, holders = bytes([255] * 32), [0, 3, 4, 9, 70]
    shares = dict(zip(holders, masking._split(secret, 3, holders), strict=True))
    for group in combinations(holders, 3):
        assert masking._join({holder: shares[holder] for holder in group}, 3, 0) == secret
    with pytest.raises(ValueError, match="2 of its shares came, threshold 3"):
        masking._join({holder: shares[holder] for holder in holders[:2]}, 3, 0)


def test_fewer_shares_than_the_threshold_fit_every_secret_equally():
    """Brute force over a field of 11: for two shares of a threshold of 3, each secret belongs to exactly one polynomial."""
    for a, b in ((0, 0), (4, 9), (10, 1)):
        fitting = [c0 for c0 in range(11) for c1 in range(11) for c2 in range(11)
                   if (c0 + c1 + c2) % 11 == a and (c0 + 2 * c1 + 4 * c2) % 11 == b]
        assert sorted(fitting) == list(range(11))


def test_the_split_is_a_polynomial_of_degree_threshold_minus_one(monkeypatch):
    drawn = iter([5, 7])
    monkeypatch.setattr(masking.secrets, "randbelow", lambda limit: next(drawn))
    assert masking._split((11).to_bytes(32, "big"), 3, [0, 1, 6]) == [5 + 7 + 11, 5 * 4 + 7 * 2 + 11, 5 * 49 + 7 * 7 + 11]


def test_a_masked_vector_looks_like_chance_and_the_sum_does_not():
    states, adverts, y = masked_round(4, threshold=3)
    assert all(not np.array_equal(y[client], values(client)) for client in y)
    answers = {client: masking.open_shares(states[client], {*y}, set())[1] for client in y}
    got = masking.unmask(y, adverts, everybody(4), answers, dropped=(), threshold=3)
    assert np.array_equal(got, sum(map(values, range(4)), np.zeros(9, np.uint32)))


def test_without_the_seeds_the_pair_masks_cancel_and_the_self_masks_hide_the_sum():
    states, adverts, y = masked_round(3, threshold=2)
    plain = sum(map(values, range(3)), np.zeros(9, np.uint32))
    self_masks = sum((masking.keystream(states[client].seed, 9) for client in range(3)), np.zeros(9, np.uint32))
    assert np.array_equal(sum(y.values(), np.zeros(9, np.uint32)) - self_masks, plain)
    assert not np.array_equal(sum(y.values(), np.zeros(9, np.uint32)), plain)


def test_no_answer_ever_holds_both_shares_of_one_client():
    states, _, y = masked_round(6, threshold=4, dropped={1, 4})
    for client in y:
        _, opened = masking.open_shares(states[client], {*y}, {1, 4})
        assert opened.seeds.keys() == {*y} and opened.mask_keys.keys() == {1, 4}


@pytest.mark.parametrize("survivors, dropped, says", [
    ({0, 2, 3, 4}, {1, 4}, r"clients \[4\] are called survivors and dropped"), ({2, 3, 4, 5}, {0, 1}, "it is called dropped"),
    ({0, 2, 3}, {1, 4, 5}, "too few survivors")])
def test_a_client_refuses_a_request_that_would_unmask_somebody(survivors, dropped, says):
    states, _, _ = masked_round(6, threshold=4, dropped={1})
    with pytest.raises(ValueError, match=says):
        masking.open_shares(states[0], survivors, dropped)


def test_a_client_answers_once():
    states, _, y = masked_round(4, threshold=3)
    state, _ = masking.open_shares(states[0], {*y}, set())
    with pytest.raises(ValueError, match="answered already"):
        masking.open_shares(state, {0, 1, 2}, {3})


def test_a_server_that_lies_to_some_opens_one_secret_of_a_client_at_most():
    """It tells some clients that client 0 lives, and the others that it dropped: all 32 ways to lie, at the smallest threshold allowed."""
    threshold = 4
    states, _, y = masked_round(6, threshold=threshold)
    opened_once = 0
    for lies in range(2 ** 5):
        seeds, mask_keys = {0: states[0].held[0][1]}, {}                   # client 0 itself is told the truth, else it would refuse
        for client in range(1, 6):
            told_dropped = lies >> (client - 1) & 1
            _, opened = masking.open_shares(states[client], {*y} - {0} if told_dropped else {*y}, {0} if told_dropped else set())
            (mask_keys if told_dropped else seeds)[client] = (opened.mask_keys if told_dropped else opened.seeds)[0]
        assert not (len(seeds) >= threshold and len(mask_keys) >= threshold)
        opened_once += len(seeds) >= threshold or len(mask_keys) >= threshold
    assert opened_once == 22                                               # so the lies are real ones: 16 + 6 open one of the two


@pytest.mark.parametrize("threshold", [3, 7])
def test_a_threshold_that_lets_a_liar_open_both_or_nobody_open_any_is_refused(threshold):
    with pytest.raises(ValueError, match=f"threshold={threshold} of 6"):
        shared(6, threshold=threshold)


def test_a_letter_can_be_opened_by_its_receiver_only_and_not_after_a_change():
    states, _, letters = shared(3, threshold=2)
    changed = {**letters[0], 1: bytes([letters[0][1][0] ^ 1]) + letters[0][1][1:]}
    for wrong in (changed, {1: letters[2][1]}, {2: letters[0][1]}):                # changed, somebody else's, from somebody else
        with pytest.raises(InvalidTag):
            masking.mask(states[0], wrong, values(0))


def test_a_client_sends_nothing_when_too_few_shared():
    states, _, letters = shared(5, threshold=4)
    with pytest.raises(ValueError, match="3 of its share holders are there, threshold 4"):
        masking.mask(states[0], {1: letters[0][1], 2: letters[0][2]}, values(0))


def test_wrong_shares_of_a_mask_key_are_noticed():
    states, adverts, y = masked_round(4, threshold=3, dropped={3})
    answers = {client: masking.open_shares(states[client], {*y}, {3})[1] for client in y}
    wrong = replace(answers[0], mask_keys={3: answers[0].mask_keys[3] ^ 1})
    with pytest.raises(ValueError, match="client 3"):
        masking.unmask(y, adverts, everybody(4), {**answers, 0: wrong}, dropped={3}, threshold=3)


def test_a_client_that_is_printed_shows_no_secret():
    client, _ = masking.advertise(5)
    assert repr(client) == "Client(id=5, threshold=0, answered=False)"
