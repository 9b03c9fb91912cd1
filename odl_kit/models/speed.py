"""How long nets take, measured here: one stopwatch for all of them, which counts this process's work and not its waiting."""
import time

import torch


@torch.no_grad()
def milliseconds(nets, x, *, repeats=20):
    """{name: milliseconds of processor time of net(x)}, the least of `repeats` runs in which the nets take turns, after one to warm up.

    nets: {name: module}. x: (N, ...), on which all can run. In evaluation mode, without gradients; each mode is put back.
    The least of many runs is the one that was disturbed least; with one thread (a lab has one) it is the time on a clock that nothing else
    disturbs. It is PyTorch's time on this computer, not a board's.
    Raises ValueError for repeats below 1.
    """
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}: run each net at least once")
    modes = {net: net.training for net in nets.values()}
    best = dict.fromkeys(nets, float("inf"))
    try:
        for turn in range(repeats + 1):
            for name, net in nets.items():
                start = time.process_time()
                net.eval()(x)
                if turn:
                    best[name] = min(best[name], 1000 * (time.process_time() - start))
    finally:
        for net, mode in modes.items():
            net.train(mode)
    return best
