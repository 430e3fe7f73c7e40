"""Addresses that answer no connection."""

import socket
from contextlib import ExitStack, contextmanager


@contextmanager
def silent_listener(host, port):
    """Have the kernel drop each attempt to connect to *host* and *port*: a listener's queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((host, port))
        yield
