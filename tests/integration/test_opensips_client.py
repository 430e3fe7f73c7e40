"""An unmodified OpenSIPS client, as a process of its own, against the gateway."""

import json
import os
import subprocess
import sys
from pathlib import Path

CLIENT = """
import json, queue, sys
from opensips.event import OpenSIPSEventHandler
from opensips.mi import OpenSIPSMI

mi = OpenSIPSMI("http", url=sys.argv[1])
print(json.dumps([event["name"] for event in mi.execute("events_list")["Events"]]))
print(mi.execute("evi:list")["Events"][0]["id"])
try:
    mi.execute("raise_event", ["E_TEST"])
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


def test_client_lists_subscribes_receives_and_leaves(gateway):
    """The package `opensips` lists and raises events; its handler subscribes, receives, resubscribes and leaves."""
    running = gateway('[[events]]\nname = "E_TEST"\n')
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, running.url], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    names, first_id, refused, expire, positional, named, left = done.stdout.splitlines()

    assert "E_TEST" in json.loads(names)
    assert first_id == "0"
    assert refused.endswith("480: Temporarily Unavailable")
    assert expire == "3600"
    assert positional == 'OK {"jsonrpc": "2.0", "method": "E_TEST", "params": ["x", "2"]}'
    assert named == 'OK {"jsonrpc": "2.0", "method": "E_TEST", "params": {"s": "v", "i": 5}}'
    assert json.loads(left) == {"Events": []}


def test_tools_of_the_package(gateway):
    """Its command-line tools talk to the gateway too."""
    running = gateway('[[events]]\nname = "E_TEST"\n')
    tools = Path(sys.executable).parent
    common = ["-t", "http", "-i", "127.0.0.1", "-p", str(running.port)]

    def run(*words):
        return subprocess.run(words, capture_output=True, text=True, timeout=50, check=True).stdout

    assert json.loads(run(tools / "opensips-mi", *common, "version"))["Server"].startswith("OpenSIPS (4.")
    assert "E_TEST" in run(tools / "opensips-event", *common, "-bc", "events").split()
    event = subprocess.Popen(
        [tools / "opensips-event", *common, "E_TEST", "-li", "127.0.0.1", "-e", "3"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        while not running.client.call("subscribers_list")["Events"]:
            assert event.poll() is None
        running.client.call("raise_event", ["E_TEST", {"n": 1}])
        text = ""
        while text.count("}") < 2:
            text += event.stdout.readline()
        assert event.wait(timeout=20) == 0  # it leaves when its time is over
    finally:
        event.kill()
        event.wait()
        event.stdout.close()

    assert json.loads(text)["params"] == {"n": 1}
    assert running.client.call("subscribers_list") == {"Events": []}
