"""Bytes and back, and what becomes of bytes that are damaged or hostile."""
import random
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.engine import blob, execute, graph, program

NETS = ("mlp", "tiny_cnn", "ds_cnn", "mobile_net")


def compiled(world, plan_of, name="tiny_cnn", plan="sparse", precision="int8", **options):
    net, x, y = world(name, precision)
    return program.compile(net, x, plan_of(plan, net), precision=precision, **options), x, y


def signed(data):
    """The bytes with a checksum that fits."""
    return data[:12] + struct.pack("<I", zlib.crc32(data[16:])) + data[16:]


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("name", NETS)
def test_a_program_that_went_through_bytes_trains_with_the_same_bits(world, plan_of, name, precision):
    made, x, y = compiled(world, plan_of, name, precision=precision, batch=2, rounding="stochastic", seed=9, momentum=0.5)
    data = made.to_bytes()
    back = program.from_bytes(data)
    assert back.to_bytes() == data and back.digest == made.digest and len(data) == made.nbytes
    one, loss = execute.step(made, None, x[:2], y[:2], 0.1)
    two, same = execute.step(back, None, x[:2], y[:2], 0.1)
    assert loss == same and all(np.array_equal(v, two.values[n]) for n, v in one.values.items())
    assert (back.report, back.flash_report) == (made.report, made.flash_report)
    assert [replace(slot, name="") for slot in back.timeline] == [replace(slot, name="") for slot in made.timeline]
    assert (back.batch, back.rounding, back.seed, back.arena_bytes) == (2, "stochastic", 9, made.arena_bytes)


def test_the_state_comes_last_and_every_part_begins_at_a_multiple_of_4(world, plan_of):
    made, _, _ = compiled(world, plan_of)
    h = blob.header(made.to_bytes())
    assert h["state_at"] + h["state_bytes"] == h["blob_bytes"] == made.nbytes and h["state_bytes"] == made.state_bytes
    assert all(h[key] % 4 == 0 for key in ("tensors_at", "ops_at", "const_at", "state_at"))
    assert h["const_at"] == 64 + 24 * len(made.tensors) + 36 * len(made.ops)


def test_pairs_of_rows_are_stored_four_columns_in_turn():
    w = np.arange(16, dtype=np.int8).reshape(2, 1, 1, 8)
    t = graph.Tensor("w", "s8", w.shape, "state", pairs=True)
    assert list(blob.pack_tensor(t, w)) == [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]
    assert np.array_equal(blob.unpack_tensor(t, blob.pack_tensor(t, w)), w)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2))
def test_pairs_come_back(pairs, columns, kernel):
    w = np.random.default_rng(pairs).integers(-127, 128, (2 * pairs, kernel, kernel, 8 * columns)).astype(np.int8)
    t = graph.Tensor("w", "s8", w.shape, "const", pairs=True)
    assert np.array_equal(blob.unpack_tensor(t, blob.pack_tensor(t, w)), w)


def test_bytes_that_are_cut_off_damaged_or_something_else_are_refused_with_the_reason(world, plan_of):
    data = compiled(world, plan_of)[0].to_bytes()
    bad = bytearray(data)
    bad[200] ^= 1
    for wrong, reason in ((b"", "0 bytes are no"), (data[:-1], "header says"), (data + b"x", "header says"), (bytes(bad), "checksum"),
                          (b"PK" + data[2:], "begin with b'PK"), (data[:4] + b"\x02\x00" + data[6:], "version 2")):
        with pytest.raises(ValueError, match=reason):
            program.from_bytes(wrong)


@settings(max_examples=300)
@given(at=st.integers(16, 4000), value=st.integers(0, 255), more=st.integers(0, 2), seed=st.integers(0, 10**6))
def test_hostile_bytes_are_refused_or_run_within_their_memory(hostile, at, value, more, seed):
    data, draw = bytearray(hostile[0]), random.Random(seed)
    for place in [at, *(draw.randrange(16, len(data)) for _ in range(more))]:
        data[place % len(data)] = value
    try:
        made = program.from_bytes(signed(bytes(data)))
    except ValueError as error:
        assert len(str(error)) > 10
        return
    if made.arena_bytes <= 2**20:
        rows = np.zeros((made.batch, *np.array(made.tensors[made.input].dims)[[3, 1, 2]]), np.float32)
        execute.step(made, None, rows, np.zeros(made.batch, int), 0.1)         # an index out of its array would raise


@pytest.fixture(scope="module")
def hostile(world, plan_of):
    return [compiled(world, plan_of)[0].to_bytes()]
