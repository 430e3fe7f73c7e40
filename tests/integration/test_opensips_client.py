"""Unmodified OpenSIPS clients, as processes of their own, against the gateway, over each management interface."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from forks import forked
from processes import child, until

TOOLS = Path(sys.executable).parent
PATIENCE_S = 10  # a tenth of a second, which clients wait for a datagram, can pass on a busy machine

CLIENT = """
import json, queue, sys
from opensips.event import OpenSIPSEventHandler
from opensips.mi import OpenSIPSMI

kind, options = json.loads(sys.argv[1])
mi = OpenSIPSMI(kind, **options)
print(json.dumps([event["name"] for event in mi.execute("events_list")["Events"]]))
print(mi.execute("evi:list")["Events"][0]["id"])
for params in (["E_TEST"], ["E_NOSUCH"]):
    try:
        mi.execute("raise_event", params)
    except Exception as error:
        print(error)
got = queue.Queue()
handler = OpenSIPSEventHandler(mi, "datagram", ip="127.0.0.1")
event = handler.subscribe("E_TEST", got.put)
print(mi.execute("subscribers_list", {"event": "E_TEST"})["Event"]["Subscribers"][0]["expire"])
print(mi.execute("raise_event", ["E_TEST", ["x", "2"]]), json.dumps(got.get(timeout=20)))
event.resubscribe()
print(mi.execute("raise_event", {"event": "E_TEST", "params": '{"s": "v", "i": 5}'}), json.dumps(got.get(timeout=20)))
event.unsubscribe()
print(json.dumps(mi.execute("subscribers_list")))
"""


@attrs.frozen
class Way:
    """How the clients reach a gateway."""

    running: object
    client: list
    mi: list
    event: list
    cli: list


def http(running, _):
    address = ["-t", "http", "-i", "127.0.0.1", "-p", str(running.port)]
    cli = ["communication_type=http", f"url={running.url}"]
    return Way(running, ["http", {"url": running.url}], address, address, cli)


def udp(running, _):
    bind = running.told("management requests are taken from datagrams")["bind"]
    ip, _, port = bind.rpartition(":")
    address = ["-t", "datagram", "-i", ip, "-p", port]
    options = {"datagram_ip": ip, "datagram_port": int(port), "datagram_timeout": PATIENCE_S}
    cli = [
        "communication_type=datagram",
        f"datagram_ip={ip}",
        f"datagram_port={port}",
        f"datagram_timeout={PATIENCE_S}",
    ]
    return Way(running, ["datagram", options], [*address, "-dt", str(PATIENCE_S)], address, cli)


def unix(running, folder):
    path = f"{folder}/mi.sock"
    options = {"datagram_unix_socket": path, "datagram_timeout": PATIENCE_S}
    cli = ["communication_type=datagram", f"datagram_unix_socket={path}", f"datagram_timeout={PATIENCE_S}"]
    # The tool for events has no option for a UNIX path.
    return Way(running, ["datagram", options], ["-t", "datagram", "-ds", path, "-dt", str(PATIENCE_S)], [], cli)


def fifo(running, folder):
    path = f"{folder}/fifo"
    options = {"fifo_file": path, "fifo_file_fallback": path, "fifo_reply_dir": str(folder)}
    tool = ["-t", "fifo", "-f", path, "-fb", path, "-fd", str(folder)]
    cli = ["communication_type=fifo", f"fifo_file={path}", f"fifo_file_fallback={path}", f"fifo_reply_dir={folder}"]
    return Way(running, ["fifo", options], tool, tool, cli)


def over(*ways):
    """Run a test over each of the ways."""
    return pytest.mark.parametrize("way", ways, ids=lambda way: way.__name__, indirect=True)


@pytest.fixture
def way(request, gateway, tmp_path):
    """Return a gateway with the event E_TEST, and one way to reach it."""
    socket_name = f"{tmp_path}/mi.sock" if request.param is unix else "udp:127.0.0.1:0"
    running = gateway(
        f'[plugins.mi-datagram]\nsocket_name = "{socket_name}"\n'
        f'[plugins.mi-fifo]\nfifo_name = "{tmp_path}/fifo"\nreply_dir = "{tmp_path}"\n'
        '[[events]]\nname = "E_TEST"\n'
    )
    return request.param(running, tmp_path)


@pytest.fixture(scope="module")
def tool():
    """Run a tool of the clients, whose modules are imported once for all: that takes most of the time of a run."""
    with forked("opensips.mi.__main__", "opensips.event.__main__", "opensipscli.main") as run:
        yield run


@pytest.fixture
def run(tool):
    """Return what a tool prints that has to work."""

    def run(*words):
        done = tool(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@over(http, udp, unix, fifo)
def test_client_lists_subscribes_receives_and_leaves(way):
    """The package `opensips` lists and raises events; its handler subscribes, receives, resubscribes and leaves."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps(way.client)], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    names, first_id, refused, unknown, expire, positional, named, left = done.stdout.splitlines()

    assert "E_TEST" in json.loads(names)
    assert first_id == "0"
    assert refused.endswith("480: Temporarily Unavailable")
    assert unknown.endswith("404: Event not registered")
    assert expire == "3600"
    assert positional == 'OK {"jsonrpc": "2.0", "method": "E_TEST", "params": ["x", "2"]}'
    assert named == 'OK {"jsonrpc": "2.0", "method": "E_TEST", "params": {"s": "v", "i": 5}}'
    assert json.loads(left) == {"Events": []}


@over(http, udp, unix, fifo)
def test_opensips_mi(way, run, tool):
    """The tool `opensips-mi` of the package shows results and errors."""
    assert json.loads(run(TOOLS / "opensips-mi", *way.mi, "version"))["Server"].startswith("OpenSIPS (4.")
    assert "E_TEST" in run(TOOLS / "opensips-mi", *way.mi, "events_list")
    assert json.loads(run(TOOLS / "opensips-mi", *way.mi, "-s", "processes_number")) == {"load:processes_number": 1}
    done = tool(TOOLS / "opensips-mi", *way.mi, "subscribers_list", "E_NOSUCH")
    assert "404: Event not published" in done.stdout + done.stderr


@over(http, udp, fifo)
def test_opensips_event(way, run):
    """The tool `opensips-event` of the package subscribes, prints what is raised, and leaves."""
    while "E_TEST" not in run(TOOLS / "opensips-event", *way.event, "-bc", "events").split():
        pass  # it waits for the answer to a datagram for a tenth of a second
    words = [TOOLS / "opensips-event", *way.event, "E_TEST", "-li", "127.0.0.1", "-e", "3"]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    client = way.running.client
    code = None
    while code != 0:  # it fails when an answer to a datagram takes longer than that
        with child(*words, stdout=subprocess.PIPE, text=True, env=env) as event:
            while event.poll() is None and not client.call("subscribers_list")["Events"]:
                pass
            client.call("raise_event", ["E_TEST", {"n": 1}])
            text = ""
            while text.count("}") < 2 and (line := event.stdout.readline()):
                text += line
            code = event.wait(timeout=20)  # it leaves when its time is over

    assert json.loads(text)["params"] == {"n": 1}
    until(lambda: client.call("subscribers_list") == {"Events": []})


@over(http, udp, unix, fifo)
def test_opensips_cli(way, run):
    """The command line `opensips-cli` finds the commands, and takes their parameters by position and by name."""
    options = [word for option in way.cli for word in ("-o", option)]

    def cli(*words):
        return json.loads(run(TOOLS / "opensips-cli", *options, "-x", "mi", *words))

    assert "E_TEST" in [event["name"] for event in cli("evi:list")["Events"]]
    assert cli("evi:subscribe", "E_TEST", "udp:127.0.0.1:9", "60") == "OK"
    assert cli("evi:raise", "E_TEST", "a", "b") == "OK"
    assert cli("evi:subscribers", "event=E_TEST")["Event"]["Subscribers"][0]["expire"] == 60
    assert cli("evi:subscribe", "E_TEST", "udp:127.0.0.1:9", "0") == "OK"
    assert cli("evi:subscribers") == {"Events": []}
    assert cli("statistics:get", "evi:", "timestamp").keys() >= {"evi:raised", "core:timestamp"}
    assert cli("statistics:get", "all").keys() == cli("statistics:list").keys()
    assert cli("status_report:get", "core")["Readiness"] is True


@over(http)
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([], ["Worker Capacity: ", "Shared Memory:", "Private Memory:", "DNS Queries:"]),
        (["memory"], ["Current Usage:", "Peak Usage:"]),
        (["dns"], ["DNS Queries [OK]", "0 / 0 queries"]),
        (["load"], ["OpenSIPS Processing Status"]),
    ],
    ids=["summary", "memory", "dns", "load"],
)
def test_opensips_cli_diagnoses(way, words, shown):
    """`opensips-cli -x diagnose` finds the statistics that it computes with, and goes on until it is interrupted."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [word for option in (*way.cli, f"diagnose_listen_port={port}") for word in ("-o", option)]
    command = [TOOLS / "opensips-cli", *options, "-x", "diagnose", *words]
    text = diagnosed(command)
    while "Failed to subscribe" in text:  # it waits for its subscription for less than a second
        text = diagnosed(command)
    for part in shown:
        assert part in text, text


def diagnosed(command):
    """Return what *command* prints until it has diagnosed twice, or ends."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "TERM": "dumb"}
    text = ""
    with child(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as diagnosis:
        while text.count("press Ctrl-c") < 2 and (line := diagnosis.stdout.readline()):
            text += line
    return text
