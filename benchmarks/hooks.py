"""A web server that answers every request with 204; prints its port, and ends when it is killed."""

import socket
import threading

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
LENGTH = b"content-length: "


def serve(connection: socket.socket) -> None:
    """Answer one request after another."""
    rest = b""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(1 << 18):
        rest += data
        while (end := rest.find(b"\r\n\r\n") + 4) > 3:
            head = rest[:end].lower()
            at = head.index(LENGTH) + len(LENGTH)
            end += int(head[at : head.index(b"\r", at)])
            if len(rest) < end:
                break
            rest = rest[end:]
            connection.sendall(ANSWER)


with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
