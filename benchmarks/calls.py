"""An HTTP server that answers every XML-RPC call; prints its port, and ends when it is killed."""

import socket
import threading

BODY = (
    b'<?xml version="1.0"?><methodResponse><params><param><value><int>1</int></value></param></params></methodResponse>'
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
END = b"</methodCall>"


def serve(connection: socket.socket) -> None:
    """Answer as many calls as have ended."""
    rest = b""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while data := connection.recv(1 << 18):
        data = rest + data
        connection.sendall(ANSWER * data.count(END))
        rest = data[max(0, data.rfind(END) + len(END)) :][-len(END) :] if END in data else data[-len(END) :]


with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
