"""What each pass of the engine makes of a training step, in bytes, for four standard nets: arenas, bounds, and how near the packer comes.

Batch 1, images of 16x16 with one channel, ten classes; first weights from seed 0, and of the integers the ranges of 64 random images. Bytes
do not depend on the weights. Plans: everything, the head, all biases and the head, and a sparse one (biases of the last half of the
convolutions; of the weights of every other one of these, and of the head, all or half of the input channels). The packer draws from a seed:
the arena is given for five of them. A test (tests/engine/test_pack.py) fails if one of these nets grows by 3 % over what is recorded here.

    python benchmarks/engine.py           prints a table, writes benchmarks/results/engine.json (half a minute)
"""
import argparse

import torch

from odl_kit.engine import pack, program
from odl_kit.learners import plan
from odl_kit.models import layers, nets, quantize

seed = torch.Generator().manual_seed
SEEDS = range(5)
NETS = {"mlp": lambda: nets.mlp(256, 32, 10, rng=seed(0)), "tiny_cnn": lambda: nets.tiny_cnn(1, 10, rng=seed(0)),
        "ds_cnn": lambda: nets.ds_cnn(1, 10, norm=None, rng=seed(0)), "mobile_net": lambda: nets.mobile_net(1, 10, norm=None, rng=seed(0))}


def sparse(net):
    """The sparse plan of the table."""
    convs = [layer for layer in layers.trace(net, torch.zeros(1, 1, 16, 16)) if layer.kind == "conv"]
    late = convs[len(convs) // 2:]
    some = {layer.name: layer.c_in // 2 or 1 for layer in late[::2]}
    return plan.UpdatePlan({layer.name for layer in late} | {"head"}, some | plan.head_only(net).channels)


PLANS = {"full": plan.full, "head_only": plan.head_only, "bias_only": plan.bias_only, "sparse": sparse}


def cases():
    """Yields (net's name, precision, plan's name, function of a packer seed -> Program)."""
    x = torch.rand(64, 1, 16, 16, generator=seed(1))
    for name, make in NETS.items():
        for precision in ("float32", "int8"):
            net = make() if precision == "float32" else quantize.quantize_model(make(), x)
            for plan_name, of in PLANS.items():
                yield name, precision, plan_name, lambda seed, net=net, of=of, precision=precision: program.compile(
                    net, x, of(net), precision=precision, seed=seed)


def figures(made):
    """The bytes of one Program: of each pass, of its parts, pushed and in flash."""
    return {"passes": {stage.name: {"ops": stage.ops, "arena": stage.arena_bytes, "bound": stage.bound} for stage in made.passes},
            "constants": made.const_bytes, "state": made.state_bytes, "bytes": made.nbytes, "pushed_sram": made.report.sram,
            "flash_sram": made.flash_report.sram}


def main():
    import record
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    found = {}
    passes = ("autodiff", "prune", "reorder", "in place", "pack")
    head = "".join(f"{name:>10}" for name in (*passes, "bound"))
    print(f"{'net':<12}{'precision':<10}{'plan':<10}{head}   ratio    pushed  in flash")
    for name, precision, plan_name, make in cases():
        tried = [make(s) for s in SEEDS]
        row = found.setdefault(name, {}).setdefault(precision, {})[plan_name] = figures(tried[0])
        row["arena_by_seed"] = [made.arena_bytes for made in tried]
        least = pack.bound(tried[0])
        arenas = [row["passes"][key]["arena"] for key in passes]
        print(f"{name:<12}{precision:<10}{plan_name:<10}" + "".join(f"{a:>10,}" for a in arenas)
              + f"{least:>10,}{max(row['arena_by_seed']) / least:>8.3f}{row['pushed_sram']:>10,}{row['flash_sram']:>10,}")
    record.write("engine", nets=found, seeds=list(SEEDS))


if __name__ == "__main__":
    main()
