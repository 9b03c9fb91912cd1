"""The stopwatch: who runs, how often, in which mode. Never how long."""
import pytest
import torch
from torch import nn

from odl_kit.models import speed


class Witness(nn.Module):
    def __init__(self, calls, name):
        super().__init__()
        self.calls, self.name = calls, name

    def forward(self, x):
        self.calls.append((self.name, self.training, torch.is_grad_enabled()))
        return x


def test_nets_take_turns_in_evaluation_mode_and_their_modes_come_back():
    calls = []
    nets = {name: Witness(calls, name) for name in "ab"}
    nets["b"].eval()
    found = speed.milliseconds(nets, torch.zeros(2), repeats=3)
    assert calls == [("a", False, False), ("b", False, False)] * 4
    assert nets["a"].training and not nets["b"].training and list(found) == ["a", "b"] and min(found.values()) > 0


def test_no_run_is_an_error():
    with pytest.raises(ValueError, match="repeats is 0"):
        speed.milliseconds({}, torch.zeros(1), repeats=0)
