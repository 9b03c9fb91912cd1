import pytest
import torch
from safetensors.torch import load_file, save_file

from odl_kit import cli
from odl_kit.defenses import install

NAMES = ("--model", "digits", "--device-class", "nrf52840")


@pytest.fixture
def odl(tmp_path, monkeypatch, capsys):
    """odl("verify", ...) in an empty folder -> (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        status = cli.main(["update", *map(str, words)])
        return status, *capsys.readouterr()
    return run


@pytest.fixture
def ready(odl):
    """Keys, a device, and weights in a file."""
    save_file({"w": torch.arange(5.0)}, "w.safetensors")
    assert odl("keys", "K")[0] == 0
    assert odl("provision", "D", "--trusted", "K/trusted.pem", *NAMES)[0] == 0
    return odl


def sign(odl, package, version, *names):
    return odl("sign", "w.safetensors", package, "--key", "K/signing.pem", *(names or NAMES), "--version", version)


def test_the_whole_way_from_keys_to_the_erased_device(ready, tmp_path):
    status, out, _ = sign(ready, "p", 1)
    assert status == 0 and out.startswith("signed: p, ") and "version 1 for nrf52840" in out
    before = {path.name: path.read_bytes() for path in (tmp_path / "D").iterdir()}
    status, out, _ = ready("verify", "p", "D")
    assert status == 0 and out.startswith("good: digits version 1") and "counter is 0" in out
    assert {path.name: path.read_bytes() for path in (tmp_path / "D").iterdir()} == before
    assert ready("apply", "p", "D")[0] == 0
    assert torch.equal(install.load("D")[1]["w"], load_file("w.safetensors")["w"])
    status, out, _ = ready("erase", "D")
    assert status == 0 and "Still readable there: model digits, device_class nrf52840, counter 1" in out
    assert not (tmp_path / "D" / "device.key").exists()


def test_verify_and_apply_refuse_alike_in_one_line_and_change_nothing(ready, tmp_path):
    for version in (1, 2):
        sign(ready, f"p{version}", version)
    sign(ready, "elsewhere", 9, "--model", "digits", "--device-class", "rp2040")
    good = (tmp_path / "p2").read_bytes()
    (tmp_path / "altered").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    (tmp_path / "cut").write_bytes(good[:-1])
    ready("apply", "p2", "D")
    before = {path.name: path.read_bytes() for path in (tmp_path / "D").iterdir()}
    for package, says in (("p2", "replay"), ("p1", "roll-back"), ("elsewhere", "device class rp2040"), ("altered", ""), ("cut", "")):
        for command in ("verify", "apply"):
            status, out, err = ready(command, package, "D")
            assert (status, out) == (1, "") and err.startswith(f"odl update {command}: REFUSED: ") and says in err and err.count("\n") == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "D").iterdir()} == before


def test_an_altered_or_cut_package_is_named_on_a_device_that_would_take_it(ready, tmp_path):
    sign(ready, "p", 1)
    good = (tmp_path / "p").read_bytes()
    for bad, says in ((good[:-1] + bytes([good[-1] ^ 1]), "SHA-256"), (good[:-1], "truncated"), (b"", "no update package")):
        (tmp_path / "bad").write_bytes(bad)
        status, _, err = ready("apply", "bad", "D")
        assert status == 1 and says in err


def test_a_file_of_torch_save_is_not_opened_and_the_way_out_is_said(ready, tmp_path):
    torch.save({"w": torch.zeros(3)}, tmp_path / "w.safetensors")
    status, _, err = sign(ready, "p", 1)
    assert status == 1 and "is a pickle" in err and "save_file" in err and not (tmp_path / "p").exists()


def test_erase_leaves_alone_what_is_no_device(odl, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "device.key").write_bytes(b"something else")
    assert odl("erase", "mine")[0] == 1
    assert (tmp_path / "mine" / "device.key").read_bytes() == b"something else"


def test_nothing_is_written_over(ready, tmp_path):
    sign(ready, "p", 1)
    before = (tmp_path / "p").read_bytes()
    assert sign(ready, "p", 2)[0] == 1 and (tmp_path / "p").read_bytes() == before
    assert ready("keys", "K")[0] == 1
    assert ready("provision", "D", "--trusted", "K/trusted.pem", *NAMES)[0] == 1


@pytest.mark.parametrize("words, says", [
    (("verify", "missing", "D"), "missing"), (("apply", "w.safetensors", "nowhere"), "nowhere is no whole device"),
    (("erase", "nowhere"), "nowhere is no whole device"), (("provision", "E", "--trusted", "K/signing.pem", *NAMES), "trusted.pem"),
    (("sign", "w.safetensors", "p", "--key", "K/trusted.pem", *NAMES, "--version", "1"), "signing.pem"),
    (("sign", "w.safetensors", "p", "--key", "K/signing.pem", *NAMES, "--version", "0"), "version is 0"),
    (("sign", "w.safetensors", "p", "--key", "K/signing.pem", "--model", "a b", "--device-class", "x", "--version", "1"),
     "model is 'a b'")])
def test_what_is_not_possible_is_status_1_and_one_line(ready, words, says):
    status, out, err = ready(*words)
    assert (status, out) == (1, "") and says in err and err.count("\n") == 1 and err.startswith(f"odl update {words[0]}: ")


@pytest.mark.parametrize("words", [(), ("burn",), ("sign", "w", "p"), ("apply", "p"),
                                   ("sign", "w", "p", "--key", "k", *NAMES, "--version", "one")])
def test_a_wrong_command_line_is_status_2(odl, words):
    with pytest.raises(SystemExit) as end:
        odl(*words)
    assert end.value.code == 2


@pytest.mark.parametrize("command", ["", "keys", "provision", "sign", "verify", "apply", "erase"])
def test_every_command_has_help(odl, capsys, command):
    with pytest.raises(SystemExit) as end:
        odl(*filter(None, [command]), "--help")
    assert end.value.code == 0 and f"usage: odl update {command}".strip() in capsys.readouterr().out
