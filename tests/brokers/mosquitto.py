"""A Mosquitto of the tests' own: a folder, free ports and an end."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time

from brokers import certificates
from brokers.own import OwnBroker, free_port

MISSING = (
    "a Mosquitto is needed: apt-get install -y --no-install-recommends mosquitto, "
    "or leave these tests out with --without-brokers"
)
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
MOST_BYTES = 1_000_000
"""Of a packet, which the server tells at the login; `MOST_PAYLOAD` of a message, which it does not."""
MOST_PAYLOAD = 900_000
USER, PASSWORD = "writer", "s3cret-of-writer"
CONNECT = b"\x10\x10\x00\x04MQTT\x05\x02\x00\x05\x00\x00\x03own"


class Mosquitto(OwnBroker):
    """Starts within a tenth of a second; `stop` and `start` again keep the ports and the sessions.

    It writes its file of sessions when it ends, or when `save` asks for it: what it has acknowledged since then is
    gone with a SIGKILL.
    """

    name = "Mosquitto"

    def __init__(self):
        self._program = shutil.which("mosquitto", path=PATH)
        if self._program is None:
            raise RuntimeError(MISSING)
        super().__init__()
        self.port, self.tls_port = free_port(), free_port()
        certificates.make(self.folder)
        self.certificate = self.folder / "certificate.pem"
        passwords, rights = self.folder / "passwords", self.folder / "rights"
        passwords.write_text(f"{USER}:{PASSWORD}\n")
        subprocess.run([shutil.which("mosquitto_passwd", path=PATH), "-U", passwords], check=True, timeout=30)
        rights.write_text(f"user {USER}\ntopic readwrite own/#\n")
        (self.folder / "mosquitto.conf").write_text(
            "per_listener_settings true\nuser root\nlog_type error\nlog_type warning\nlog_type notice\n"
            f"persistence true\npersistence_location {self.folder}/\nautosave_interval 0\nmax_queued_messages 0\n"
            f"max_packet_size {MOST_BYTES}\nmessage_size_limit {MOST_PAYLOAD}\n"
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"listener {self.tls_port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\n"
            f"acl_file {rights}\ncertfile {self.certificate}\nkeyfile {self.folder / 'certificate-key.pem'}\n"
        )

    def launch(self):
        return self.run(self._program, "-c", self.folder / "mosquitto.conf")

    def answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
            probe.settimeout(2)
            probe.sendall(CONNECT)
            return bool(probe.recv(1))
        return False

    def save(self):
        """Have the file of sessions written, and return once it is."""
        file = self.folder / "mosquitto.db"
        before = file.stat().st_ino if file.exists() else None
        self.signal(signal.SIGUSR1)
        until = time.monotonic() + 30
        while not file.exists() or file.stat().st_ino == before:
            if time.monotonic() > until:
                raise RuntimeError("Mosquitto did not write its file")
            time.sleep(0.01)
