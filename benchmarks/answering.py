"""A peer that answers every request; prints its port, and ends when it is killed."""

import re
import socket

ID = re.compile(rb'^\{"id":(\d+)', re.MULTILINE)

with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        rest = b""
        while data := connection.recv(1 << 18):
            lines, newline, rest = (rest + data).rpartition(b"\n")
            if newline:
                connection.sendall(
                    b"".join(b'{"jsonrpc":"2.0","result":"OK","id":%b}' % number for number in ID.findall(lines))
                )
