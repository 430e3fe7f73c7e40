"""The brokers that the tests start: their ids, their end, and the worker that has them."""

import base64
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from brokers import kafka
from brokers.own import MARK
from processes import child

from evframe.testing import until

TESTS = Path(__file__).resolve().parents[1]
STARTS = """
import sys, time
sys.path.append(sys.argv[1])
from brokers.own import OwnBroker

broker = OwnBroker()
print(broker.folder, flush=True)
broker.run("sh", "-c", "setsid sleep 1000 & sleep 1000")
time.sleep(1000)
"""


def marked(folder):
    """Return the processes that were started for a folder, but not the one that ends them."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and f"{MARK}={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("first", [0x00, 0x7F, 0x80, 0xF8, 0xFB, 0xFF])
def test_cluster_id_is_no_option(monkeypatch, first):
    """An id of a Kafka cluster does not begin with `-`, whatever the random number is, and has its 16 bytes."""
    monkeypatch.setattr(kafka.secrets, "token_bytes", lambda size: bytes([first]) + bytes(size - 1))

    made = kafka.cluster_id()

    assert made[0] not in "-_"
    assert len(base64.urlsafe_b64decode(made + "==")) == 16


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_end_that_is_sure(how):
    """A broker, what it started and its folder are gone after the process of the tests, even if that is killed."""
    with child(sys.executable, "-c", STARTS, str(TESTS), stdout=subprocess.PIPE, text=True) as tests:
        folder = Path(tests.stdout.readline().strip())
        await until(lambda: len(marked(folder)) == 3)
        tests.send_signal(how)
        tests.wait(timeout=20)

    await until(lambda: not marked(folder) and not folder.exists())


def test_the_tests_of_a_broker_are_known(request):
    """Every test of this session that takes a broker or a browser is kept together with others that do, and no other test is."""
    scheduling = pytest.importorskip("brokers.scheduling", reason="pytest-xdist is not installed")
    for item in request.session.items:
        takes = [each for each in ("kafka", "rabbitmq", "look") if each in getattr(item, "fixturenames", ())]
        assert scheduling.broker_of(item.nodeid) == next(iter(takes), None), item.nodeid

    faults = "tests/test_faults.py::TestFaults::test_faults_of_the_broker_lose_nothing"
    assert scheduling.broker_of(f"plugins/evframe-kafka/{faults}[kill]") == "kafka"
    assert scheduling.broker_of(f"plugins/evframe-rabbitmq/{faults}[stop]") == "rabbitmq"
    assert scheduling.broker_of("plugins/evframe-kafka/tests/test_kafka.py::TestContract::test_outcome") == "kafka"
    assert scheduling.broker_of("tests/integration/test_reloading.py::test_flatstore") is None
