"""An Apache Kafka of the tests' own: KRaft mode, a folder, free ports and an end."""

import base64
import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from brokers import certificates
from brokers.rabbitmq import free_port

LIBS = Path(os.environ.get("EVFRAME_KAFKA_LIBS", Path.home() / ".cache" / "evframe" / "kafka-4.1.0"))
MISSING = "an Apache Kafka is needed: bash .ci/brokers, or leave these tests out with --without-brokers"


class Kafka:
    """Starts in about eight seconds; `stop` and `start` again keep the ports and the data."""

    def __init__(self):
        if not list(LIBS.glob("kafka_*.jar")) or shutil.which("java") is None:
            raise RuntimeError(MISSING)
        self.folder = Path(tempfile.mkdtemp(prefix="evframe-kafka-"))
        self.port, controller = free_port(), free_port()
        # A listener that says it is at another port: that of a proxy between it and the clients.
        self.behind_proxy, self.proxy_port = free_port(), free_port()
        # A listener with TLS that wants the user u and the password s=e&cret, or with SCRAM scram and sesame; it asks
        # for no certificate of the client, and takes none but its own.
        self.secure_port = free_port()
        self.certificate, self.key = self.folder / "certificate.pem", self.folder / "certificate-key.pem"
        keystore = certificates.make(self.folder)
        self.properties = self.folder / "server.properties"
        self.properties.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},FAULTY://127.0.0.1:{self.behind_proxy},"
            f"SECURE://localhost:{self.secure_port},"
            f"CONTROLLER://127.0.0.1:{controller}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port},FAULTY://127.0.0.1:{self.proxy_port},"
            f"SECURE://localhost:{self.secure_port}\n"
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,FAULTY:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT\n"
            "listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n"
            "listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule "
            'required user_u="s=e&cret";\n'
            "listener.name.secure.scram-sha-256.sasl.jaas.config="
            "org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
            "listener.name.secure.scram-sha-512.sasl.jaas.config="
            "org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
            "listener.name.secure.ssl.client.auth=requested\nlistener.name.secure.ssl.truststore.type=PEM\n"
            f"listener.name.secure.ssl.truststore.location={self.certificate}\n"
            f"listener.name.secure.ssl.keystore.type=PEM\nlistener.name.secure.ssl.keystore.location={keystore}\n"
            "inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\n"
            f"log.dirs={self.folder}/data\noffsets.topic.replication.factor=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
            "group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n"
        )
        self.output = (self.folder / "output").open("w")
        self.process = None
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        scram = [f"SCRAM-SHA-{size}=[name=scram,password=sesame]" for size in (256, 512)]
        users = [word for user in scram for word in ("--add-scram", user)]
        self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self.properties), *users).wait(60)

    def _java(self, *words):
        command = ["java", "-Xmx512m", "-cp", f"{LIBS}/*", *words]
        return subprocess.Popen(command, cwd=self.folder, stdout=self.output, stderr=subprocess.STDOUT)

    def start(self):
        self.process = self._java("kafka.Kafka", str(self.properties))
        until = time.monotonic() + 90
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Kafka did not start: {(self.folder / 'output').read_text()[-2000:]}")
            time.sleep(0.1)

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self, how=signal.SIGTERM):
        """End the broker; SIGKILL ends it as a crash would."""
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def signal(self, what):
        """Send a signal to the broker, such as SIGSTOP to have it hang."""
        self.process.send_signal(what)

    def remove(self):
        """End everything and remove the folder."""
        self.stop(signal.SIGKILL)
        self.output.close()
        shutil.rmtree(self.folder, ignore_errors=True)
