"""Boards: the virtual one, this computer, QEMU, and a real Arduino, all with the same verbs and the same bytes on the line.

board      open_board(url) and its verbs: load, train, predict, evaluate, weights, set_weights, update, memory, checkpoint
wire       frames (COBS, CRC-32) and one request with its reply: lost and doubled bytes change nothing
transfer   what one frame cannot hold, in pieces
links      from "virtual", "host", "qemu" or "/dev/ttyACM0" to a link; list_boards()
virtual    the firmware on a Cortex-M4 that has as much memory as an Arduino
machine    that Cortex-M4: runs machine code, counts instructions, takes snapshots, loses power; counter, elf serve it
native     the same C on this computer, the same ELF file in QEMU
build      compiles hardware/ (needs ziglang; firmware.elf is built already)
selftest   does a board compute the very bits that NumPy does?
console    the command `odl board`
"""
