"""The libraries of plugins are imported when they are used, and never by the thread of a loop."""

import json
import subprocess
import sys

import pytest
from processes import bound

pytestmark = pytest.mark.timeout(120)
LIBRARIES = {
    "aio_pika",
    "aiobotocore",
    "aiohttp",
    "aiokafka",
    "aiormq",
    "botocore",
    "h11",
    "lxml",
    "opentelemetry",
    "redis",
}
CONFIG = """
[plugins.mi-http]
bind = "127.0.0.1:0"
[[plugins.rabbitmq-consumer.connections]]
queue = "q"
uri = "amqp://127.0.0.1:1/"
[[plugins.kafka-consumer.connections]]
topics = ["t"]
brokers = "127.0.0.1:1"
properties = { "partition.assignment.strategy" = "range" }
[plugins.dispatcher]
ds_ping_interval_s = 0.1
ds_probing_mode = 1
[[plugins.dispatcher.destinations]]
set = 1
uri = "http://127.0.0.1:1/"
[[plugins.opensips.instances]]
name = "one"
url = "http://127.0.0.1:1/mi"
[plugins.sqs]
access_key_id = "key"
secret_access_key = "secret"
region = "us-east-1"
[[events]]
name = "E_TEST"
[[subscriptions]]
event = "E_TEST"
socket = "rabbitmq:127.0.0.1:1/q"
[[subscriptions]]
event = "E_TEST"
socket = "kafka:127.0.0.1:1/t"
[[subscriptions]]
event = "E_TEST"
socket = "sqs:http://127.0.0.1:1/1/q"
[[subscriptions]]
event = "E_TEST"
socket = "xmlrpc:127.0.0.1:1:method"
[[subscriptions]]
event = "E_TEST"
socket = "redis://127.0.0.1:1?stream=s"
"""
LOADED = """
import sys, evframe
from evframe.config import parse_config
events = evframe.EventInterface(parse_config(sys.argv[1]))
found = sorted({name.partition(".")[0] for name in sys.modules})
"""
CHECKED = """
import sys, pathlib, tempfile
from evframe.cli import main
with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, "evframe.toml")
    file.write_text(sys.argv[1])
    assert not main(["check", "-c", str(file)], standalone_mode=False)
found = sorted({name.partition(".")[0] for name in sys.modules})
"""
WORKING = """
import asyncio, threading
main, found = threading.main_thread(), {}

class Recorder:
    def find_spec(self, name, *_):
        if threading.current_thread() is main:
            found.setdefault(name.partition(".")[0], name)

async def work():
    sys.meta_path.insert(0, Recorder())
    async with events:
        events.raise_event("E_TEST")
        while not all(lease.subscriber.attempts for lease in events.subscriptions):
            await asyncio.sleep(0.01)
        while not {"aiohttp.web", "h11"} <= set(sys.modules):
            await asyncio.sleep(0.01)
    assert {"aiokafka", "aio_pika", "aiormq", "aiohttp", "botocore", "lxml", "redis"} <= set(sys.modules)

asyncio.run(work())
"""


def names_in(program, config=""):
    words = bound(sys.executable, "-c", f"{program}\nimport json\nprint(json.dumps(sorted(found)))", config)
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize("config", ["", CONFIG], ids=["nothing", "everything"])
def test_a_load_imports_no_library_of_a_transport(config):
    """An interface that is not entered has imported none of the libraries, whatever is configured."""
    names = names_in(LOADED, config)
    assert {"evframe_kafka", "evframe_rabbitmq", "evframe_xmlrpc", "evframe_dispatcher", "evframe_mi_http"} <= names
    assert not names & LIBRARIES


def test_a_check_imports_no_library_of_a_client():
    """`evframe check` loads the commands of the client, which import h11 when one of them asks a gateway."""
    names = names_in(CHECKED, CONFIG)
    assert {"evframe_client", "evframe_opensips"} <= names
    assert not names & LIBRARIES


def test_a_working_interface_imports_beside_its_loop():
    """Subscribers, consumers and servers import their libraries on other threads, so that no turn waits for them."""
    assert not names_in(LOADED + WORKING, CONFIG) & LIBRARIES
