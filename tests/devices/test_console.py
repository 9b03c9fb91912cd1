"""odl board, as it is called."""
from types import SimpleNamespace

import pytest
import torch

from odl_kit.devices import console


def digits():
    rng = torch.Generator().manual_seed(0)
    y = torch.randint(0, 10, (100,), generator=rng)
    return SimpleNamespace(x=torch.randn(100, 1, 8, 8, generator=rng) + y.view(-1, 1, 1, 1) / 3, y=y)


def run(capsys, *argv):
    status = console.main(argv, digits=digits)
    return status, capsys.readouterr()


def test_list_and_info_name_boards_and_memory(capsys):
    status, said = run(capsys, "list")
    assert status == 0 and "virtual?board=nano33" in said.out and "212.5 KiB" in said.out and "qemu" in said.out
    status, said = run(capsys, "info")
    assert status == 0 and "Cortex-M4F" in said.out and "no program" in said.out


def test_train_says_what_it_was_and_became(capsys):
    status, said = run(capsys, "train", "host", "--lr", "0.02")
    assert status == 0 and "before: accuracy" in said.out and "after:  accuracy" in said.out and "sram" in said.out


@pytest.mark.slow
def test_bench_counts_instructions_and_selftest_passes(capsys):
    status, said = run(capsys, "bench")
    assert status == 0 and "instructions" in said.out and said.out.count("mobile_net") == 2
    again = run(capsys, "bench")[1].out
    assert again == said.out        # counts, not times
    status, said = run(capsys, "selftest")
    assert status == 0 and said.out.count("ok  ") == 6


def test_what_fails_is_one_line_and_status_1(capsys):
    status, said = run(capsys, "info", "/dev/ttyACM97")
    assert status == 1 and said.err.startswith("odl board info: /dev/ttyACM97 cannot be opened")
    with pytest.raises(SystemExit) as caught:
        run(capsys, "paint")
    assert caught.value.code == 2
