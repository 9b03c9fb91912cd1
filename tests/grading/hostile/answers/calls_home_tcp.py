"""Sends the inputs over the network."""
import socket


def weighted_mean(updates, num_examples):
    with socket.create_connection(("127.0.0.1", 80), timeout=2) as line:
        line.send(bytes(updates.numpy()))
    share = num_examples / num_examples.sum()
    return share @ updates
