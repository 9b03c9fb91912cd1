"""sounds: short recordings to listen to, a player for each, inside the page: nothing is loaded from elsewhere."""
import base64
import html
import io
import wave

from odl_kit.viz.page import frame, number


def sounds(recordings, *, title, alt=None):
    """A player for each recording. recordings: {name: bytes of a WAV file}. Nothing plays by itself. Returns a Figure.

    The names stand beside the players and are what a screen reader says. Raises ValueError that names what is no WAV file.
    """
    rows, told = "", []
    for name, data in recordings.items():
        seconds = _seconds(name, data)
        told.append(f"{name} ({number(seconds)} s)")
        link = f"data:audio/wav;base64,{base64.b64encode(data).decode()}"
        rows += (f'<div>{html.escape(str(name))}</div>'
                 f'<audio controls preload="metadata" aria-label="{html.escape(str(name))}" src="{link}" '
                 'style="height:36px;width:100%;max-width:340px"></audio>')
    body = f'<div style="display:grid;grid-template-columns:auto 1fr;gap:6px 14px;align-items:center">{rows}</div>'
    return frame(title, body, alt or f"{len(recordings)} recordings to listen to: {', '.join(told)}.")


def _seconds(name, data):
    try:
        with wave.open(io.BytesIO(data)) as file:
            return file.getnframes() / file.getframerate()
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{name} is no WAV file ({error}): read it as bytes, path.read_bytes()") from None
