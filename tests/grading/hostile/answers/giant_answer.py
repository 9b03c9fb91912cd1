"""Returns more than is read."""
import torch


def weighted_mean(updates, num_examples):
    return torch.zeros(60_000_000)
