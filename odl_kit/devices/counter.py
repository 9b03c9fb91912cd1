"""Count the instructions that an emulated Cortex-M executes: Unicorn says which blocks run, their halfwords how many they hold."""
BLOCK = 8       # unicorn's UC_HOOK_BLOCK


def attach(machine):
    """Start counting on a unicorn.Uc -> a Counter with `value`, and `detach()`."""
    return Counter(machine)


class Counter:
    """value: instructions in all blocks that began. One that an IT skips counts too: on silicon it takes a cycle."""

    def __init__(self, machine):
        self.value, self._known, self._machine = 0, {}, machine
        machine.ctl_flush_tb()              # code that was translated before does not call the hook
        self._handle = machine.hook_add(BLOCK, self._block)

    def _block(self, machine, address, size, _):
        if (address, size) not in self._known:
            self._known[address, size] = count(bytes(machine.mem_read(address, size)))
        self.value += self._known[address, size]

    def detach(self):
        """Stop counting; returns None."""
        self._machine.hook_del(self._handle)
        self._machine.ctl_flush_tb()


def count(code):
    """Instructions in bytes of Thumb code. A halfword from 0b11101 on in its top five bits is the first of two (Armv7-M ARM, A5.1)."""
    at = total = 0
    while at < len(code):
        at += 4 if code[at + 1] >> 3 >= 0b11101 else 2
        total += 1
    return total
