"""What one frame cannot hold, in pieces, with a bar when it takes long. ask(kind, payload) -> payload is one request with its reply."""
import struct

from tqdm.auto import tqdm

WHOLE_STATE = 0xFFFF    # in read and write: all that learns, as one block


def load(ask, payload, data, arena_bytes):
    """Send the bytes of a Program and have the board check them."""
    ask("load_begin", struct.pack("<II", len(data), arena_bytes))
    for at, n in spans(len(data), payload - 4, "loading"):
        ask("load_chunk", struct.pack("<I", at) + data[at:at + n])
    ask("load_end")


def read(ask, payload, number, size, what=None):
    """`size` bytes of tensor `number`. what: title of the bar, None: no bar."""
    return b"".join(ask("read", struct.pack("<HHII", number, 0, at, n)) for at, n in spans(size, payload, what))


def write(ask, payload, number, data, what=None):
    """Write tensor `number`: input, labels, one that learns, or WHOLE_STATE."""
    for at, n in spans(len(data), payload - 8, what):
        ask("write", struct.pack("<HHI", number, 0, at) + data[at:at + n])


def run(ask, payload, kind, head, batches, answer_bytes, program):
    """Train, predict or evaluate on batches; yields the payloads of the answers.

    batches: list of bytes, the input tensor and, but for predict, the labels behind it. head: bytes that precede them in every frame.
    answer_bytes: the answer to one batch. As many batches go into a frame as it and its answer can hold; a larger batch goes in pieces.
    """
    room, size = payload - len(head), len(batches[0]) if batches else 0
    many = min(room // size if size else 1, payload // answer_bytes)
    with tqdm(total=len(batches), desc=kind, unit="batch", delay=1, leave=False) as bar:
        for at in range(0, len(batches), max(many, 1)):
            part = batches[at:at + max(many, 1)]
            yield ask(kind, head + b"".join(part)) if many else _in_pieces(ask, payload, kind, head, part[0], answer_bytes, program)
            bar.update(len(part))


def _in_pieces(ask, payload, kind, head, batch, answer_bytes, program):
    cut = program.tensors[program.input].nbytes
    write(ask, payload, program.input, batch[:cut])
    if kind != "predict":
        write(ask, payload, program.labels, batch[cut:])
    answer = ask(kind, head)
    return answer if kind != "predict" else read(ask, payload, program.logits, answer_bytes)


def spans(size, room, what):
    """(offset, count) of the pieces of `size` bytes that fit into `room`, multiples of 4 but the last."""
    step = room // 4 * 4
    with tqdm(total=size, desc=what, unit="B", unit_scale=True, delay=1, leave=False, disable=what is None) as bar:
        for at in range(0, size, step):
            n = min(step, size - at)
            yield at, n
            bar.update(n)
