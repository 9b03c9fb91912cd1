"""Asks for 50 GB."""
import torch


def weighted_mean(updates, num_examples):
    return torch.ones(50 * 2**30, dtype=torch.uint8)
