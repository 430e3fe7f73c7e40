"""A Redis of the tests' own, and the streams in it."""

import contextlib
import json
import shutil
import socket

import redis as client
from brokers import certificates
from brokers.own import OwnBroker, free_port

MISSING = (
    "a Redis is needed: apt-get install -y --no-install-recommends redis-server, "
    "or leave these tests out with --without-brokers"
)
USER, PASSWORD = "writer", "pass/w@rd"  # who may add to streams that begin with "s", and may do nothing else


class Redis(OwnBroker):
    """Starts in a tenth of a second; `stop` and `start` again keep the ports and every entry that was acknowledged."""

    name = "Redis"

    def __init__(self, *words):
        if shutil.which("redis-server") is None:
            raise RuntimeError(MISSING)
        super().__init__()
        self.port, self.tls_port = free_port(), free_port()
        certificates.make(self.folder, "authority")
        certificates.make(self.folder, "server", issuer=self.folder / "authority-both.pem")
        self.authority = self.folder / "authority.pem"
        self._words = [
            *("--bind", "127.0.0.1", "--port", str(self.port), "--tls-port", str(self.tls_port)),
            *("--dir", str(self.folder), "--save", "", "--appendonly", "yes", "--appendfsync", "always"),
            *("--tls-cert-file", f"{self.folder}/server.pem", "--tls-key-file", f"{self.folder}/server-key.pem"),
            *("--tls-ca-cert-file", str(self.authority), "--tls-auth-clients", "optional"),
            # It would write the title over its environment, by which it is found at the end.
            *("--set-proc-title", "no"),
            *("--user", USER, "on", f">{PASSWORD}", "~s*", "-@all", "+xadd"),
            *words,
        ]

    def launch(self):
        return self.run("redis-server", *self._words)

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.settimeout(2)
            probe.sendall(b"PING\r\n")
            return probe.recv(5) == b"+PONG"
        return False


def commands_of(broker, **options):
    """Return a client whose methods are the commands; `with` closes it."""
    return client.Redis(port=broker.port, **options)


def entries_in(broker, stream, **options):
    """Return the fields of all entries of a stream."""
    with commands_of(broker, **options) as commands:
        return [fields for _, fields in commands.xrange(stream)]


def numbers_in(broker, stream):
    """Return the first parameter of every event in a stream."""
    return [json.loads(fields[b"payload"])["params"][0] for fields in entries_in(broker, stream)]
