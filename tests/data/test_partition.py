import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from odl_kit.data import datasets, partition


def seed(number=0):
    return torch.Generator().manual_seed(number)


def labels(examples, classes=10, number=0):
    return torch.randint(classes, (examples,), generator=seed(number))


@settings(deadline=None, max_examples=60)
@given(examples=st.integers(1, 300), classes=st.integers(1, 12), clients=st.integers(1, 40), per_client=st.integers(1, 4),
       number=st.integers(0, 10_000), kind=st.sampled_from(["iid", "shards", "dirichlet"]))
def test_every_example_is_owned_once_and_padding_loses_nothing(examples, classes, clients, per_client, number, kind):
    y = labels(examples, classes, number)
    call = {"iid": lambda: partition.iid(y, num_clients=clients, rng=seed(number)),
            "shards": lambda: partition.shards(y, num_clients=clients, per_client=per_client, rng=seed(number)),
            "dirichlet": lambda: partition.dirichlet(y, num_clients=clients, alpha=5.0, rng=seed(number))}[kind]
    if clients * (per_client if kind == "shards" else 1) > examples:
        with pytest.raises(ValueError, match=str(clients)):
            call()
        return
    try:
        owner = call()
    except ValueError as error:
        assert kind == "dirichlet" and f"{partition.TRIES} draws" in str(error)
        return
    assert owner.shape == (examples,) and owner.dtype == torch.int64
    assert owner.unique().tolist() == list(range(clients))
    x = torch.arange(examples).float() + 1
    data = datasets.from_arrays(x, y)
    made = partition.clients(data, owner)
    pairs = [pair for c in range(len(made)) for pair in zip(made[c][0].tolist(), made[c][1].tolist(), strict=True)]
    assert sorted(pairs) == sorted(zip(x.tolist(), y.tolist(), strict=True))
    assert all((owner[made[c][0].long() - 1] == c).all() for c in range(clients))


@pytest.mark.parametrize("name", ["iid", "shards", "dirichlet"])
def test_the_same_rng_gives_the_same_owner_and_another_a_different_one(name):
    options = {"alpha": 0.5} if name == "dirichlet" else {}
    make = [getattr(partition, name)(labels(500), num_clients=10, rng=seed(n), **options) for n in (1, 1, 2)]
    assert torch.equal(make[0], make[1]) and not torch.equal(make[0], make[2])


def test_iid_sizes_differ_by_at_most_one():
    sizes = torch.bincount(partition.iid(labels(103), num_clients=10, rng=seed()))
    assert sizes.min() == 10 and sizes.max() == 11


def test_shards_gives_two_labels_a_client_where_the_shards_fit_the_labels():
    # McMahan et al. 2017: 200 shards of equal size, none straddles a label, so no client sees more than two
    y = torch.arange(10).repeat_interleave(100)[torch.randperm(1000, generator=seed())]
    made = partition.describe(partition.shards(y, num_clients=50, rng=seed(1)), y)
    assert (made.sizes == 20).all()
    assert (made.histogram > 0).sum(1).max() == 2


def test_shards_deals_every_label_to_more_than_one_client():
    y = torch.arange(4).repeat_interleave(30)
    made = partition.describe(partition.shards(y, num_clients=6, rng=seed(3)), y)
    assert ((made.histogram > 0).sum(0) > 1).all()


def test_more_shards_than_examples_raises_with_the_way_out():
    with pytest.raises(ValueError, match="50 clients x per_client=2 is 100 shards, there are 60 examples"):
        partition.shards(labels(60), num_clients=50, rng=seed())


def test_dirichlet_shares_have_the_mean_and_variance_of_the_dirichlet_law():
    # a share of client c is Beta(alpha, alpha (C-1)): mean 1/C, variance (C-1) / (C^2 (C alpha + 1))
    alpha, clients, y = 0.5, 5, torch.zeros(400, dtype=torch.int64)
    shares = torch.stack([torch.bincount(partition.dirichlet(y, num_clients=clients, alpha=alpha, rng=seed(n)), minlength=clients) / 400
                          for n in range(400)])
    assert (shares.mean(0) - 1 / clients).abs().max() < 0.04
    # min_examples=1 cuts off draws with an empty client, which lowers the variance a little: 0.0457 without
    assert 0.033 < shares.var(0).mean() < 0.048


def test_small_alpha_is_skewed_and_large_alpha_is_near_iid():
    y = labels(4000)
    top = {alpha: (made.histogram.max(1).values / made.sizes).mean().item() for alpha in (0.05, 0.5, 1000)
           for made in [partition.describe(partition.dirichlet(y, num_clients=20, alpha=alpha, rng=seed()), y)]}
    assert top[0.05] > 0.6 > top[0.5] > 0.2 > top[1000]


@pytest.mark.parametrize("min_examples", [1, 10, 40])
def test_dirichlet_keeps_its_minimum(min_examples):
    sizes = torch.bincount(partition.dirichlet(labels(1000), num_clients=10, alpha=0.5, min_examples=min_examples, rng=seed()))
    assert len(sizes) == 10 and sizes.min() >= min_examples


def test_a_minimum_that_no_draw_meets_raises_and_says_how_many_were_made():
    with pytest.raises(ValueError, match=r"1000 draws with alpha = 0.01 .* 50 clients .* min_examples = 1 of 1000 examples"):
        partition.dirichlet(labels(1000), num_clients=50, alpha=0.01, rng=seed())


@pytest.mark.parametrize(("options", "words"), [
    ({"alpha": 0}, "alpha = 0"), ({"alpha": -1}, "alpha = -1"), ({"alpha": float("nan")}, "alpha"),
    ({"alpha": 1, "min_examples": 11}, "take 1 to 10"), ({"alpha": 1, "min_examples": 0}, "take 1 to 10")])
def test_impossible_dirichlet_requests_raise(options, words):
    with pytest.raises(ValueError, match=words):
        partition.dirichlet(labels(100), num_clients=10, rng=seed(), **options)


@pytest.mark.parametrize("num_clients", [0, -1, 101])
def test_more_clients_than_examples_or_none_raises(num_clients):
    with pytest.raises(ValueError, match=f"num_clients = {num_clients}, there are 100 examples"):
        partition.iid(labels(100), num_clients=num_clients, rng=seed())


def test_by_user_numbers_people_from_zero_in_order():
    assert partition.by_user(torch.tensor([7, 3, 7, 100])).tolist() == [1, 0, 1, 2]
    with pytest.raises(ValueError, match="user is None"):
        partition.by_user(None)


def test_describe_counts_like_a_loop_and_prints_a_table():
    y, owner = labels(200, 4), labels(200, 12, 1)
    made = partition.describe(owner, y)
    assert made.histogram.tolist() == [[int(((owner == c) & (y == k)).sum()) for k in range(4)] for c in range(12)]
    assert made.sizes.tolist() == made.histogram.sum(1).tolist()
    lines = str(made).splitlines()
    assert lines[1].split() == ["0", *map(str, [made.sizes[0].item(), *made.histogram[0].tolist()])]
    assert lines[-2:] == ["... and 2 more", f"12 clients, 200 examples, {made.sizes.min()} to {made.sizes.max()} each"]


def test_describe_refuses_a_target_that_is_no_label():
    with pytest.raises(ValueError, match="only labels"):
        partition.describe(torch.zeros(3, dtype=torch.int64), torch.rand(3))


def test_clients_pads_with_zeros_and_keeps_the_order():
    data = datasets.from_arrays(torch.arange(1.0, 6).view(5, 1), torch.tensor([1, 2, 3, 4, 5]))
    made = partition.clients(data, torch.tensor([2, 0, 2, 0, 2]))
    assert made.num_examples.tolist() == [2, 0, 3] and made.x.shape == (3, 3, 1)
    assert made.y.tolist() == [[2, 4, 0], [0, 0, 0], [1, 3, 5]] and made.x[0, 2] == 0
    assert made[2][1].tolist() == [1, 3, 5] and len(made[1][0]) == 0
    assert len(list(made)) == 3


@pytest.mark.parametrize("owner", [torch.zeros(4, dtype=torch.int64), torch.zeros(5), torch.tensor([0, 0, -1, 0, 0])])
def test_an_owner_that_does_not_fit_the_data_raises(owner):
    with pytest.raises(ValueError, match=r"it must be \(5,\) int64"):
        partition.clients(datasets.from_arrays(torch.rand(5, 2), torch.zeros(5, dtype=torch.int64)), owner)
