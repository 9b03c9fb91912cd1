import itertools
import math
import wave

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import odl_kit
from odl_kit.defenses import audio

KEY = bytes(range(32))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tones(n=3, samples=1600):
    """n sounding clips: a tone each, with a little noise."""
    t = torch.arange(samples) / 16000
    clean = torch.stack([0.3 * torch.sin(2 * math.pi * 200 * (k + 1) * t) for k in range(n)])
    return clean + 0.01 * torch.randn(n, samples, generator=seeded())


def test_the_spoken_words_of_the_course_are_sound():
    for path in sorted((odl_kit.home() / "datasets" / "keywords" / "wav").glob("*.wav")):
        with wave.open(str(path)) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        assert audio.faults(torch.from_numpy(samples)[None]) == {}, path


def broken(row):
    clip = tones()[row].clone()
    return {"nan": lambda: clip.index_fill(0, torch.tensor([5]), float("nan")), "infinite": lambda: clip / 0,
            "full scale is 1": lambda: clip * 5, "clipped": lambda: (clip * 10).clamp(-1, 1), "constant offset": lambda: clip + 0.2,
            "silence": lambda: clip * 1e-3, "drop-out": lambda: torch.cat([clip[:700], torch.zeros(40), clip[740:]])}


@pytest.mark.parametrize("fault", [*broken(1)])
def test_each_fault_is_found_in_the_clip_that_has_it_and_in_no_other(fault):
    clips = tones()
    clips[1] = broken(1)[fault]()
    found = audio.faults(clips)
    assert [*found] == [1] and any(fault in sentence for sentence in found[1])


def test_a_copy_of_an_earlier_clip_is_found_and_a_nearly_equal_one_is_not():
    clips = tones(4)
    clips[3] = clips[0]
    clips[2] = clips[0] + 1e-4
    assert audio.faults(clips) == {3: ["the same as clip 0, bit for bit"]}


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=12, max_size=12), min_size=1, max_size=4))
def test_the_longest_run_is_the_one_that_itertools_counts(rows):
    clips = torch.tensor(rows)
    want = [max([1, *(len([*run]) for value, run in itertools.groupby(row) if abs(value) < 1)]) for row in rows]
    assert audio._longest_run(clips, clips.abs() >= 0.999).tolist() == want


def test_a_limit_is_met_from_the_side_that_the_docstring_says():
    clips = tones(1)
    clips[0, 100:131] = 0.25
    assert audio.faults(clips) == {}
    clips[0, 131] = 0.25
    assert audio.faults(clips) == {0: ["32 equal samples in a row, limit 31: a drop-out"]}
    assert audio.faults(clips, stuck=33) == {}


def test_what_is_no_batch_of_floats_is_an_error():
    for clips in (torch.zeros(5), torch.zeros(2, 1), torch.zeros(2, 50, dtype=torch.int16)):
        with pytest.raises(ValueError, match=r"give \(N, T\) floats"):
            audio.faults(clips)


def chain(n=4):
    clips, labels = tones(n, 50), torch.arange(n) % 3
    return clips, labels, audio.tags(clips, labels, KEY)


def test_a_whole_chain_has_no_break_and_its_start_can_be_judged_alone():
    clips, labels, tags = chain()
    assert audio.first_break(clips, labels, tags, KEY, count=4) is None
    assert audio.first_break(clips[:2], labels[:2], tags[:2], KEY, count=2) is None
    assert audio.first_break(clips[:0], labels[:0], [], KEY, count=0) is None


def test_a_tag_is_the_hmac_of_another_library():
    hmac = pytest.importorskip("Crypto.Hash.HMAC")
    from Crypto.Hash import SHA256
    clips, labels, tags = chain(2)
    before = b"odl audio chain, version 1"
    for clip, label, tag in zip(clips, labels.tolist(), tags, strict=True):
        before = hmac.new(KEY, before + f"|{label}|torch.float32|50|".encode() + clip.numpy().tobytes(), SHA256).digest()
        assert tag == before


def test_one_sample_altered_anywhere_breaks_the_chain_at_its_clip():
    clips, labels, tags = chain()
    for row, sample in itertools.product(range(4), range(50)):
        altered = clips.clone()
        altered[row, sample] = torch.nextafter(altered[row, sample], torch.tensor(9.0))
        assert audio.first_break(altered, labels, tags, KEY, count=4) == row


def test_every_other_manipulation_breaks_it_where_it_begins():
    clips, labels, tags = chain()
    relabelled = labels.clone()
    relabelled[2] = 0
    swap, twice, without = [0, 2, 1, 3], [0, 1, 1, 2, 3], [0, 1, 3]
    assert audio.first_break(clips, relabelled, tags, KEY, count=4) == 2
    for order, where in ((swap, 1), (twice, 2), (without, 2)):
        assert audio.first_break(clips[order], labels[order], [tags[i] for i in order], KEY, count=4) == where
    for cut in range(4):                                                            # the end cut off, tags and all
        assert audio.first_break(clips[:cut], labels[:cut], tags[:cut], KEY, count=4) == cut
    assert audio.first_break(clips, labels, tags[:3], KEY, count=4) == 3
    assert audio.first_break(clips, labels, tags, KEY, count=3) == 3                # one that the recorder has not counted
    assert audio.first_break(clips.double(), labels, tags, KEY, count=4) == 0
    assert audio.first_break(clips, labels, tags, KEY[::-1], count=4) == 0
    for row, position in itertools.product(range(4), range(32)):
        forged = [*tags]
        forged[row] = tags[row][:position] + bytes([tags[row][position] ^ 1]) + tags[row][position + 1:]
        assert audio.first_break(clips, labels, forged, KEY, count=4) == row


def test_a_short_key_is_an_error():
    clips, labels, _ = chain()
    with pytest.raises(ValueError, match="a key of 15 B"):
        audio.tags(clips, labels, KEY[:15])
