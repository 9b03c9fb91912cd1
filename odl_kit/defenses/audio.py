"""Integrity of audio before a model learns from it: is the recording whole, and are these the labelled clips that the recorder wrote?

Two questions, two answers. `faults` looks at the signal and finds broken recordings, not liars. `tags` and `first_break` find whoever
alters, reorders, drops, inserts or relabels a clip between recorder and learner, and say nothing about what was played into the microphone.
"""
import hashlib
import hmac

import torch

START = b"odl audio chain, version 1"


def faults(clips, *, clipped=0.01, offset=0.05, quiet=1e-3, stuck=32):
    """What is wrong with each of clips (N, T) float in [-1, 1] -> {row: [sentence, ...]}, sound rows left out.

    clipped: largest share of samples at the rails (|x| >= 0.999). offset: largest |mean|. quiet: smallest root mean square about the mean.
    stuck: length of a run of equal samples off the rails that is a drop-out (32 samples are 2 ms at 16 kHz). A copy of an earlier clip, bit
    for bit, is a fault too: no room sounds the same twice. Raises ValueError unless clips are (N, T) floats with T >= 2.
    """
    if clips.dim() != 2 or clips.shape[1] < 2 or not clips.is_floating_point():
        raise ValueError(f"clips {tuple(clips.shape)} {clips.dtype}: give (N, T) floats, one row a clip, two samples or more")
    mean, rail = clips.mean(1), clips.abs() >= 0.999
    rms = (clips - mean[:, None]).square().mean(1).sqrt()
    run, loud, earlier, found = _longest_run(clips, rail), rail.float().mean(1), {}, {}
    for row, clip in enumerate(clips):
        first = earlier.setdefault(clip.double().numpy().tobytes(), row)
        if not torch.isfinite(clip).all():
            found[row] = ["nan or infinite samples"]      # the other figures mean nothing then
            continue
        peak = float(clip.abs().max())
        wrong = [(peak > 1, f"samples up to {peak:.3g}, full scale is 1"),
                 (loud[row] > clipped, f"{loud[row]:.1%} of the samples are clipped, limit {clipped:.1%}"),
                 (mean[row].abs() > offset, f"mean {mean[row]:.3f}, limit {offset}: a constant offset"),
                 (rms[row] < quiet, f"root mean square {rms[row]:.2g}, at least {quiet}: silence"),
                 (run[row] >= stuck, f"{int(run[row])} equal samples in a row, limit {stuck - 1}: a drop-out"),
                 (first != row, f"the same as clip {first}, bit for bit")]
        if any(is_wrong for is_wrong, _ in wrong):
            found[row] = [sentence for is_wrong, sentence in wrong if is_wrong]
    return found


def tags(clips, labels, key):
    """The recorder's chain: a list of N tags, 32 bytes each, over clips (N, T) and labels (N,) int64. key: at least 16 secret bytes.

    tag_i = HMAC-SHA256(key, tag_{i-1} | label | dtype and length | samples), so order counts. Source: RFC 2104.
    """
    if len(key) < 16:
        raise ValueError(f"a key of {len(key)} B: give at least 16 random bytes that only recorder and learner know")
    chain = [START]
    for clip, label in zip(clips, labels.tolist(), strict=True):
        about = f"|{label}|{clip.dtype}|{len(clip)}|".encode()
        chain.append(hmac.new(key, chain[-1] + about + clip.contiguous().numpy().tobytes(), hashlib.sha256).digest())
    return chain[1:]


def first_break(clips, labels, chain, key, *, count):
    """The row where the chain first fails, or None: rows before it are exactly what the recorder wrote, from the first one on.

    count: how many clips the recorder says it has written, by another way; a chain cut at its end is whole in itself, so that a missing end
    is row len(clips). A longer one breaks at row count.
    """
    whole = min(len(clips), len(labels), len(chain), count)
    for row, (mine, theirs) in enumerate(zip(tags(clips[:whole], labels[:whole], key), chain, strict=False)):
        if not hmac.compare_digest(mine, theirs):
            return row
    return None if whole == max(len(clips), len(labels), len(chain), count) else whole


def _longest_run(clips, rail):
    """(N,) int64: the longest run of equal neighbours in each row, not counting runs at the rails (those are clipping)."""
    same = (clips[:, 1:] == clips[:, :-1]) & ~rail[:, 1:]
    steps = same.long().cumsum(1)
    # what had been counted when the run was last broken is taken away
    before = torch.where(same, 0, steps).cummax(1).values
    return (steps - before).amax(1) + 1
