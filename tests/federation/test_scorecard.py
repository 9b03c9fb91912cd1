from dataclasses import replace
from functools import partial

import pytest
import torch

from odl_kit.budget import Budget
from odl_kit.federation import accounting, local, rounds, scorecard, secagg, selection
from odl_kit.federation import design as designs
from odl_kit.federation.design import Design
from odl_kit.learners import memory, train
from odl_kit.models import flat, nets, quantize

PHONES, PEOPLE, INPUTS, CLASSES = 40, 12, 12, 3      # of the brief in conftest.py
SMALL = Design(hidden=6, rounds=6, per_round=20, lr=0.3)


def test_the_same_seed_gives_the_same_card_and_another_seed_another(brief):
    assert scorecard.score(SMALL, brief, seed=1) == scorecard.score(SMALL, brief, seed=1)
    assert scorecard.score(SMALL, brief, seed=1).people != scorecard.score(SMALL, brief, seed=2).people


def test_a_plain_design_is_fedavg_as_one_writes_it_by_hand(brief):
    rng = torch.Generator().manual_seed(3)
    net = nets.mlp(INPUTS, 6, CLASSES, rng=rng)
    work = partial(local.train_cohort, net, brief.phones, epochs=1, batch_size=10, lr=0.3)
    history = rounds.run(flat.ravel(net), train=work, select=selection.uniform(PHONES, 20), rounds=6, rng=rng, progress=False)
    flat.assign(net, history.w)
    by_hand = [train.evaluate(net, *brief.later[person])["accuracy"] for person in range(PEOPLE)]
    card = scorecard.score(SMALL, brief, seed=3)
    assert card.people == pytest.approx(by_hand)
    assert card.accuracy == pytest.approx(sum(by_hand) / PEOPLE) and card.worst == min(by_hand) == card.worst_tenth
    assert card.points == pytest.approx(50 * (card.accuracy + card.worst_tenth)) and card.broken == ()


def test_the_costs_are_those_of_a_count_by_hand(brief):
    card = scorecard.score(replace(SMALL, personal_epochs=2), brief)
    weights = INPUTS * 6 + 6 + 6 * CLASSES + CLASSES
    report = memory.memory_report(nets.mlp(INPUTS, 6, CLASSES, rng=torch.Generator()), torch.zeros(10, INPUTS), None, rule="device")
    assert (card.flash, card.sram) == (4 * weights, report.sram)
    examples = 6 * 20 / PHONES * 10 + 2 * 15                            # rounds that a phone is in, its examples; two epochs of 15 at home
    forward, way_back = INPUTS * 6 + 6 * CLASSES, INPUTS * 6 + 2 * 6 * CLASSES      # the first layer hands no gradient on
    assert card.macs == examples * (forward + way_back)
    assert card.link_bytes == 3 * 2 * 4 * weights + 4 * weights         # in three rounds down and up, then the net that answers
    assert card.energy_mJ == card.macs + 1000 * card.link_bytes + 4 * 10**6


def test_personal_nets_help_those_who_differ(brief):
    general, personal = (scorecard.score(replace(SMALL, personal_epochs=epochs), brief) for epochs in (0, 20))
    assert general.worst_tenth < 0.3 and personal.worst_tenth > 0.6


def test_int8_serves_in_fewer_bytes_and_float_weights_that_stay_frozen_are_stored_beside_them(brief):
    plain, small, head = (scorecard.score(replace(SMALL, **more), brief) for more in (
        {}, {"serves_in_bits": 8}, {"serves_in_bits": 8, "learns": "head"}))
    net = nets.mlp(INPUTS, 6, CLASSES, rng=torch.Generator().manual_seed(0))
    served = quantize.quantize_model(net, brief.volunteers[0]).nbytes
    assert small.flash == served < plain.flash and abs(small.accuracy - plain.accuracy) < 0.05
    assert head.flash == served + 4 * (INPUTS * 6 + 6) and head.sram < plain.sram


def test_what_does_not_learn_stays_as_it_was_under_noise_too(brief):
    design = replace(SMALL, learns="head", clip=1.0, epsilon=5.0)
    net = nets.mlp(INPUTS, 6, CLASSES, rng=torch.Generator().manual_seed(0))
    learns = designs.PLANS["head"](net)
    w, _ = scorecard.federated(net, learns, design, brief, torch.Generator().manual_seed(0))
    moved = w != flat.ravel(net)
    assert moved.any() and not (moved & ~learns.mask(net)).any()


def test_epsilon_is_that_of_the_accountant_and_above_what_was_promised_it_breaks_the_promise(brief):
    design, promised = replace(SMALL, clip=1.0, epsilon=5.0), replace(brief, epsilon=3.0)
    card = scorecard.score(design, promised)
    z = scorecard.noise(design, brief)
    assert card.epsilon == pytest.approx(accounting.epsilon(noise_multiplier=z, sample_rate=0.5, steps=6, delta=0.01)) and card.epsilon <= 5
    assert card.points == 0 and "promised was 3" in card.broken[0]
    assert scorecard.score(SMALL, promised).epsilon == float("inf") and scorecard.score(SMALL, promised).points == 0
    assert scorecard.score(replace(design, epsilon=2.9), promised).broken == ()


def test_without_rounds_nobody_sends_anything_and_every_promise_is_kept(brief):
    card = scorecard.score(replace(SMALL, rounds=0, from_volunteers=True), replace(brief, epsilon=1.0, secure=True))
    assert card.epsilon == 0 and card.broken == () and card.macs == 0 and card.link_bytes == card.flash


def test_a_clip_bounds_what_one_phone_that_shouts_can_do(brief):
    def shout(uplink, state, rng):
        rows = uplink.updates.clone()
        rows[0] = -100 * rows[0]
        return replace(uplink, updates=rows), state
    attacked = replace(brief, attack=shout)
    mean, clipped, median = (scorecard.score(replace(SMALL, rounds=20, **how), attacked) for how in ({}, {"clip": 1.0}, {"rule": "median"}))
    assert mean.accuracy < 0.6 and clipped.accuracy > 0.7 and median.accuracy > 0.7


def test_secure_sums_keep_the_promise_and_cost_the_bytes_of_a_real_round(brief):
    design, promised = replace(SMALL, clip=1.0), replace(brief, secure=True)
    seen, hidden = scorecard.score(design, promised), scorecard.score(replace(design, secure=True), promised)
    assert seen.points == 0 and "sees single updates" in seen.broken[0] and hidden.broken == () and hidden.people == seen.people
    count = INPUTS * 6 + 6 + 6 * CLASSES + CLASSES
    real = secagg.total(torch.ones(20, count), limit=1.0, neighbours=8, rng=torch.Generator().manual_seed(9))
    assert scorecard.secure_bytes(count, 20) == sum(int(phase.sum()) for phase in real.up.values())
    assert hidden.link_bytes > seen.link_bytes


def test_fewer_bits_up_are_fewer_bytes(brief):
    plain, packed = (scorecard.score(replace(SMALL, upload_bits=bits), brief) for bits in (32, 8))
    weights = INPUTS * 6 + 6 + 6 * CLASSES + CLASSES
    assert plain.link_bytes - packed.link_bytes == 3 * (3 * weights - 4)       # a byte a weight instead of four, and a float for the step


def test_a_limit_that_is_too_small_is_named_and_takes_all_points(brief):
    card = scorecard.score(SMALL, replace(brief, budget=Budget(flash=100, sram=10**5)))
    assert card.points == 0 and card.accuracy > 0.5 and len(card.broken) == 1 and card.broken[0].startswith("flash is ")


@pytest.mark.parametrize(("change", "says"), [
    ({"epsilon": 2.0}, "need a clip"), ({"secure": True}, "need a clip"), ({"clip": 1.0, "epsilon": 2.0, "rule": "median"}, "a sum only"),
    ({"clip": 1.0, "secure": True, "upload_bits": 8}, "upload_bits = 32"), ({"rounds": 0}, "nobody trains"), ({"hidden": 0}, "1 to 256"),
    ({"per_round": 41}, "20 to 40"), ({"learns": "all"}, "'everything'"), ({"serves_in_bits": 4}, "8 or 32"), ({"clip": -1.0}, "length")])
def test_choices_that_do_not_go_together_are_refused_by_name(brief, change, says):
    with pytest.raises(ValueError, match="cannot be built") as error:
        scorecard.score(replace(SMALL, **change), brief)
    assert says in str(error.value)


def test_the_digest_of_a_brief_changes_with_its_data_and_its_limits(brief):
    phones = replace(brief.phones, y=brief.phones.y.flip(1))
    others = [replace(brief, epsilon=1.0), replace(brief, budget=Budget(flash=1)), replace(brief, phones=phones)]
    assert len({b.digest() for b in (brief, *others)}) == 4 and replace(brief).digest() == brief.digest()


def test_a_card_says_in_words_what_it_holds(brief):
    card = scorecard.score(SMALL, replace(brief, budget=Budget(sram=10)))
    assert "BROKEN: sram is" in str(card) and "people" not in card.plain() and card.plain()["epsilon"] is None
