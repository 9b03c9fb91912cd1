"""`odl board`: which boards are there, what is on one, does it compute the right bits, train on it, how many instructions a step takes."""
import argparse
import sys
from contextlib import nullcontext

import torch

from odl_kit.budget import BOARDS, in_kib
from odl_kit.devices import links, selftest
from odl_kit.engine import program
from odl_kit.learners import plan
from odl_kit.models import nets, quantize

HELP = """A board is "virtual" (the default), "virtual?board=uno_r4", "host" (this computer), "qemu", or a serial port: /dev/ttyACM0, COM5.

  odl board list                      the boards that are plugged in, and the virtual ones
  odl board info [BOARD]              its memory, and what is loaded
  odl board selftest [BOARD]          does it compute the very bits that NumPy does?
  odl board train [BOARD]             train a small net on digits, from the first example to the last
  odl board bench [BOARD]             what one step of training costs, for three nets

Exit status: 0 done, 1 failed (the reason is one line), 2 a wrong command line."""
NETS = {"mlp": lambda rng: nets.mlp(64, 32, 10, rng=rng), "tiny_cnn": lambda rng: nets.tiny_cnn(1, 10, rng=rng),
        "mobile_net": lambda rng: nets.mobile_net(1, 10, norm=None, rng=rng)}


def main(argv, *, digits):
    """Run one of the commands; returns its exit status. digits() -> a data set with x (N, 1, 8, 8) and y (N,): no room imports data."""
    parser = argparse.ArgumentParser(prog="odl board", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, run in COMMANDS.items():
        one = commands.add_parser(name, help=run.__doc__.splitlines()[0], description=run.__doc__)
        if run is not _list:
            one.add_argument("board", nargs="?", default="virtual")
        if run in (_train, _bench):
            one.add_argument("--precision", choices=("int8", "float32"), default="int8")
        if run is _train:
            one.add_argument("--net", choices=tuple(NETS), default="mlp")
            one.add_argument("--lr", type=float, default=0.05)
    args = parser.parse_args(argv)
    args.digits = digits
    try:
        return COMMANDS[args.command](args)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        print(f"odl board {args.command}: {error}", file=sys.stderr)
        return 1


def _open(url):
    from odl_kit.devices import board  # here, so that a package that is missing becomes one line and not a traceback
    return board.open_board(url)


def _list(args):
    """The boards that are plugged in, and those that need no hardware."""
    try:
        for port in links.list_boards():
            print(port)
    except ImportError as error:
        print(f"serial ports: {error}")
    from odl_kit.devices.virtual import MODELS
    for name in MODELS:
        room = BOARDS[name].budget().sram - BOARDS[name].core_sram
        print(f"{f'virtual?board={name}':<24} {in_kib(room)} of memory, as on {BOARDS[name].title}")
    print(f"{'host':<24} this computer, with a C compiler\n{'qemu':<24} the virtual board's firmware in QEMU")
    return 0


def _info(args):
    """What a board says of itself."""
    with _open(args.board) as device:
        print(device.info())
    return 0


def _selftest(args):
    """Train small nets on the board and in NumPy, and compare every bit."""
    with _open(args.board) as device:
        checks = []
        for check in selftest.run(device):
            print(check, flush=True)
            checks.append(check.ok)
    return 0 if all(checks) else 1


def _train(args):
    """Train a net on digits: four of five examples in their order, the others to test."""
    data = args.digits()
    cut = len(data.y) * 4 // 5
    with _open(args.board) as device:
        device.load(_program(args.net, args.precision, data.x, None))
        print(f"before: {_score(device, data, cut)}")
        losses = device.train(data.x[:cut], data.y[:cut], lr=args.lr)
        for at in range(0, cut, max(1, cut // 8)):
            print(f"steps {at:>5} to {min(at + cut // 8, cut):>5}: mean loss {losses[at:at + cut // 8].mean():.3f}")
        print(f"after:  {_score(device, data, cut)}\n{device.memory()}")
    return 0


def _bench(args):
    """Instructions (on the virtual board) or clock ticks of one step of training, for three nets and two plans."""
    data = args.digits()
    print(f"{'net':<12}{'plan':<8}{'blob':>12}{'arena':>12}{'step':>14}{'forward':>14}")
    with _open(args.board) as device:
        counting = device.link.machine.counting() if hasattr(device.link, "machine") else nullcontext()
        with counting:
            for name in NETS:
                for what, make in (("all", plan.full), ("head", plan.head_only)):
                    made = _program(name, args.precision, data.x, make)
                    device.load(made).train(data.x[:1], data.y[:1], lr=0.01)
                    step, (_, hz) = device.ticks()[0], device.ticks()
                    device.predict(data.x[:1])
                    print(f"{name:<12}{what:<8}{in_kib(made.nbytes):>12}{in_kib(made.arena_bytes):>12}{step:>14,}{device.ticks()[0]:>14,}")
    unit = "instructions" if hasattr(device.link, "machine") else f"ticks of {hz:,} Hz" if hz else "no clock on this board"
    print(f"step, forward: {unit}; {args.precision}, batch 1, examples of 8x8")
    return 0


def _program(name, precision, x, make):
    net = NETS[name](torch.Generator().manual_seed(0))
    ready = net if precision == "float32" else quantize.quantize_model(net, x[:64])
    return program.compile(ready, x, make and make(ready), precision=precision)


def _score(device, data, cut):
    found = device.evaluate(data.x[cut:], data.y[cut:])
    return f"accuracy {found['accuracy']:.3f}, loss {found['loss']:.3f} on {len(data.y) - cut} test examples"


COMMANDS = {"list": _list, "info": _info, "selftest": _selftest, "train": _train, "bench": _bench}
