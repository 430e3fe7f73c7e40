"""A TCP peer in another process, which ends its connections in every way: ``ending_peer.py PORT FILE``.

It takes one command a line from standard input and prints `ok` when it is done. What it reads goes to
the file at once, with a newline before each connection. It serves one connection at a time.
"""

import os
import select
import socket
import struct
import sys

RESET = struct.pack("ii", 1, 0)


class EndingPeer:
    """Holds a listener and the connection that is served."""

    def __init__(self, port, path):
        self.port = port
        self.out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.connection = None
        self.early = 0  # how many connections end as soon as they are accepted
        self.takes = True
        self.listen()

    def listen(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 19)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(8)

    def refuse(self):
        self.listener.close()
        self.listener = None

    def accept(self):
        self.connection, _ = self.listener.accept()
        os.write(self.out, b"\n")
        if self.early:
            self.early -= 1
            self.close()

    def take(self, size=1 << 16):
        try:
            data = self.connection.recv(size)
        except ConnectionError:
            data = b""
        if data:
            os.write(self.out, data)
        else:
            self.close()

    def some(self, size):
        self.takes = False
        if self.connection is not None and select.select([self.connection], [], [], 0)[0]:
            self.take(int(size))

    def stop(self):
        self.takes = False

    def read(self):
        self.takes = True

    def die_early(self, times):
        self.early = int(times)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def shut(self):
        if self.connection is not None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close()

    def half(self):
        if self.connection is not None:
            self.connection.shutdown(socket.SHUT_WR)

    def reset(self):
        if self.connection is not None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.close()

    def command(self):
        line = os.read(0, 100).decode()
        if not line:
            sys.exit()
        if self.connection is None and self.listener is not None and select.select([self.listener], [], [], 0)[0]:
            self.accept()  # what is acknowledged may be for a connection that is not accepted yet
        name, *more = line.split()
        getattr(self, name)(*more)
        print("ok", flush=True)

    def run(self):
        print("ok", flush=True)
        while True:
            sources = [0]
            if self.connection is not None:
                sources += [self.connection] if self.takes else []
            elif self.listener is not None:
                sources.append(self.listener)
            ready = select.select(sources, [], [])[0]
            if 0 in ready:
                self.command()
            elif self.connection is not None:
                self.take()
            else:
                self.accept()


if __name__ == "__main__":
    EndingPeer(int(sys.argv[1]), sys.argv[2]).run()
