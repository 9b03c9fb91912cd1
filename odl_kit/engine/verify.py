"""What a Program must keep, whoever made it: no operand missing or of the wrong type, place, shape or size."""


def check(program):
    """Raises ValueError that names the op and what is wrong."""
