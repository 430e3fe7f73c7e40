"""A gateway with workers, as processes."""

import json
import os
import signal
import socket
import sys

from processes import until

COMMAND = "import sys; from evframe.cli.commands import main; main([*sys.argv[1:], '--workers', '1'])"


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def test_a_gateway_with_a_worker(gateway, tmp_path):
    """Signals to a worker have no effect, its death loses nothing, and it ends with the gateway, however that ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        target = "udp:127.0.0.1:%d" % receiver.getsockname()[1]
        running = gateway('[[events]]\nname = "E_TEST"\n', command=(sys.executable, "-c", COMMAND))
        ready = running.line("a worker is ready")
        assert ready["worker"] == 0
        running.client.call("event_subscribe", ["E_TEST", target, 600])
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(ready["pid"], number)
        running.client.call("raise_event", {"event": "E_TEST", "params": {"n": 1}})
        assert json.loads(receiver.recv(4096))["params"] == {"n": 1}
        (listed,) = running.client.call("subscribers_list")["Events"][0]["Subscribers"]
        assert (listed["socket"], listed["Worker"]) == (target, 0)

        os.kill(ready["pid"], signal.SIGKILL)
        assert running.line("a worker has ended")["how"] == "ended by SIGKILL"
        running.client.call("raise_event", {"event": "E_TEST", "params": {"n": 2}})
        assert json.loads(receiver.recv(4096))["params"] == {"n": 2}
        pid = running.line("a worker is ready")["pid"]
        assert running.client.call("get_statistics", [["workers:restarts"]]) == {"workers:restarts": 1}

        file = tmp_path / "evframe.toml"
        file.write_text(file.read_text() + f'[[subscriptions]]\nevent = "E_NEW"\nsocket = "{target}"\n')
        running.process.send_signal(signal.SIGHUP)
        running.line("the configuration was loaded again")
        running.client.call("raise_event", {"event": "E_NEW", "params": {"n": 3}})
        assert json.loads(receiver.recv(4096))["params"] == {"n": 3}

        os.kill(pid, signal.SIGSTOP)  # as a delivery that never returns to the loop, it reads nothing any more
        running.process.kill()
        until(lambda: not is_running(pid))
