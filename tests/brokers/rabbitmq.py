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


def binary(text):
    """Return the Erlang of a binary."""
    return f"<<{','.join(map(str, text.encode()))}>>"


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
            "auth_mechanisms.1 = PLAIN\nauth_mechanisms.2 = AMQPLAIN\nauth_mechanisms.3 = EXTERNAL\n"
            "ssl_cert_login_from = common_name\n"
        )
        (self.folder / "plugins").write_text("[rabbitmq_auth_mechanism_ssl].")

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

    def evaluate(self, expression):
        """Evaluate Erlang in the broker: a hundredth of what a command of rabbitmqctl costs, which starts a machine."""
        cookie = (self.folder / ".erlang.cookie").read_text()
        done = subprocess.run(
            ["erl_call", "-c", cookie, "-sname", f"evframe{self.port}@localhost", "-e"],
            input=f"{expression}.\n",
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.stdout != "{ok, ok}":
            raise RuntimeError(f"expected {{ok, ok}} of {expression!r}, got {done.stdout!r}")

    def keep(self):
        """Have what is declared as durable survive a kill that follows at once: the broker writes it down at its leisure."""
        self.evaluate("mnesia:sync_log()")

    def limit_memory(self, share=0.4):
        """Have publishers blocked while the broker uses more than this share of the memory."""
        self.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({share:.5f})")

    def make_user(self, name, password):
        """Make a user who may do everything in the virtual host /; remove the one before."""
        user, by, all_ = map(binary, (name, "tests", ".*"))
        users = "rabbit_auth_backend_internal"
        self.evaluate(
            f"catch {users}:delete_user({user}, {by}), {users}:add_user({user}, {binary(password)}, {by}),"
            f" {users}:set_permissions({user}, {binary('/')}, {all_}, {all_}, {all_}, {by})"
        )

    def change_password(self, name, password):
        """Give a user another password; connections that are open stay."""
        by = binary("tests")
        self.evaluate(f"rabbit_auth_backend_internal:change_password({binary(name)}, {binary(password)}, {by})")

    def make_virtual_host(self, name):
        """Make a virtual host, in which the user guest may do everything."""
        host, guest, by, all_ = map(binary, (name, "guest", "tests", ".*"))
        self.evaluate(f"rabbit_vhost:add({host}, {by})")
        self.evaluate(f"rabbit_auth_backend_internal:set_permissions({guest}, {host}, {all_}, {all_}, {all_}, {by})")

    def remove_virtual_host(self, name):
        """Remove a virtual host."""
        self.evaluate(f"rabbit_vhost:delete({binary(name)}, {binary('tests')})")

    def launch(self):
        return self.run(SERVER)

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.settimeout(2)
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(probe.recv(1))
        return False
