"""The records: operands by role, and which weights a chosen channel touches."""
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from odl_kit.engine import graph
from odl_kit.learners import plan


def test_an_op_knows_its_operands_by_role_and_what_it_reads_and_writes():
    op = graph.make_op("CONV_DW_UPDATE", g=1, x=2, w=3, ws=9, lo=0.5)
    assert op["w"] == 3 and op["channels"] is None and op.operands() == {"g": 1, "x": 2, "w": 3, "ws": 9}
    assert op.reads() == [1, 2, 3] and op.writes() == [3, 9]
    assert op.but(w=4, lo=0.25) == graph.make_op("CONV_DW_UPDATE", g=1, x=2, w=4, ws=9, lo=0.25)
    assert all(len(roles) <= 8 for roles in graph.KINDS.values())
    with pytest.raises(ValueError, match="ADD has no operands .*'x'"):
        graph.make_op("ADD", a=0, b=1, y=2, x=3)


def test_bytes_of_a_tensor_count_eight_bits_to_the_byte():
    assert graph.Tensor("mask", "bits", (1, 3, 3, 1)).nbytes == 2
    assert graph.Tensor("w", "s8", (4, 3, 3, 2)).nbytes == 72 and graph.Tensor("g", "f32", (4, 3, 3, 2)).nbytes == 288


def test_the_root_of_a_view_of_a_view_holds_the_bytes():
    g = graph.Graph()
    a = g.tensor("a", "f32", (1, 2, 2, 3))
    b = g.tensor("b", "f32", (1, 1, 1, 12), base=a)
    assert g.root(g.tensor("c", "f32", (1, 2, 2, 3), base=b)) == a


@given(groups=st.integers(1, 4), per=st.integers(1, 3), each=st.integers(1, 3), kernel=st.integers(1, 2), data=st.data())
def test_the_weights_of_chosen_channels_are_those_that_the_plan_means(groups, per, each, kernel, data):
    conv = nn.Conv2d(groups * per, groups * each, kernel, groups=groups, device="meta")
    channels = sorted(data.draw(st.sets(st.integers(0, groups * per - 1), min_size=1)))
    mask = plan.weight_mask(conv, torch.tensor(channels)).numpy()              # (O, C/groups, kh, kw)
    dims = (groups * each, kernel, kernel, per)
    index = graph.weight_index(dims, groups, channels)
    assert index.shape == graph.gradient_dims(dims, groups, len(channels))
    assert sorted(index.reshape(-1)) == np.flatnonzero(mask.transpose(0, 2, 3, 1)).tolist()
    assert graph.weight_index(dims, groups).reshape(-1).tolist() == list(range(mask.size))


def test_a_column_of_a_grouped_gradient_belongs_to_its_channel():
    index = graph.weight_index((4, 1, 1, 2), 2, [1, 2])          # rows 0, 1 read channels 0, 1; rows 2, 3 read channels 2, 3
    assert index[:, 0, 0, 0].tolist() == [1, 3] and index[:, 0, 0, 1].tolist() == [4, 6]


def test_a_row_of_a_depthwise_gradient_is_the_filter_of_its_channel():
    index = graph.weight_index((3, 2, 2, 1), 3, [0, 2])
    assert index.shape == (2, 2, 2, 1) and index.reshape(2, 4).tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
