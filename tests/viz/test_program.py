"""The arena of a Program as a picture: what it draws, in words and numbers."""
import re

import pytest
import torch

from odl_kit import viz
from odl_kit.engine import program
from odl_kit.learners import plan
from odl_kit.models import nets


@pytest.fixture(scope="module")
def made():
    net = nets.tiny_cnn(1, 3, rng=torch.Generator().manual_seed(0))
    return program.compile(net, torch.zeros(1, 1, 8, 8), plan.full(net), precision="float32")


def test_each_pass_is_a_panel_with_its_ops_and_bytes_in_words_and_numbers(made):
    figure = viz.program(made, title="T")
    for stage in made.passes[1:]:
        assert f"{stage.name}: {stage.ops} ops, " in figure.alt
        assert [f"{stage.ops}", f"{stage.arena_bytes:,}", f"{stage.bound:,}"] == figure.table.splitlines()[
            1 + [s.name for s in made.passes[1:]].index(stage.name)].split()[-3:]
    assert figure.html.count("<img") == 2 and set(re.findall(r'alt="([^"]*)"', figure.html)) == {figure.alt}


def test_one_stage_alone_and_some_passes_can_be_drawn(made):
    assert viz.program(made, title="T", passes=("in place", "pack")).alt.count("ops, ") == 2
    alone = viz.program(made.passes[2].program, title="T")
    assert alone.alt.endswith(f"{made.passes[2].ops} ops, {viz.number(made.passes[2].arena_bytes / 1024)} KiB.")


def test_a_pass_that_was_not_made_is_refused(made):
    with pytest.raises(ValueError, match=r"passes \['fuse'\] are not among .*forward, autodiff, prune"):
        viz.program(made, title="T", passes=("fuse",))


def test_the_bars_fill_the_arena_and_never_overlap(made):
    slots = made.timeline
    assert max(s.offset + s.nbytes for s in slots) == made.arena_bytes
    for i, a in enumerate(slots):
        for b in slots[i + 1:]:
            assert a.last < b.first or b.last < a.first or a.offset + a.nbytes <= b.offset
    assert {s.purpose for s in slots} == {"saved", "passing"}
    assert {s.purpose for s in made.passes[1].program.timeline} == {"saved", "gradient", "passing"}
