"""Where an example came from is part of the data: source (N,) int64 numbers its domain or user. Who owns it writes its examples.

Data sets of links are lists of addresses; what stands behind an address may change hands after the list was made. Carlini et al. 2023
("Poisoning Web-Scale Training Datasets is Practical") found expired domains for sale in ten such lists.
"""
import torch


def reach(source):
    """(D,) float64: the share of all examples that an attacker writes who owns the k largest sources, k = 1 ... D."""
    _, counts = torch.unique(source, return_counts=True)
    return counts.sort(descending=True).values.cumsum(0).double() / len(source)


def buy(source, *, budget, price=None):
    """Sources that an attacker buys with `budget`: (k,) int64. price: {source: cost}, None: 1 each; a source not in price is not for sale.

    Greedy: most examples for the money first, of equals the lower number; what no longer fits is left out. That is good, and not always the
    best (the knapsack problem). Raises ValueError for a price that is not above 0.
    """
    names, counts = torch.unique(source, return_counts=True)
    price = dict.fromkeys(names.tolist(), 1) if price is None else price
    if wrong := {name: cost for name, cost in price.items() if not cost > 0}:
        raise ValueError(f"prices {wrong}: each must be above 0")
    offers = [(count / price[name], name) for name, count in zip(names.tolist(), counts.tolist(), strict=True) if name in price]
    bought, left = [], budget
    for _, name in sorted(offers, key=lambda offer: (-offer[0], offer[1])):
        if price[name] <= left:
            bought.append(name)
            left -= price[name]
    return torch.tensor(bought, dtype=torch.int64)


def planted(source, bought):
    """(N,) bool: the examples that whoever owns the sources `bought` ((k,) int64) can write."""
    return torch.isin(source, bought)
