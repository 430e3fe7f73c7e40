"""At the limit of open files the management interfaces still answer."""

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from evframe_client import Client, ManagementError
from processes import child, until

LIMIT = 128
SUBSCRIBERS = 200


@pytest.fixture
def peer():
    """Return the port of a peer that takes connections at every address of this machine, and keeps them."""
    with socket.create_server(("0.0.0.0", 0), backlog=512) as server:
        taken = []

        def accept():
            try:
                while True:
                    taken.append(server.accept()[0])
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for connection in taken:
            connection.close()


@pytest.fixture
def gateway(tmp_path):
    """Run a gateway that may open few files; return its process and its clients."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    config = tmp_path / "evframe.toml"
    config.write_text(
        f'[core]\nstate_path = ""\n[plugins.mi-http]\nbind = "127.0.0.1:{port}"\n'
        f'[plugins.mi-fifo]\nfifo_name = "{tmp_path}/fifo"\nreply_dir = "{tmp_path}"\n[[events]]\nname = "E_A"\n'
    )
    words = ["-c", f'ulimit -n {LIMIT}; exec "$@"', "sh", sys.executable, "-m", "evframe", "run", "-c", config]
    clients = Client(f"http://127.0.0.1:{port}/mi"), Client(f"fifo://{tmp_path}/fifo?reply_dir={tmp_path}")
    with child("sh", *words, stderr=subprocess.DEVNULL) as process:
        until(lambda: answers(clients[0]))
        yield process, clients


def answers(client):
    try:
        return client.call("pwd")
    except ManagementError:
        return None


@pytest.mark.timeout(120)
def test_management_answers_at_the_limit_of_open_files(gateway, peer):
    """Subscribers take every other descriptor; each request over HTTP and the FIFO is answered nevertheless."""
    process, (http, fifo) = gateway
    for number in range(SUBSCRIBERS):
        assert http.call("event_subscribe", ["E_A", f"tcp:127.0.1.{number + 1}:{peer}"]) == "OK"
    http.call("raise_event", ["E_A"])
    folder = f"/proc/{process.pid}/fd"
    until(lambda: "too_many_files" in json.dumps(http.call("evi:statistics")))
    for _ in range(30):
        assert http.call("pwd")
        assert fifo.call("pwd")
    assert LIMIT * 3 // 4 < len(os.listdir(folder)) <= LIMIT
