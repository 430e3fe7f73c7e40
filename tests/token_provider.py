"""What gives tokens: a provider over HTTP, and functions; tokens without a signature, as Kafka takes them for tests."""

import base64
import json
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType


def unsigned_token(subject="evframe", lifetime_s=3600):
    """Return a token that names somebody; it proves nothing."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": subject, "iat": now - 10, "exp": now + lifetime_s})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return ".".join((*encoded, ""))


class Provider:
    """What it is asked, and what it answers: a status, headers and a body."""

    def __init__(self):
        self.requests = []
        self.token = unsigned_token()
        self.status, self.headers = 200, {}
        self.body = None
        self.lifetime_s = 3600
        self.held = threading.Event()
        self.held.set()
        self.url = ""

    def answer(self):
        if self.body is not None:
            return self.body
        return json.dumps({"access_token": self.token, "expires_in": self.lifetime_s}).encode()


@contextmanager
def providing():
    """Yield a provider that listens on this machine."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            provider.requests.append((self.path, self.headers["Authorization"], body))
            provider.held.wait(30)
            answer = provider.answer()
            self.send_response(provider.status)
            for name, value in {"Content-Length": str(len(answer)), **provider.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            """Keep the output of the tests clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_port}/token"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        provider.held.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def functions(name):
    """Have a module of this *name*, which gets its functions from the test."""
    made = sys.modules[name] = ModuleType(name)
    try:
        yield made
    finally:
        del sys.modules[name]
