import base64
import io
import re
import wave

import pytest

from odl_kit import viz


def wav(frames=800, rate=16_000):
    """Silence, as the bytes of a WAV file."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"\0\0" * frames)
    return held.getvalue()


def test_each_recording_has_a_player_with_its_name_and_its_own_bytes_and_none_plays_by_itself():
    given = {"ordinary": wav(800), "who <whispers>": wav(1600)}
    figure = viz.sounds(given, title="Two voices")
    players = re.findall(r"<audio controls[^>]*>", figure.html)
    assert len(players) == 2 and "autoplay" not in figure.html and "http" not in figure.html
    assert 'aria-label="who &lt;whispers&gt;"' in players[1] and "<whispers>" not in figure.html
    held = [base64.b64decode(re.search(r'base64,([^"]*)"', player)[1]) for player in players]
    assert held == list(given.values())
    assert figure.title == "Two voices" and "ordinary (0.05 s)" in figure.alt and "0.1 s" in figure.alt


def test_what_is_no_wav_file_is_named():
    with pytest.raises(ValueError, match="german is no WAV file"):
        viz.sounds({"german": b"RIFF nothing"}, title="")
