"""The cell itself never ends, before anything is defined."""
while True:
    pass
