"""A RabbitMQ of the tests' own: a folder, free ports and an end."""

import contextlib
import socket
import subprocess
from pathlib import Path

from brokers import certificates
from brokers.own import OwnBroker, free_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
MISSING = (
    "a RabbitMQ is needed: apt-get install -y --no-install-recommends rabbitmq-server, "
    "or leave these tests out with --without-brokers"
)
# Threads of the Erlang machine that look for work for a while before they sleep take time from the tests.
FAST_START = "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"

MOST_BYTES = 1_000_000  # of a message


class RabbitMQ(OwnBroker):
    """Starts in about five seconds; `stop` and `start` again keep the port and what is durable."""

    name = "RabbitMQ"

    def __init__(self, *, starts_fast=True):
        if not SERVER.exists():
            raise RuntimeError(MISSING)
        super().__init__()
        self._machine = FAST_START if starts_fast else ""
        self.port, self.dist_port, self.epmd_port = free_port(), free_port(), free_port()
        # A listener with TLS that asks for no certificate of the client, and takes none but of its authority.
        self.tls_port = free_port()
        certificates.make(self.folder, "authority")
        self.certificate, key = self.folder / "certificate.pem", self.folder / "certificate-key.pem"
        certificates.make(self.folder)
        self.clients = certificates.make(self.folder, "clients", "somebody", self.folder / "authority-both.pem")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nloopback_users = none\nlog.console = false\n"
            f"max_message_size = {MOST_BYTES}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {self.folder / 'authority.pem'}\n"
            f"ssl_options.certfile = {self.certificate}\nssl_options.keyfile = {key}\n"
            "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = false\n"
        )
        (self.folder / "plugins").write_text("[].")

    @property
    def environment(self):
        home = str(self.folder)
        return {
            **super().environment,
            "HOME": home,
            "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/plugins",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_NODENAME": f"evframe{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": self._machine,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def control(self, *words):
        """Run a command of rabbitmqctl."""
        command = [SERVER.with_name("rabbitmqctl"), "-n", f"evframe{self.port}@localhost", *words]
        subprocess.run(command, env=self.environment, cwd=self.folder, check=True, capture_output=True, timeout=60)

    def keep(self):
        """Have what is declared as durable survive a kill that follows at once: the broker writes it down at its leisure."""
        self.control("eval", "mnesia:sync_log().")

    def launch(self):
        return self.run(SERVER)

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.settimeout(2)
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(probe.recv(1))
        return False
