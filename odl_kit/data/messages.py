"""Short messages from a grammar of our own, for next-word and next-letter prediction; `generate` writes for as many users as asked for.

No real person wrote any of them. A user differs from the next in dialect, topics, favourite nouns, names of friends, word order and habits
(greeting, filler, "pls", sign-off); a tenth talk mostly about a rare hobby in words of its own. Data set `typing` is
`corpus(100, 100, seed=12)`.
"""
from dataclasses import dataclass
from itertools import accumulate
from random import Random

import numpy as np
import torch

from odl_kit.data import cards, datasets

TOPICS = {      # topic: verbs, adjectives, nouns
    "food": ("cook eat order share", "tasty cold spicy burnt fresh",
        "soup bread curry salad noodles cheese pizza rice cake apples dumplings"),
    "work": ("finish send review print", "late long urgent boring clear",
        "report slides budget email contract draft invoice agenda letter offer memo"),
    "sport": ("watch play win miss", "close great rough fast wet",
        "match race game final training swim marathon tournament derby hike session"),
    "home": ("clean fix paint move", "broken dusty new huge quiet",
        "kitchen roof lamp sofa garden window boiler door shelf carpet fridge"),
    "study": ("read learn pass write", "hard short easy dull early",
        "exam essay chapter lecture thesis quiz homework lab notes project seminar"),
    "travel": ("book catch pack plan", "cheap full slow delayed direct",
        "train flight hotel bus ferry ticket trip suitcase passport tour taxi"),
    "music": ("hear practise sing record", "loud soft lovely sad catchy",
        "song album concert piano guitar choir drums band festival tune chorus"),
    "family": ("call visit help meet", "tired happy busy ill cheerful",
        "mum dad sister brother gran uncle cousin baby puppy kitten neighbour"),
}
HOBBIES = {     # the same for the rare ones
    "sailing": ("reef trim", "windward becalmed", "jib spinnaker halyard keel tiller mooring"),
    "knitting": ("purl felt", "cabled woolly", "skein yarn cardigan bobbin gauge needle"),
    "stars": ("stack align", "dim galactic", "nebula eyepiece galaxy comet aurora filter"),
    "bees": ("smoke inspect", "buzzing sticky", "hive queen swarm brood nectar frame"),
    "radio": ("solder tune", "noisy detuned", "antenna beacon oscillator repeater dipole crystal"),
    "pottery": ("glaze throw", "cracked glossy", "kiln clay teapot slip wheel vase"),
}
DIALECTS = (
    {"hi": "hi hello", "bye": "thanks cheers", "yes": "yes", "very": "very", "shall": "shall we", "soon": "later today", "good": "nice"},
    {"hi": "hey yo", "bye": "later peace", "yes": "yeah", "very": "super", "shall": "wanna", "soon": "in a bit", "good": "cool"},
    {"hi": "hiya alright", "bye": "ta luv", "yes": "aye", "very": "dead", "shall": "fancy we", "soon": "by and by", "good": "grand"},
    {"hi": "dear greetings", "bye": "regards sincerely", "yes": "certainly", "very": "rather", "shall": "might we", "soon": "this evening",
     "good": "splendid"},
)
NAMES = ("amir bea chen dora emil fay gus hana ivan jun kira leo mina nils olga pim quinn rosa sami tess uma vito wanda xena yuri zoe "
         "abel britt cleo dirk enzo freya").split()
TIMES = ("tomorrow", "tonight", "on monday", "on friday", "after lunch", "at noon", "next week", "this weekend")
PLACES = ("at home", "in town", "at the office", "near the station", "at the park", "in the library", "at the cafe", "by the river")
FILLERS = "honestly like actually lol basically well um so".split()
FRAMES = (
    "{shall} {verb} the {noun} {time}", "i will {verb} the {noun} {time}", "can you {verb} my {noun} {soon}",
    "the {noun} was {very} {adjective}", "did {name} {verb} the {noun}", "{name} and i {verb} the {noun} {place}",
    "have you seen the {adjective} {noun} {place}",
    "i think the {noun} is {very} {adjective}", "{yes} we can {verb} it {time}", "i am {place} with the {noun}",
    "do not {verb} the {noun} without {name}", "{good} the {adjective} {noun} is {place}",
)
TAILS = ("because it is {adjective}", "but it is {very} {adjective}", "and it looks {adjective}", "so please {verb} it", "if you can")
SUBJECTS = {subject: tuple(part.split() for part in parts) for subject, parts in (TOPICS | HOBBIES).items()}
CLASSES = tuple(SUBJECTS)                                                   # y: what a message is about
PAD, START, END = 0, 1, 2                                                   # tokens 0, 1, 2 of the vocabulary
LENGTH = 21                                                                 # tokens of a message: START, at most 19 words, END, PAD
ZIPF = tuple(accumulate(rank ** -1.3 for rank in range(1, 12)))             # the r-th favourite is used in proportion to r^-1.3


def vocabulary():
    """Every word the grammar can write, sorted, after "<pad>", "<s>", "</s>": tuple of str; a token is an index into it."""
    texts = [*NAMES, *TIMES, *PLACES, *FILLERS, *FRAMES, *TAILS, "pls"]
    texts += [words for dialect in DIALECTS for words in dialect.values()]
    texts += [" ".join(part) for subject in SUBJECTS.values() for part in subject]
    return "<pad>", "<s>", "</s>", *sorted({word for text in texts for word in text.split() if "{" not in word})


VOCABULARY = vocabulary()
TOKEN = {word: token for token, word in enumerate(VOCABULARY)}


@dataclass(frozen=True)
class Writer:
    """One user's habits, drawn once by `writer`. Orders are most used first; rates are probabilities per message."""
    hobby: str | None
    dialect: dict
    topics: tuple           # weights over TOPICS, and so on: a few carry most of it
    frames: tuple
    tails: tuple
    nouns: dict             # subject -> its nouns in this user's order
    names: list
    times: list
    places: list
    filler: str
    filler_rate: float
    greeting_rate: float
    pls_rate: float
    bye_rate: float


def writer(rng, *, hobby=None):
    """A new user. rng: random.Random. hobby: a key of HOBBIES, then the subject of 70 % of their messages."""
    return Writer(
        hobby=hobby,
        dialect=rng.choice(DIALECTS),
        topics=_dirichlet(rng, 0.25, len(TOPICS)), frames=_dirichlet(rng, 0.5, len(FRAMES)), tails=_dirichlet(rng, 0.4, len(TAILS)),
        nouns={subject: _shuffled(rng, nouns) for subject, (_, _, nouns) in SUBJECTS.items()},
        names=rng.sample(NAMES, 4), times=_shuffled(rng, TIMES), places=_shuffled(rng, PLACES),
        filler=rng.choice(FILLERS), filler_rate=rng.betavariate(0.6, 2),
        greeting_rate=rng.random(), pls_rate=rng.random(), bye_rate=rng.random(),
    )


def message(user, rng):
    """One message of a Writer: (its text, the subject it is about)."""
    rare = user.hobby and rng.random() < 0.7
    subject = user.hobby if rare else rng.choices(list(TOPICS), user.topics)[0]
    verbs, adjectives, _ = SUBJECTS[subject]
    slots = user.dialect | {
        "verb": _favourite(rng, verbs), "adjective": _favourite(rng, adjectives), "noun": _favourite(rng, user.nouns[subject]),
        "name": _favourite(rng, user.names), "time": _favourite(rng, user.times), "place": _favourite(rng, user.places),
    }
    text = rng.choices(FRAMES, user.frames)[0].format(**slots)
    if rng.random() < 0.35:
        text += " " + rng.choices(TAILS, user.tails)[0].format(**slots)
    if rng.random() < user.filler_rate:
        text = f"{user.filler} {text}"
    if rng.random() < user.greeting_rate:
        friend = f" {_favourite(rng, user.names)}" if rng.random() < 0.6 else ""
        text = f"{_first_or_second(rng, user.dialect['hi'])}{friend} {text}"
    if rng.random() < user.pls_rate:
        text += " pls"
    if rng.random() < user.bye_rate:
        text += " " + _first_or_second(rng, user.dialect["bye"])
    return text, subject


def corpus(num_users, per_user, *, seed):
    """Messages of `num_users` users, the last tenth of them with a hobby: {name: array}, each with N = num_users * per_user rows.

    x (N, 21) int16 tokens, y (N,) uint8 subject (index into CLASSES), user (N,) int32, time (N,) int16: 0, 1, ... per user, in the order
    of writing. User u depends on `seed`, u and hobby alone: a larger corpus begins with the same people. Raises ValueError below one user
    or message.
    """
    if num_users < 1 or per_user < 1:
        raise ValueError(f"num_users = {num_users}, per_user = {per_user}: both must be at least 1")
    x, y = np.full((num_users * per_user, LENGTH), PAD, np.int16), np.zeros(num_users * per_user, np.uint8)
    for u in range(num_users):
        rng, hobby = Random(f"{seed} {u}"), list(HOBBIES)[u % len(HOBBIES)] if u in hobby_users(num_users) else None
        user = writer(rng, hobby=hobby)
        for row in range(u * per_user, (u + 1) * per_user):
            text, subject = message(user, rng)
            tokens = [START, *(TOKEN[word] for word in text.split()), END]
            x[row, :len(tokens)], y[row] = tokens, CLASSES.index(subject)
    user, time = np.arange(num_users, dtype=np.int32), np.arange(per_user, dtype=np.int16)
    return {"x": x, "y": y, "user": np.repeat(user, per_user), "time": np.tile(time, num_users)}


def hobby_users(num_users):
    """The users of a corpus who have a hobby: a range, the last tenth."""
    return range(num_users - round(num_users / 10), num_users)


def generate(num_users, per_user=100, *, rng):
    """A new set like `typing` as a Dataset: N = num_users * per_user messages, groups "usual" and "hobby".

    rng: torch.Generator, gives the seed. 1,000 users with 100 messages each take about 2 s. Raises ValueError below one user or message.
    """
    arrays = corpus(num_users, per_user, seed=int(torch.randint(2 ** 31, (), generator=rng)))
    tensors = {name: torch.from_numpy(array).long() for name, array in arrays.items()}
    hobby, card = hobby_users(num_users), cards.read("typing")
    return datasets.Dataset("typing", **tensors, classes=CLASSES, units=card["units"], source=card["source"],
                            groups={"usual": range(hobby.start), "hobby": hobby})


def _dirichlet(rng, alpha, size):
    draws = [rng.gammavariate(alpha, 1) for _ in range(size)]
    return tuple(draw / sum(draws) for draw in draws)


def _shuffled(rng, items):
    return rng.sample(items, len(items))


def _favourite(rng, ordered):
    return rng.choices(ordered, cum_weights=ZIPF[:len(ordered)])[0]


def _first_or_second(rng, two_words):
    return two_words.split()[rng.random() < 0.3]
