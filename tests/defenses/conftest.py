"""A publisher, a stranger, a small model, and a device that runs version 5 of it."""
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from odl_kit.defenses import install, updates
from odl_kit.models import nets


@pytest.fixture(scope="session")
def fits():
    return {"model": "digits", "device_class": "nrf52840"}


@pytest.fixture(scope="session")
def publisher():
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="session")
def stranger():
    return Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


@pytest.fixture(scope="session")
def weights():
    """{name: tensor} of a net of our own: 8 inputs, 4 hidden units, 3 classes."""
    return nets.mlp(8, 4, 3, rng=torch.Generator().manual_seed(0)).state_dict()


@pytest.fixture(scope="session")
def package(publisher, weights, fits):
    """Version 6."""
    return updates.sign(weights, publisher, **fits, version=6)


@pytest.fixture
def device(tmp_path, publisher, weights, fits):
    install.provision(tmp_path / "device", publisher.public_key(), **fits)
    install.apply(tmp_path / "device", updates.sign({k: 0.5 * v for k, v in weights.items()}, publisher, **fits, version=5))
    return tmp_path / "device"
