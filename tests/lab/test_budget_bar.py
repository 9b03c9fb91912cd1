import pytest

from odl_kit.budget import BOARDS, Board, MemoryReport
from odl_kit.lab import budget_bar
from odl_kit.lab.budget_bar import verdict

KB = 1024


def report(sram, flash=9 * KB):
    return MemoryReport(9 * KB, saved_activations=0, gradients=0, optimizer=0, workspace=sram, peak=sram + 9 * KB, flash=flash, sram=sram)


def test_what_fits_says_how_much_is_free_and_has_no_hatch():
    figure = budget_bar(report(216 * KB), "nano33")
    assert "fits, 40.0 KiB free" in figure.html and "OVER" not in figure.html and "repeating-linear-gradient" not in figure.html
    assert figure.alt == "flash: 9.0 KiB of 960.0 KiB, fits, 951.0 KiB free; SRAM: 216.0 KiB of 256.0 KiB, fits, 40.0 KiB free."


def test_what_does_not_fit_is_said_in_words_hatched_and_marked_at_the_limit_and_comes_back():
    figure = budget_bar(report(320 * KB), BOARDS["nano33"])
    assert "OVER by 64.0 KiB" in figure.html and "repeating-linear-gradient" in figure.html and "left:80.0%" in figure.html
    assert "too little SRAM" in figure.title and "OVER" in figure.alt
    assert "OVER" not in budget_bar(report(100 * KB), "nano33").html


@pytest.mark.parametrize(("used", "words"), [(256 * KB, "fits, 0.0 KiB free"), (257 * KB, "OVER by 1.0 KiB"),
                                             (0, "fits, 256.0 KiB free")])
def test_the_limit_itself_still_fits(used, words):
    assert verdict(used, 256 * KB) == words


def test_a_board_with_a_card_has_no_limit_on_storage():
    card = Board("A computer", None, 64 * KB, 10**9, "double", source="made up")
    assert "fits on a card" in budget_bar(report(32 * KB), card).alt and budget_bar(report(32 * KB), card).title == "A computer: it fits"


def test_flash_and_sram_are_both_judged():
    assert "too little flash and SRAM" in budget_bar(report(99 * KB, flash=99 * KB), "uno_r3").title


def test_the_numbers_behind_the_bars_are_the_parts_in_bytes():
    assert "221,184 B" in budget_bar(report(216 * KB), "nano33").table and "peak" in budget_bar(report(216 * KB), "nano33").table


def test_an_unknown_board_is_refused_with_the_known_ones():
    with pytest.raises(KeyError, match="nano33"):
        budget_bar(report(1), "nano34")
