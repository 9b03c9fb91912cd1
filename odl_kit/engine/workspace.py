"""Scratch bytes of each op."""


def workspace_bytes(op, tensors):
    """Bytes of scratch that `op` needs; 0: none."""
    return 0
