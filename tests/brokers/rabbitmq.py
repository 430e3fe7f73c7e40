"""A RabbitMQ of the tests' own: a folder, free ports and an end."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from brokers import certificates

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
MISSING = (
    "a RabbitMQ is needed: apt-get install -y --no-install-recommends rabbitmq-server, "
    "or leave these tests out with --without-brokers"
)

MOST_BYTES = 1_000_000  # of a message


def free_port():
    """Return a port that nobody has, and that the kernel gives to nobody while a broker is started and stopped."""
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_server(("127.0.0.1", random.randrange(20_000, 32_000))) as probe,
        ):
            return probe.getsockname()[1]


class RabbitMQ:
    """Starts in about ten seconds; `stop` and `start` again keep the port and what is durable."""

    def __init__(self):
        if not SERVER.exists():
            raise RuntimeError(MISSING)
        self.folder = Path(tempfile.mkdtemp(prefix="evframe-rabbitmq-"))
        self.port, self.dist_port, self.epmd_port = free_port(), free_port(), free_port()
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nloopback_users = none\nlog.console = false\n"
            f"max_message_size = {MOST_BYTES}\n"
        )
        # A listener with TLS that asks for no certificate of the client, and takes none but of its authority.
        self.tls_port = free_port()
        certificates.make(self.folder, "authority")
        self.certificate, key = self.folder / "certificate.pem", self.folder / "certificate-key.pem"
        certificates.make(self.folder)
        self.clients = certificates.make(self.folder, "clients", "somebody", self.folder / "authority-both.pem")
        with (self.folder / "rabbitmq.conf").open("a") as configuration:
            configuration.write(
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
                f"ssl_options.cacertfile = {self.folder / 'authority.pem'}\n"
                f"ssl_options.certfile = {self.certificate}\nssl_options.keyfile = {key}\n"
                "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = false\n"
            )
        (self.folder / "plugins").write_text("[].")
        self.output = (self.folder / "output").open("w")
        self.process = None

    @property
    def environment(self):
        home = str(self.folder)
        return {
            **os.environ,
            "HOME": home,
            "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
            "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/plugins",
            "RABBITMQ_PID_FILE": f"{home}/pid",
            "RABBITMQ_NODENAME": f"evframe{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.dist_port),
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

    def start(self):
        self.process = subprocess.Popen(
            [SERVER],
            env=self.environment,
            cwd=self.folder,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        until = time.monotonic() + 90
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"RabbitMQ did not start: {(self.folder / 'output').read_text()[-2000:]}")
            time.sleep(0.1)

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.settimeout(2)
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(probe.recv(1))
        return False

    def stop(self, how=signal.SIGTERM):
        """End the broker; SIGKILL ends it as a crash would."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def signal(self, what):
        """Send a signal to the broker, such as SIGSTOP to have it hang."""
        os.killpg(self.process.pid, what)

    def remove(self):
        """End everything and remove the folder."""
        self.stop(signal.SIGKILL)
        for entry in Path("/proc").iterdir():  # epmd has a session of its own
            with contextlib.suppress(OSError, ValueError):
                if f"ERL_EPMD_PORT={self.epmd_port}".encode() in (entry / "environ").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)
