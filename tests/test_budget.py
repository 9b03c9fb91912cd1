import dataclasses

import numpy as np
import pytest

from odl_kit.budget import BOARDS, Budget, MemoryReport, in_kib


def report(weights=1000, saved=5000, gradients=800, optimizer=0, workspace=200, peak=6500, **more):
    return MemoryReport(weights, saved, gradients, optimizer, workspace, peak, **more)


def test_a_report_that_fits_breaks_no_limit_and_a_limit_is_inclusive():
    assert Budget(flash=1000, sram=6500).check(report()) == ()
    assert Budget().check(report()) == ()


def test_a_broken_limit_is_named_with_how_much_it_is_over():
    over, = Budget(flash=1000, sram=6000).check(report())
    assert (over.term, over.need, over.limit, over.excess) == ("sram", 6500, 6000, 500)
    assert "sram is 0.5 KiB over" in str(over) and "saved_activations" in str(over)


def test_every_broken_limit_is_reported():
    over = Budget(flash=900, sram=1, macs=10, energy_mJ=0.5, link_bytes=7).check(report(), macs=11, energy_mJ=1, link_bytes=7)
    assert [one.term for one in over] == ["flash", "sram", "macs", "energy_mJ"]
    assert "0.5 over: 1 needed, 0.5 allowed" in str(over[3])


def test_a_limit_whose_cost_was_not_given_is_refused():
    with pytest.raises(ValueError, match=r"energy_mJ = 3.*check\(report, energy_mJ="):
        Budget(energy_mJ=3).check(report())


def test_flash_defaults_to_the_weights_and_sram_to_the_peak():
    assert (report().flash, report().sram) == (1000, 6500)
    frozen_in_flash = report(flash=1000, sram=5500)
    assert (frozen_in_flash.flash, frozen_in_flash.sram) == (1000, 5500)


def test_peak_lies_between_the_largest_part_and_the_sum():
    assert report(peak=5000, sram=5000).peak == 5000 and report(peak=7000).peak == 7000
    for peak in (4999, 7001):
        with pytest.raises(ValueError, match=f"peak is {peak} B"):
            report(peak=peak)


def test_the_peak_of_any_life_of_tensors_is_accepted():
    # oracle: tensors with random purpose, size and life; parts and peak counted moment by moment
    rng = np.random.default_rng(0)
    for _ in range(50):
        purpose, size = rng.integers(5, size=20), rng.integers(1, 1000, size=20)
        start, stop = np.sort(rng.integers(30, size=(2, 20)), axis=0)
        held = np.zeros((5, 30), int)
        for p, s, a, b in zip(purpose, size, start, stop, strict=True):
            held[p, a:b + 1] += s
        made = MemoryReport(*held.max(1), peak=held.sum(0).max())
        assert made.peak == held.sum(0).max()


def test_bytes_that_lie_nowhere_are_refused():
    with pytest.raises(ValueError, match="flash 1000 B . sram 5499 B is less than the peak"):
        report(sram=5499)


@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), (1.0, TypeError), (True, TypeError), ("1", TypeError), (None, TypeError)])
def test_a_byte_count_that_is_no_whole_number_is_refused(value, error):
    with pytest.raises(error, match="gradients"):
        report(gradients=value)


def test_numpy_integers_become_plain_ints():
    made = report(weights=np.int64(1000))
    assert type(made.weights) is int and made == report()


def test_a_report_is_frozen_and_prints_aligned_with_kib():
    with pytest.raises(dataclasses.FrozenInstanceError):
        report().peak = 0
    lines = str(report()).splitlines()
    assert len(lines) == 8 and len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["saved_activations", "4.9", "KiB"]


def test_bytes_are_printed_in_powers_of_1024():
    assert [in_kib(n) for n in (0, 1536, 256 * 2**10, 64 * 2**20, 4 * 2**30)] == ["0.0 KiB", "1.5 KiB", "256.0 KiB", "64.0 MiB", "4.0 GiB"]


def test_the_boards_are_the_eight_of_the_course_each_with_a_source():
    assert set(BOARDS) == {"nano33", "rp2040", "esp32", "portenta", "uno_r4", "uno_r3", "pi4", "phone"}
    assert all(board.source and board.clock_hz > 0 and board.fpu in ("single", "double", "") for board in BOARDS.values())
    assert "assumed" in BOARDS["phone"].source and "assumed" in str(BOARDS["phone"])


def test_a_board_gives_what_its_core_leaves_to_a_program():
    # nRF52840: 1 MiB less 64 KiB for the boot loader; STM32H747: the M7's part under the default split
    assert BOARDS["nano33"].budget() == Budget(flash=2**20 - 2**16, sram=2**18)
    assert BOARDS["portenta"].budget() == Budget(flash=3 * 2**18, sram=523_624)
    assert BOARDS["pi4"].budget().flash is None


def test_a_training_step_of_312_kib_is_over_on_the_nano_and_fits_the_esp32():
    made = MemoryReport(9_640, 300_000, 9_640, 0, 100, 319_380)
    over, = BOARDS["nano33"].budget().check(made)
    assert over.excess == 319_380 - 262_144
    assert BOARDS["esp32"].budget().check(made) == ()
