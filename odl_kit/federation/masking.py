"""Secure aggregation: the server learns the sum of the clients' vectors and no vector (Bonawitz et al. 2017, Bell et al. 2020).

Client u sends y_u = x_u + PRG(b_u) + sum over v > u of PRG(s_uv) - sum over v < u of PRG(s_uv) mod 2^32: in the sum of all y, the pair
masks s_uv cancel. For those who drop out, every client shares b_u and its mask key among its neighbours (Shamir); `threshold` of them can
put one together. The rounds, each a plain function; what a client or the server holds is in its arguments (secagg.total runs them all):
    advertise (client)    two X25519 public keys, one for letters, one for masks
    share     (client)    shares of the mask key and of the seed b, sealed for each neighbour; the server passes them on
    mask      (client)    y_u
    open_shares (client)  for each neighbour that sent y: the share of its b. For each that did not: the share of its mask key. NEVER both,
                          since both together unmask the client: a client answers once, and threshold > half forbids two groups of answers
    unmask    (server)    opens what the survivors' shares open, and takes those masks off
Keys and seeds have 256 bits and come from the operating system: not from a generator that a lesson seeds, and the sum is exact without.
For honest but curious parties. Against a server that lies, clients would also sign the keys and the list of survivors (Bonawitz et al.,
sec. 6).
The sum itself is not private (two clients know each other's x): add noise to it, privacy.noised_mean(total=...).
"""
import os
import secrets
from dataclasses import dataclass, field, replace

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PRIME = 2 ** 256 + 297          # the first prime above 2^256: a secret of 32 bytes is one number, a share has 33 bytes
SHARE_BYTES = 33
SEAL_NONCE = bytes(12)          # every letter has a key of its own (sender and receiver are in it), so one nonce serves


@dataclass(frozen=True)
class Advert:
    """What everybody may know of a client: two X25519 public keys of 32 bytes."""
    seal_key: bytes
    mask_key: bytes


@dataclass(frozen=True)
class Client:
    """What one client holds; each step returns the next state. held: {id: (share of its mask key, share of its b)}, its own too."""
    id: int
    seal_key: X25519PrivateKey = field(repr=False)
    mask_key: X25519PrivateKey = field(repr=False)
    seed: bytes = field(repr=False)                     # b_u
    threshold: int = 0
    adverts: dict = field(default_factory=dict, repr=False)
    held: dict = field(default_factory=dict, repr=False)
    answered: bool = False


@dataclass(frozen=True)
class Opened:
    """A client's answer: {survivor id: share of b}, {dropped id: share of the mask key}. No id is in both."""
    seeds: dict
    mask_keys: dict


def advertise(client_id):
    """A new client with fresh keys -> (Client, Advert). client_id: int >= 0, its place among the shares, so unique in a run."""
    client = Client(client_id, X25519PrivateKey.generate(), X25519PrivateKey.generate(), os.urandom(32))
    return client, Advert(*(key.public_key().public_bytes_raw() for key in (client.seal_key, client.mask_key)))


def share(client, adverts, *, threshold):
    """adverts: {id: Advert} of the neighbours -> (Client, {id: sealed shares, bytes}).

    Raises ValueError unless half of the holders (the neighbours and the client itself) < threshold <= all: with less, a server could ask
    one half for the seed and the other for the mask key.
    """
    holders = sorted({*adverts, client.id})
    if not len(holders) / 2 < threshold <= len(holders):
        raise ValueError(f"threshold={threshold} of {len(holders)} share holders: give more than half, and not more than there are")
    shares = {holder: pair for holder, *pair in zip(holders, _split(client.mask_key.private_bytes_raw(), threshold, holders),
                                                    _split(client.seed, threshold, holders), strict=True)}
    sealed = {}
    for peer, advert in adverts.items():
        letter = b"".join(number.to_bytes(SHARE_BYTES, "big") for number in shares[peer])
        sealed[peer] = ChaCha20Poly1305(_seal(client, advert, client.id, peer)).encrypt(SEAL_NONCE, letter, None)
    return replace(client, threshold=threshold, adverts=adverts, held={client.id: tuple(shares[client.id])}), sealed


def mask(client, sealed, values):
    """sealed: {sender id: bytes} from the neighbours that shared; values (P,) uint32 -> (Client, y (P,) uint32).

    Raises ValueError when fewer than threshold holders are there, and cryptography's InvalidTag for a letter that was changed.
    """
    if len(sealed) + 1 < client.threshold:
        raise ValueError(f"client {client.id}: {len(sealed) + 1} of its share holders are there, threshold {client.threshold}: too few, "
                         "nothing is sent")
    held, y = dict(client.held), values + keystream(client.seed, len(values))
    for peer, letter in sealed.items():
        plain = ChaCha20Poly1305(_seal(client, client.adverts[peer], peer, client.id)).decrypt(SEAL_NONCE, letter, None)
        held[peer] = int.from_bytes(plain[:SHARE_BYTES], "big"), int.from_bytes(plain[SHARE_BYTES:], "big")
        y += _pair_mask(client.mask_key, client.id, client.adverts[peer].mask_key, peer, len(values))
    return replace(client, held=held), y


def open_shares(client, survivors, dropped):
    """survivors, dropped: ids whose y the server has, and has not -> (Client, Opened), for the neighbours whose shares this client holds.

    Raises ValueError when a client is called both, when this client itself is called dropped, when it has answered before (two answers
    could give both shares of one client), and when fewer than threshold of the holders survived.
    """
    both = sorted({*survivors} & {*dropped})
    if both or client.answered or client.id in dropped:
        why = f"clients {both} are called survivors and dropped" if both else "it has answered already" if client.answered else (
            "it is called dropped, and has sent its vector")
        raise ValueError(f"client {client.id} refuses: {why}; both shares of one client would unmask it")
    alive = [peer for peer in client.held if peer in survivors]
    if len(alive) < client.threshold:
        raise ValueError(f"client {client.id} refuses: {len(alive)} of its share holders survived, threshold {client.threshold}: too few "
                         "survivors, start again with more clients")
    opened = Opened({peer: client.held[peer][1] for peer in alive}, {peer: client.held[peer][0] for peer in client.held if peer in dropped})
    return replace(client, answered=True), opened


def unmask(masked, adverts, neighbours, answers, *, dropped, threshold):
    """The server's last step: masked {id: y (P,) uint32} of the survivors -> the sum of their values mod 2^32, (P,) uint32.

    adverts: {id: Advert}. neighbours: {id: set of ids}. answers: {id: Opened}. dropped: ids that shared and then sent no y.
    Raises ValueError when a mask has fewer than threshold shares, or when shares do not give the key that was advertised.
    """
    total = np.sum([*masked.values()], axis=0, dtype=np.uint32)
    for client in masked:
        seed = _join({holder: answer.seeds[client] for holder, answer in answers.items() if client in answer.seeds}, threshold, client)
        total -= keystream(seed, len(total))
    for client in dropped:
        shares = {holder: answer.mask_keys[client] for holder, answer in answers.items() if client in answer.mask_keys}
        key = X25519PrivateKey.from_private_bytes(_join(shares, threshold, client))
        if key.public_key().public_bytes_raw() != adverts[client].mask_key:
            raise ValueError(f"the shares of client {client} do not give the key it advertised: one of them is wrong, start again")
        for peer in neighbours[client] & masked.keys():             # minus what the survivor added: the mask has the opposite sign here
            total += _pair_mask(key, client, adverts[peer].mask_key, peer, len(total))
    return total


def keystream(key, count):
    """The mask generator PRG: `count` uint32 of the ChaCha20 keystream (RFC 8439) under the 32-byte key, nonce 0, counter from 0."""
    stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(4 * count))
    return np.frombuffer(stream, dtype="<u4").astype(np.uint32)


def _pair_mask(own, own_id, public, peer_id, count):
    """+PRG(s) for the smaller id of a pair, -PRG(s) for the larger: mod 2^32 the two cancel."""
    stream = keystream(_derive(own, public, b"odl secagg mask"), count)
    return stream if own_id < peer_id else np.negative(stream)


def _seal(client, advert, sender, receiver):
    return _derive(client.seal_key, advert.seal_key, b"odl secagg share %d to %d" % (sender, receiver))


def _derive(own, public, purpose):
    """32 bytes both sides of a pair can work out, and nobody else: X25519 (RFC 7748), then HKDF-SHA256."""
    return HKDF(hashes.SHA256(), 32, salt=None, info=purpose).derive(own.exchange(X25519PublicKey.from_public_bytes(public)))


def _split(secret, threshold, holders):
    """Shamir 1979: the secret is a random polynomial's value at 0, holder h gets that at h + 1; any `threshold` of these fix it."""
    coefficients = [*(secrets.randbelow(PRIME) for _ in range(threshold - 1)), int.from_bytes(secret, "big")]
    values = []
    for holder in holders:
        value = 0
        for coefficient in coefficients:                             # Horner's rule
            value = (value * (holder + 1) + coefficient) % PRIME
        values.append(value)
    return values


def _join(shares, threshold, client):
    """{holder: value} -> the secret of `client`, 32 bytes, by Lagrange's formula at 0 over `threshold` of the shares."""
    if len(shares) < threshold:
        raise ValueError(f"client {client}: {len(shares)} of its shares came, threshold {threshold}: too few survivors, the sum stays shut")
    secret, points = 0, [holder + 1 for holder in sorted(shares)[:threshold]]
    for point in points:
        above = below = 1
        for other in points:
            if other != point:
                above, below = above * other % PRIME, below * (other - point) % PRIME
        secret = (secret + shares[point - 1] * above * pow(below, -1, PRIME)) % PRIME
    if secret >= 2 ** 256:
        raise ValueError(f"the shares of client {client} give no key: one of them is wrong, start again")
    return secret.to_bytes(32, "big")
