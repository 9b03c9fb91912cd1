import threading

import pytest
import torch

from odl_kit.learners import cohort, cohort_steps


def job(sizes, epochs, batch_size, room=None, rows=None):
    sizes = torch.tensor(sizes)
    order = cohort.batch_order(sizes, epochs, rng=torch.Generator().manual_seed(0))
    room = room or int(sizes.max())
    rows = torch.arange(len(sizes)) if rows is None else torch.tensor(rows)
    x, y = torch.zeros(int(rows.max()) + 1, room, 1), torch.zeros(int(rows.max()) + 1, room, dtype=torch.int64)
    return cohort_steps.Job(x, y, rows, sizes, order, batch_size, lr=0.1)


@pytest.mark.parametrize("sizes, epochs, batch_size, room, rows", [
    ([9, 4, 1], 2, 4, None, None), ([5, 5], 3, 2, 8, [3, 0]), ([7, 3], 2, None, None, None), ([3], 1, 10, None, [2]),
    ([1, 1, 1], 2, 1, None, None),
])
def test_lock_step_gives_each_client_the_batches_of_a_plain_loop(sizes, epochs, batch_size, room, rows):
    work = job(sizes, epochs, batch_size, room, rows)
    clients = torch.arange(len(sizes))
    steps = cohort_steps.lock_step(work, clients, torch.float64)
    assert steps.active == sorted(steps.active, reverse=True) and len(steps.active) == len(steps.index)
    for c, n in enumerate(sizes):
        plain = [batch for epoch in work.order[c, :, :n] for batch in epoch.split(batch_size or n)]
        mine = [t for t, a in enumerate(steps.active) if c < a]
        assert len(mine) == len(plain)
        for t, batch in zip(mine, plain, strict=True):
            real = steps.share[t, c] > 0
            assert torch.equal(steps.index[t, c][real] - work.rows[c] * work.x.shape[1], batch)
            assert torch.equal(steps.share[t, c][real], torch.full((len(batch),), 1 / len(batch), dtype=torch.float64))
            own = work.rows[c] * work.x.shape[1]
            assert (steps.index[t, c][~real] == own).all(), "a filled place must not touch another client"


def test_chunks_hold_every_client_once_largest_first_and_fit_the_cache():
    work = job([3, 9, 1, 7, 5], 1, 2)
    bytes_per_client = cohort_steps.CHUNK_BYTES["cpu"] // 2
    groups = cohort_steps.chunks(work, bytes_per_client)
    assert sorted(torch.cat(groups).tolist()) == [0, 1, 2, 3, 4] and max(map(len, groups)) <= 2
    assert all(work.num_examples[g].tolist() == sorted(work.num_examples[g].tolist(), reverse=True) for g in groups)
    assert [len(g) for g in cohort_steps.chunks(work, 10 * cohort_steps.CHUNK_BYTES["cpu"])] == [1] * 5
    assert [len(g) for g in cohort_steps.chunks(work, 1)] == [5]
    assert [len(g) for g in cohort_steps.chunks(work, 1, at_least=2)] == [3, 2]


def test_share_out_does_each_item_once_over_several_threads():
    done, barrier = [], threading.Barrier(3, timeout=10)

    def work(todo):
        barrier.wait()                                                        # only three threads at once get past it
        assert torch.get_num_threads() == 1
        for item in todo:
            done.append(item)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        cohort_steps.share_out(range(100), work, 3)
        assert torch.get_num_threads() == 2, "the caller's setting comes back"
    finally:
        torch.set_num_threads(before)
    assert sorted(done) == list(range(100))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_thread_comes_back(threads):
    def work(todo):
        for item in todo:
            raise ZeroDivisionError(f"item {item}")
    with pytest.raises(ZeroDivisionError, match="item"):
        cohort_steps.share_out([7, 8], work, threads)


def test_cores_is_what_this_process_may_use():
    assert 1 <= cohort_steps.cores(torch.device("cpu")) <= (torch.multiprocessing.cpu_count())
    assert cohort_steps.cores(torch.device("cuda")) == 1
