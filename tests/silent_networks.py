"""Networks that carry nothing any more, without a sign of it."""

import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26


def drop_all(kernel):
    """Have the kernel drop each segment that arrives for a socket, as if the cable were cut."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: return 0
    kernel.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))
