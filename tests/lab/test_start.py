import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from odl_kit.lab import ledger, session, start

NO_NETWORK = """
import socket, sys
from odl_kit import lab
lab.start("00_start_here")
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()      # this computer's own
socket.getaddrinfo("localhost", 80)
for reach in (lambda: socket.getaddrinfo("example.org", 80), lambda: socket.create_connection(("192.0.2.1", 9), timeout=1),
              lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9)),
              lambda: __import__("urllib.request").request.urlopen("http://example.org", timeout=1)):
    try:
        reach()
    except Exception as error:
        print("refused" if "labs run offline" in str(error) else f"not ours: {error!r}")
"""


def run(code, **environment):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_card_has_title_minutes_sections_and_what_comes_first(course, capsys):
    start("99_other")
    said = capsys.readouterr().out
    for words in ("99 · Another", "about 40 minutes", "section 12.9", "Summary", "98 A sample"):
        assert words in said
    start("98_sample")
    assert "section 12.1, 12.5" in (said := capsys.readouterr().out) and "nothing" in said and "Your record" not in said


def test_the_generator_and_the_global_seeds_are_the_same_every_time(course):
    def draws(seed):
        rng = start("98_sample", seed=seed)
        return torch.rand(1, generator=rng).item(), torch.rand(1).item(), np.random.rand(), random.random()

    assert draws(0) == draws(0) != draws(1)
    assert draws(3)[0] == torch.rand(1, generator=torch.Generator().manual_seed(3)).item()


def test_one_thread_and_a_new_session(course):
    start("98_sample")
    assert torch.get_num_threads() == 1 and session.current().lab == "98_sample" and session.current().asked == {}


def test_who_comes_back_is_told_what_the_ledger_has(course, capsys):
    ledger.record("98_sample", "predictions", "p", answer="few")
    ledger.record("98_sample", "predictions", "q", skipped=True)
    ledger.record("98_sample", "checks", "mean", passed=True)
    start("98_sample")
    assert "1 prediction, 1 passed check" in capsys.readouterr().out


def test_an_unknown_lab_is_refused_with_the_known_ones(course):
    with pytest.raises(ValueError, match="98_sample, 99_other"):
        start("97_none")


def test_under_test_the_network_is_forbidden_but_not_this_computer(tmp_path):
    said = run(NO_NETWORK, ODL_TEST="1", ODL_LEDGER=str(tmp_path))
    assert said.splitlines()[-4:] == ["refused"] * 4


def test_in_class_no_hook_is_installed(course):
    from odl_kit.lab.start import _forbidden
    start("98_sample")
    assert _forbidden == []


@pytest.mark.parametrize("folder", [True, False])
def test_what_a_lab_costs_is_kept_in_a_file_or_a_folder(course, monkeypatch, folder):
    target = course / "measured"
    if folder:
        target.mkdir()
    monkeypatch.setenv("ODL_MEASURE", str(target))
    start("98_sample")
    found = json.loads((target / "98_sample.json" if folder else target).read_text())
    assert found["lab"] == "98_sample" and found["cpu_s"] > 0 and found["seconds"] > 0 and 20 < found["peak_rss_mb"] < 100_000
