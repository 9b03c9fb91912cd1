"""Every kernel leaves the bytes of the NumPy reference: plain C on this computer, plain C and SIMD on a virtual Cortex-M4."""
import ctypes
import math
import zlib

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from odl_kit.engine import graph

KINDS = [f"{kind} {dtype}" for kind in ("CONV", "CONV_DX", "CONV_DW", "CONV_DW_UPDATE", "AVG_POOL", "MAX_POOL", "ADD", "RELU", "GATHER")
         for dtype in ("s8", "f32")]
KINDS += ["DEQUANTIZE", "LOSS", "SCALE_GRAD", "CONV_DB", "UPDATE", "CONV_DB_UPDATE", "AVG_POOL_DX", "MAX_POOL_DX", "ACCUMULATE"]


def test_all_kinds_of_ops_are_drawn(draw):
    assert set(draw.kinds) == set(KINDS) and {kind.split()[0] for kind in KINDS} == set(graph.KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kernel_on_this_computer_equals_numpy_bit_for_bit_and_keeps_to_its_arena(kind, draw, host, reference):
    for seed in range(120):
        case = draw(kind, seed)
        assert host(case) == reference(case), seed


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kernel_on_a_cortex_m4_equals_numpy_bit_for_bit_with_simd_and_without(kind, draw, on_board, reference):
    for seed in range(1000, 1040):
        case = draw(kind, seed)
        assert on_board(case) == reference(case), seed


def ulps(found, true):
    return abs(found - true) / math.ldexp(1, math.floor(math.log2(abs(true))) - 23) if true else abs(found) * 2**23


def test_exp_and_log_are_within_one_unit_in_the_last_place(host):
    for x in np.concatenate([-np.logspace(-8, math.log10(87), 20_000), [0.0, -86.99]]).astype(np.float32):
        assert ulps(host.lib.odl_exp(x), math.exp(x)) <= 1, x
    for x in np.concatenate([1 + np.logspace(-6, 0, 10_000), np.logspace(0, 6, 10_000)]).astype(np.float32):
        assert ulps(host.lib.odl_log(x), math.log(x)) <= 1, x


def test_exp_and_log_at_their_ends(host):
    assert host.lib.odl_exp(0.0) == 1.0 and host.lib.odl_exp(-88.0) == host.lib.odl_exp(-math.inf) == 0.0 and host.lib.odl_log(1.0) == 0.0
    assert host.lib.odl_log(math.inf) == math.inf and math.isnan(host.lib.odl_log(math.nan)) and math.isnan(host.lib.odl_exp(math.nan))


def test_crc_is_that_of_zlib(host):
    host.lib.odl_crc32.restype, host.lib.odl_crc32.argtypes = ctypes.c_uint32, (ctypes.c_uint32, ctypes.c_char_p, ctypes.c_uint32)
    data = bytes(range(256)) * 3
    for n in (0, 1, 3, 255, 768):
        assert host.lib.odl_crc32(0, data, n) == zlib.crc32(data[:n])
        assert host.lib.odl_crc32(host.lib.odl_crc32(0, data, n), data[n:], 768 - n) == zlib.crc32(data)


def test_loss_and_its_gradient_are_those_of_torch(draw, host):
    for seed in range(20):
        case = draw("LOSS", seed)
        numbers, inputs = case.program.ops[0].operands(), case.inputs
        labels = torch.tensor(inputs[numbers["labels"]].reshape(-1)).long()
        logits = torch.tensor(inputs[numbers["logits"]].reshape(len(labels), -1), requires_grad=True)
        loss, left = F.cross_entropy(logits, labels), host(case)
        loss.backward()
        assert np.frombuffer(left[numbers["loss"]], np.float32)[0] == pytest.approx(loss.item(), rel=2e-6, abs=1e-6)
        if "dlogits" in numbers:
            assert np.abs(np.frombuffer(left[numbers["dlogits"]], np.float32) - logits.grad.numpy().reshape(-1)).max() < 1e-6


def test_a_label_that_is_no_class_makes_the_loss_nan_and_nothing_else_happens(draw, host):
    case = next(case for case in (draw("LOSS", seed) for seed in range(20)) if "dlogits" in case.program.ops[0].operands())
    numbers = case.program.ops[0].operands()
    for wrong in (-1, 10**6, -2**31):
        case.inputs[numbers["labels"]][0] = wrong
        assert np.isnan(np.frombuffer(host(case)[numbers["loss"]], np.float32)).all()
