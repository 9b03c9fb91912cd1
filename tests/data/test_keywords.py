import importlib.util
import subprocess
import wave

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from odl_kit import home
from odl_kit.data import cards, datasets


@pytest.fixture(scope="module")
def data():
    return datasets.load("keywords")


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_keywords", home() / "datasets" / "keywords" / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_speaker_says_every_word_in_as_many_takes_as_the_card_says(data):
    assert data.x.shape == (6216, 1, 49, 10) and len(data.classes) == 12 and len(data.user.unique()) == 56
    for group, takes in ("train", 7), ("unseen", 7), ("outlier", 16):
        part = data.group(group)
        counts = np.zeros((56, 12, takes), int)
        np.add.at(counts, (part.user, part.y, part.time), 1)
        assert (counts[list(data.groups[group])] == 1).all() and counts.sum() == len(part)


def test_the_groups_share_no_speaker_and_cover_all(data):
    main = [user for name in ("train", "unseen", "outlier") for user in data.groups[name]]
    assert sorted(main) == list(range(56)) == sorted([*range(42), *data.groups["accent"], *data.groups["voice"]])
    names = cards.read("keywords")["users"]
    assert len(set(names)) == 56 and names[42] == "scotland" and names[50] == "whisper"


def test_a_group_that_is_not_there_lists_the_known_ones(data):
    with pytest.raises(ValueError, match="no group 'robots': known are train, unseen, outlier, accent, voice"):
        data.group("robots")


def test_no_clip_occurs_twice(data):
    assert len(np.unique(data.x.flatten(1).numpy(), axis=0)) == len(data)


def test_the_features_are_in_standard_deviations_of_the_ordinary_speakers(data):
    ordinary = data.subset(data.user < 42).x
    assert np.allclose(ordinary.mean((0, 1, 2)), 0, atol=0.02) and np.allclose(ordinary.std((0, 1, 2)), 1, atol=0.02)
    assert data.x.abs().max() <= 4.001


def test_a_linear_model_knows_unseen_speakers_and_is_far_worse_on_the_outliers(data):
    train = data.group("train")
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(train.x.flatten(1), train.y)

    def score(group):
        part = data.group(group)
        return model.score(part.x.flatten(1), part.y)
    assert score("unseen") > 0.5        # measured 0.74; chance is 0.08
    assert score("unseen") - max(score("accent"), score("voice")) > 0.1         # measured 0.20 and 0.43
    assert min(score("accent"), score("voice")) > 0.16


def test_the_card_says_that_the_speech_is_synthetic_and_the_outliers_were_chosen():
    card = cards.read("keywords")
    assert card["synthetic"] and card["needs"] == ["espeak-ng"]
    for words in "SYNTHETIC SPEECH", "GROUPS WERE CHOSEN BY RESULT", "how the set was designed, not a", "GPL-3.0-or-later":
        assert words in card["notes"]


def test_a_tone_lands_in_the_band_that_holds_it_and_twice_the_amplitude_adds_log_4(make):
    corners = 700 * (10 ** (np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7600 / 700), 12) / 2595) - 1)
    seconds = np.arange(make.RATE) / make.RATE
    for band, hertz in enumerate(corners[1:-1]):
        tone = np.sin(2 * np.pi * hertz * seconds)
        quiet, loud = make.log_mel(tone, make.mel_bank()), make.log_mel(2 * tone, make.mel_bank())
        assert quiet.shape == (49, 10) and (quiet.argmax(1) == band).all()
        assert np.allclose((loud - quiet)[:, band], np.log(4), atol=1e-5)


def test_a_clip_keeps_the_word_whole_and_between_9_and_31_db_above_the_noise(make):
    word = make.level(np.sin(np.arange(8000)))
    for number in range(20):
        rng = np.random.default_rng(number)
        quiet = make.place(np.zeros_like(word), np.random.default_rng(number), [word])
        clip = make.place(word, rng, [word])
        spoken = clip - quiet                       # the same noise and gain without the word
        assert np.count_nonzero(np.abs(spoken) > 1e-12) > 7990
        assert 8.9 < 20 * np.log10(np.sqrt(np.mean(spoken[spoken != 0] ** 2) / np.mean(quiet ** 2))) < 31.2


def test_the_wav_files_are_small_and_can_be_heard():
    paths = sorted((home() / "datasets" / "keywords" / "wav").glob("*.wav"))
    assert len(paths) == 6 and sum(path.stat().st_size for path in paths) < 300_000
    for path in paths:
        with wave.open(str(path)) as file:
            assert file.getparams()[:3] == (1, 2, 16_000)
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert path.name.startswith("no_") and 0.25 < len(samples) / 16_000 < 1 and np.abs(samples).max() == 20_000


def test_espeak_ng_says_the_wav_files_again(make, need_tool, monkeypatch, tmp_path):
    tool = need_tool("espeak-ng", hint="apt-get install espeak-ng")
    version = subprocess.run([tool, "--version"], capture_output=True, text=True).stdout
    if ": 1.51 " not in version:
        pytest.skip(f"the set was made with espeak-ng 1.51, here is {version.strip()}")
    stored = {path.name: path.read_bytes() for path in (home() / "datasets" / "keywords" / "wav").glob("*.wav")}
    monkeypatch.setattr(make, "__file__", str(tmp_path / "make.py"))
    make.write_wavs()
    assert {path.name: path.read_bytes() for path in (tmp_path / "wav").glob("*.wav")} == stored
