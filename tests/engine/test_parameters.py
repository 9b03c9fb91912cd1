"""Weights in the engine's order and back, and what the engine cannot take."""
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from odl_kit.engine import parameters, program
from odl_kit.models import nets, quantize

seed = torch.Generator().manual_seed


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_weights_go_there_and_back(o, c, h, w):
    conv = np.arange(o * c * h * w, dtype=np.float32).reshape(o, c, h, w)
    assert parameters.to_engine(conv).shape == (o, h, w, c)
    assert np.array_equal(parameters.to_torch(parameters.to_engine(conv), conv.shape), conv)
    linear = conv.reshape(o, -1)
    there = parameters.to_engine(linear, (c, h, w))
    assert there.shape == (o, 1, 1, c * h * w) and np.array_equal(parameters.to_torch(there, linear.shape, (c, h, w)), linear)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.data())
def test_a_column_reads_the_value_that_torchs_column_reads(c, h, w, data):
    x, row = np.random.default_rng(0).random((c, h, w)), np.arange(c * h * w)[None]
    there = parameters.to_engine(row, (c, h, w)).reshape(-1)          # torch's number of each of the engine's columns
    assert np.array_equal(x.reshape(-1)[there], x.transpose(1, 2, 0).reshape(-1))
    chosen = sorted(data.draw(st.sets(st.integers(0, c * h * w - 1))))
    columns = parameters.columns(chosen, (c, h, w))
    assert sorted(there[columns]) == chosen and sorted(columns) == columns.tolist()


def test_pairs_are_even_rows_of_whole_words():
    assert parameters.paired((4, 3, 3, 8)) and not parameters.paired((3, 1, 1, 8)) and not parameters.paired((4, 3, 3, 1))


def test_a_net_of_the_other_kind_is_refused_with_the_way_out():
    net, x = nets.mlp(4, 3, 2, rng=seed(0)), torch.rand(5, 4)
    with pytest.raises(ValueError, match=r"needs a QuantNet.*quantize.quantize_model\(net, calibration\)"):
        program.compile(net, x, None)
    with pytest.raises(ValueError, match='precision="float32" with a QuantNet'):
        program.compile(quantize.quantize_model(net, x), x, None, precision="float32")
    with pytest.raises(ValueError, match="precision 'int4' is unknown"):
        program.compile(net, x, None, precision="int4")
    with pytest.raises(ValueError, match="not float32: call net.float"):
        program.compile(net.double(), x, None, precision="float32")


def test_weights_that_are_no_numbers_and_fewer_bits_are_refused_by_name():
    net, x = nets.mlp(4, 3, 2, rng=seed(0)), torch.rand(5, 4)
    narrow = quantize.quantize_model(net, x, bits=4)
    with pytest.raises(ValueError, match="'hidden1' has weights of 4"):
        program.compile(narrow, x, None)
    with torch.no_grad():
        net.head.weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match="'head' holds weights that are not finite"):
        program.compile(net, x, None, precision="float32")


def test_a_linear_layer_on_many_rows_is_refused():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix, self.head = nn.Linear(3, 2), nn.Linear(8, 2)

        def forward(self, x):
            return self.head(torch.flatten(self.mix(x), 1))
    with pytest.raises(ValueError, match="'mix' is linear on"):
        program.compile(Rows(), torch.rand(1, 2, 2, 3), None, precision="float32")
