"""Addresses that answer no connection, and peers that say nothing on theirs."""

import socket
import ssl
import threading
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


class SilentTls:
    """Accepts connections with TLS and never says anything else, not that TLS ends either."""

    def __init__(self, certificate, key):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepted = []
        self._thread = threading.Thread(target=self._serve)

    @property
    def connections(self):
        """How many there were."""
        return len(self._accepted)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for each in (self._listener, *self._accepted):
            each.close()

    def _serve(self):
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:  # the end
                return
            try:
                self._accepted.append(self._context.wrap_socket(accepted, server_side=True))
            except OSError:  # the client has gone
                accepted.close()
