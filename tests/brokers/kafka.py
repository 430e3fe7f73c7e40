"""An Apache Kafka of the tests' own: KRaft mode, a folder, free ports and an end."""

import base64
import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import socket
import tempfile
from pathlib import Path

from brokers import certificates
from brokers.own import OwnBroker, free_port

CACHE = Path.home() / ".cache" / "evframe"
LIBS = Path(os.environ.get("EVFRAME_KAFKA_LIBS", CACHE / "kafka-4.1.0"))
MISSING = "an Apache Kafka is needed: bash .ci/brokers, or leave these tests out with --without-brokers"
# A broker of the tests lives for minutes: what a compiler and a collector would save later costs more at the start.
FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
NAME = "broker.kafka.example"  # of the listener that advertises a name
USERS = tuple(f"SCRAM-SHA-{size}=[name=scram,password=sesame]" for size in (256, 512))


def cluster_id():
    """Return an id for a cluster, as Kafka makes them; one that began with `-` would pass for an option."""
    number = bytearray(secrets.token_bytes(16))
    number[0] &= 0x7F
    return base64.urlsafe_b64encode(number).decode().rstrip("=")


class Kafka(OwnBroker):
    """Starts in about three seconds; `stop` and `start` again keep the ports and the data."""

    name = "Kafka"

    def __init__(self, *, starts_fast=True, creates_topics=False):
        if not list(LIBS.glob("kafka_*.jar")) or shutil.which("java") is None:
            raise RuntimeError(MISSING)
        super().__init__()
        self._machine = ("-Xmx512m", *(FAST_START if starts_fast else ()))
        self.port, self.controller_port = free_port(), free_port()
        # A listener that says it is at another port: that of a proxy between it and the clients.
        self.behind_proxy, self.proxy_port = free_port(), free_port()
        # A listener that says it is at a name, which resolves to what a test says.
        self.named_port = free_port()
        # A listener with TLS that wants the user u and the password s=e&cret, or with SCRAM scram and sesame; it asks
        # for no certificate of the client, and takes none but its own.
        self.secure_port = free_port()
        # A listener that takes a token without a signature, from whomever it names.
        self.token_port = free_port()
        self.certificate, self.key = self.folder / "certificate.pem", self.folder / "certificate-key.pem"
        keystore = certificates.make(self.folder)
        self.properties = self.folder / "server.properties"
        creation = f"auto.create.topics.enable={str(creates_topics).lower()}\n"
        self.properties.write_text(self._listeners() + self._security(keystore) + self._storage() + creation)
        shutil.copytree(self._formatted(), self.folder / "data")
        if starts_fast:
            self._machine += (f"-XX:SharedArchiveFile={self._classes()}",)

    def _listeners(self):
        return (
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@127.0.0.1:{self.controller_port}\n"
            f"listeners=PLAINTEXT://127.0.0.1:{self.port},FAULTY://127.0.0.1:{self.behind_proxy},"
            f"NAMED://127.0.0.1:{self.named_port},"
            f"TOKENS://127.0.0.1:{self.token_port},"
            f"SECURE://localhost:{self.secure_port},CONTROLLER://127.0.0.1:{self.controller_port}\n"
            f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port},FAULTY://127.0.0.1:{self.proxy_port},"
            f"TOKENS://127.0.0.1:{self.token_port},"
            f"NAMED://{NAME}:{self.named_port},SECURE://localhost:{self.secure_port}\n"
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,FAULTY:PLAINTEXT,NAMED:PLAINTEXT,TOKENS:SASL_PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT\n"
            "inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\n"
        )

    def move(self, address, port):
        """Have another listener at the next start, which advertises this address."""
        lines = []
        for line in self.properties.read_text().splitlines():
            kept = [each for each in line.split(",") if "MOVING" not in each]
            kept += {
                "listeners": [f"MOVING://{address}:{port}"],
                "advertised.listeners": [f"MOVING://{address}:{port}"],
                "listener.security.protocol.map": ["MOVING:PLAINTEXT"],
            }.get(line.partition("=")[0], [])
            lines.append(",".join(kept))
        self.properties.write_text("\n".join(lines) + "\n")

    def _security(self, keystore):
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
        return (
            "listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n"
            "listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule "
            'required user_u="s=e&cret";\n'
            f"listener.name.secure.scram-sha-256.sasl.jaas.config={scram}"
            f"listener.name.secure.scram-sha-512.sasl.jaas.config={scram}"
            "listener.name.tokens.sasl.enabled.mechanisms=OAUTHBEARER\n"
            "listener.name.tokens.oauthbearer.sasl.jaas.config="
            'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="kafka";\n'
            "listener.name.secure.ssl.client.auth=requested\nlistener.name.secure.ssl.truststore.type=PEM\n"
            f"listener.name.secure.ssl.truststore.location={self.certificate}\n"
            f"listener.name.secure.ssl.keystore.type=PEM\nlistener.name.secure.ssl.keystore.location={keystore}\n"
        )

    def _storage(self):
        return (
            f"log.dirs={self.folder}/data\noffsets.topic.replication.factor=1\n"
            "transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n"
            # One partition for the groups, and few threads: a broker has one test at a time.
            "offsets.topic.num.partitions=1\ntransaction.state.log.num.partitions=1\n"
            "num.network.threads=1\nnum.io.threads=2\nbackground.threads=2\n"
            "group.initial.rebalance.delay.ms=0\ngroup.min.session.timeout.ms=500\n"
        )

    def _formatted(self):
        """Return a folder with the storage of a new cluster, which is formatted once for all: it takes seconds."""
        of = "\n".join([*sorted(path.name for path in LIBS.glob("kafka*.jar")), *USERS])
        ready = CACHE / f"kafka-storage-{hashlib.sha256(of.encode()).hexdigest()[:16]}"
        if not ready.exists():
            words = ["format", "-t", cluster_id(), "-c", self.properties]
            self._java("kafka.tools.StorageTool", *words, *(word for user in USERS for word in ("--add-scram", user)))
            CACHE.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(dir=CACHE))
            shutil.move(self.folder / "data", made / "data")
            with contextlib.suppress(OSError):  # another process was faster
                (made / "data").rename(ready)
            shutil.rmtree(made)
        return ready

    def _classes(self):
        """Return an archive of the classes that a broker loads, made once for all: a start then takes half the work."""
        java = Path(shutil.which("java")).resolve()
        of = "\n".join(map(str, [java, java.stat().st_mtime_ns, *sorted(LIBS.glob("*.jar"))]))
        ready = CACHE / f"kafka-classes-{hashlib.sha256(of.encode()).hexdigest()[:16]}"
        with (CACHE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # else each process would make one
            if not ready.exists():
                self._archive(ready)
        return ready

    def _archive(self, ready):
        made = Path(tempfile.mkdtemp(dir=CACHE))
        broker = Kafka(starts_fast=False)
        broker._machine += (*FAST_START, f"-XX:ArchiveClassesAtExit={made / 'classes'}")
        broker.start()
        broker.signal(signal.SIGTERM)
        broker.process.wait(90)
        broker.remove()
        (made / "classes").rename(ready)
        shutil.rmtree(made)

    def _java(self, *words):
        program = self.run(*self._command(*words))
        if program.wait(60):
            raise RuntimeError(f"{words[0]} failed: {self.printed}")

    def _command(self, *words):
        return ["java", *self._machine, "-cp", f"{LIBS}/*", *map(str, words)]

    def launch(self):
        return self.run(*self._command("kafka.Kafka", self.properties))

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
