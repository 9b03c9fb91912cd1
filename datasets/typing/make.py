"""Rebuild `typing`, 100 users x 100 short messages (grammar: odl_kit/data/messages.py). Run: python datasets/typing/make.py [--check]"""
from odl_kit.data import cards, messages


def make():
    return messages.corpus(100, 100, seed=12)


if __name__ == "__main__":
    cards.build(__file__, make)
