"""Checks and quizzes of lab 24. Judging uses NumPy and plain numbers."""
import numpy as np
import torch

from odl_kit.lab.judging import Check, Quiz, close


def requantize_cases(rng):
    """Accumulators drawn afresh, some beyond the clamp; then halves, which go to the even neighbour."""
    for shape in ((5,), (3, 4), (2, 3, 3, 2)):
        acc = torch.randint(-9000, 9000, shape, generator=rng, dtype=torch.int32)
        yield acc, 0.01 + 0.02 * float(torch.rand(1, generator=rng)), int(torch.randint(-20, 20, (1,), generator=rng))
    yield torch.tensor([-5, -3, -1, 1, 3, 5, 100_000, -100_000], dtype=torch.int32), 0.5, 3


def requantize_judge(case, output):
    acc, m, z = case
    expected = np.clip(np.rint(np.asarray(acc, np.float32) * np.float32(m)) + z, -128, 127).astype(np.int8)
    if type(output) is np.ndarray and output.dtype != np.int8 and output.dtype.kind in "iuf":
        return f"expected an int8 tensor, got {output.dtype}: end with .to(torch.int8), after the clamp"
    return close(output, expected)


def stack_used_cases(rng):
    """Drawn stacks; one where the paint stands again among used words; one untouched, one full."""
    for _ in range(3):
        free, used = (int(torch.randint(1, 20, (1,), generator=rng)) for _ in range(2))
        words = torch.randint(0, 2**31, (used,), generator=rng).tolist()
        yield [0x5AC35AC3] * free + [1] + words, 0x5AC35AC3
    yield [9, 9, 9, 4, 9, 5, 9], 9
    yield [7] * 6, 7
    yield [1, 2, 3], 7


def stack_used_judge(case, output):
    words, paint = case
    first = next((at for at, word in enumerate(words) if word != paint), len(words))
    return close(output, 4 * (len(words) - first))


def cobs_encode_cases(rng):
    """The message of the text, drawn ones with many zeros, and ones that begin, end with or are zeros; none."""
    yield ([0x11, 0x22, 0, 0x33],)
    for length in (5, 12, 40):
        bytes_ = torch.randint(0, 256, (length,), generator=rng) * torch.randint(0, 2, (length,), generator=rng)
        yield (bytes_.tolist(),)
    for message in ([0], [0, 0], [0, 5], [5, 0], list(range(1, 200)), []):
        yield (message,)


def cobs_encode_judge(case, output):
    expected = []
    for piece in bytes(case[0]).split(b"\0"):
        expected += [len(piece) + 1, *piece]
    return close(output, expected)


checks = {
    "requantize": Check(
        points=2,
        cases=requantize_cases,
        judge=requantize_judge,
        hints=("Three things in this order: multiply and round, add z, clamp. Only then change the type.",
               "torch.round(m * acc) + z, then .clamp(-128, 127), then .to(torch.int8)."),
        solution='''\
def requantize(acc, m, z):
    """int8 tensor of the shape of acc (int32): rounded m * acc, moved by z, clamped to what 8 bits hold."""
    y = torch.round(m * acc) + z
    return y.clamp(-128, 127).to(torch.int8)
''',
        wrong=('''\
def requantize(acc, m, z):
    y = torch.round(m * acc) + z
    return y.to(torch.int64).to(torch.int8)
''', '''\
def requantize(acc, m, z):
    y = torch.floor(m * acc) + z
    return y.clamp(-128, 127).to(torch.int8)
'''),
    ),
    "stack_used": Check(
        points=1,
        cases=stack_used_cases,
        judge=stack_used_judge,
        hints=("Walk upwards from the lowest address, as long as the word is paint.",
               "`while untouched < len(words) and words[untouched] == paint: untouched += 1`; all words behind were used, 4 bytes each."),
        solution='''\
def stack_used(words, paint):
    """Bytes of the stack that were ever used. words: list of ints, lowest address first."""
    untouched = 0
    while untouched < len(words) and words[untouched] == paint:
        untouched += 1
    return 4 * (len(words) - untouched)
''',
        wrong=('''\
def stack_used(words, paint):
    untouched = words.count(paint)
    return 4 * (len(words) - untouched)
''', '''\
def stack_used(words, paint):
    untouched = 0
    while untouched < len(words) and words[untouched] == paint:
        untouched += 1
    return len(words) - untouched
'''),
    ),
    "cobs_encode": Check(
        points=3,
        cases=cobs_encode_cases,
        judge=cobs_encode_judge,
        hints=("A zero begins a new, empty piece; any other byte joins the last piece. There is one piece more than there are zeros.",
               "`if byte == 0: pieces.append([])`, else `pieces[-1].append(byte)`; then `encoded += [len(piece) + 1, *piece]` for each."),
        solution='''\
def cobs_encode(message):
    """List of ints 1..255: the message (list of ints 0..255, fewer than 255) without zeros."""
    pieces = [[]]
    for byte in message:
        if byte == 0:
            pieces.append([])
        else:
            pieces[-1].append(byte)
    encoded = []
    for piece in pieces:
        encoded += [len(piece) + 1, *piece]
    return encoded
''',
        wrong=('''\
def cobs_encode(message):
    pieces = [[]]
    for byte in message:
        if byte == 0:
            pieces.append([])
        else:
            pieces[-1].append(byte)
    encoded = []
    for piece in pieces:
        if piece:
            encoded += [len(piece) + 1, *piece]
    return encoded
''', '''\
def cobs_encode(message):
    pieces = [[]]
    for byte in message:
        if byte == 0:
            pieces.append([])
        else:
            pieces[-1].append(byte)
    encoded = []
    for piece in pieces:
        encoded += [len(piece), *piece]
    return encoded
'''),
    ),
}

quizzes = {
    "bits": Quiz(
        "Two machines follow the IEEE standard for float32. Both add the same thousand numbers, and the last bits differ. Why?",
        {
            "One of the processors is broken": (False, "Each single addition is rounded as the standard says, on both."),
            "They add in different orders, and each addition rounds": (True, "So a Program fixes the order, and the same bits can be "
            "asked for."),
            "float32 has too few bits; float64 would agree": (False, "float64 rounds too, only finer; the order still shows."),
            "Random numbers were drawn differently": (False, "Nothing here is random."),
        },
    ),
    "time": Quiz(
        "A step takes 640,000 instructions, counted on the virtual board. A Nano 33 runs at 64 MHz. What do you know about its time there?",
        {
            "It takes 10 ms": (False, "Only if each instruction took one cycle, and flash and RAM never made it wait."),
            "At least about 10 ms; how much more, a real board must tell": (True, "A Cortex-M4 starts at most one instruction a cycle, and "
            "many take longer."),
            "Nothing: instructions have nothing to do with time": (False, "They give a lower bound, and compare one program with another."),
            "As long as the emulator takes": (False, "That is the time of this computer, which translates the code to its own."),
        },
    ),
}
