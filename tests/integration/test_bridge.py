"""The bridge between gateways that are processes of their own."""

import json
import socket
import time

import pytest
from brokers.own import free_port
from processes import until

FORGETFUL = '[core]\nstate_path = ""\n'
EVENTS = '[[events]]\nname = "E_PIKE_BLOCKED"\n[[events]]\nname = "E_CUSTOM"\n'
CHOICE = '[plugins.opensips]\nmodules = ["pike"]\nevents = ["E_CUSTOM"]\ncheck_interval_s = 0.1\n'
REMOTE = FORGETFUL + EVENTS
BRIDGE = FORGETFUL + CHOICE


def instance(name, remote, more=""):
    return f'[[plugins.opensips.instances]]\nname = "{name}"\nurl = "http://127.0.0.1:{remote}/mi"\n{more}\n'


def subscription(event, receiver):
    return f'[[subscriptions]]\nevent = "{event}"\nsocket = "udp:127.0.0.1:{receiver.getsockname()[1]}"\n'


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)
        yield sock


def received(receiver):
    return json.loads(receiver.recv(65536))


def leases(remote):
    return {
        event["name"]: [each["socket"] for each in event["Subscribers"]]
        for event in remote.client.call("subscribers_list")["Events"]
    }


@pytest.mark.parametrize("transport", ["udp", "tcp", "unix"])
def test_fleet(gateway, receiver, tmp_path, transport):
    """The events of two gateways arrive with their names, and no lease is left when the bridge has ended."""
    first, second = gateway(REMOTE), gateway(REMOTE + "[plugins.stream]\nreliable_mode = true\n")
    more = [f'transport = "{transport}"\n' + f'path = "{tmp_path}/{name}"' * (transport == "unix") for name in "ab"]
    bridge = gateway(
        BRIDGE
        + instance("first", first.port, more[0])
        + instance("second", second.port, more[1])
        + subscription("E_PIKE_BLOCKED", receiver)
    )
    until(lambda: len(leases(first)) == len(leases(second)) == 2)
    for remote, name in ((first, "first"), (second, "second"), (first, "first")):
        remote.client.call("raise_event", ["E_PIKE_BLOCKED", {"ip": "192.0.2.1"}])
        assert received(receiver) == {
            "jsonrpc": "2.0",
            "method": "E_PIKE_BLOCKED",
            "params": {"ip": "192.0.2.1", "opensips_instance": name},
        }
    if transport == "tcp":
        until(lambda: second.client.call("evi:statistics")["Subscribers"][0]["delivered"] == 1)
    assert bridge.stop() == 0
    assert leases(first) == leases(second) == {}


@pytest.mark.parametrize("transport", ["udp", "tcp", "unix"])
def test_cloud_events(gateway, receiver, tmp_path, transport):
    """A gateway that sends CloudEvents is bridged as any other; the type without the prefix is the event."""
    prefix = '[plugins.cloudevents]\ntype_prefix = "org.example."\n'
    plugin = "stream" if transport == "tcp" else "datagram"
    remote = gateway(f'{REMOTE}{prefix}[plugins.{plugin}]\nformat = "cloudevents"\n')
    more = f'transport = "{transport}"\n' + f'path = "{tmp_path}/a"' * (transport == "unix")
    gateway(BRIDGE + prefix + instance("one", remote.port, more) + subscription("E_PIKE_BLOCKED", receiver))
    until(lambda: len(leases(remote)) == 2)
    for ip in ("192.0.2.1", "x" * 20_000):
        remote.client.call("raise_event", ["E_PIKE_BLOCKED", {"ip": ip}])
        assert received(receiver)["params"] == {"ip": ip, "opensips_instance": "one"}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_kill_and_restart(gateway, receiver, transport):
    """A gateway that is killed and comes back is subscribed again; so is a lease that was ended behind the bridge's back."""
    port = free_port()
    remote = gateway(REMOTE, port)
    bridge = gateway(
        BRIDGE + instance("one", port, f'transport = "{transport}"') + subscription("E_PIKE_BLOCKED", receiver)
    )
    until(lambda: len(leases(remote)) == 2)
    remote.process.kill()
    remote.process.wait()
    bridge.line("an instance is away")
    remote = gateway(REMOTE, port)
    bridge.line("an instance is attached")
    remote.client.call("raise_event", ["E_PIKE_BLOCKED", {"ip": "restarted"}])
    assert received(receiver)["params"]["ip"] == "restarted"

    (target,) = leases(remote)["E_PIKE_BLOCKED"]
    remote.client.call("event_subscribe", ["E_PIKE_BLOCKED", target, 0])
    until(lambda: leases(remote).get("E_PIKE_BLOCKED") == [target])
    remote.client.call("raise_event", ["E_PIKE_BLOCKED", {"ip": "again"}])
    assert received(receiver)["params"]["ip"] == "again"
    (told,) = bridge.client.call("opensips:instances")["Instances"]
    assert (told["received"], told["raised"], told["unparsed"], told["refused"]) == (2, 2, 0, {})
    assert told["lost_leases"] == 3


def test_fleet_of_fleets(gateway, receiver):
    """An event that comes by way of two gateways has both names."""
    remote = gateway(REMOTE)
    middle = gateway(BRIDGE + instance("proxy", remote.port))
    gateway(BRIDGE + instance("site", middle.port) + subscription("E_PIKE_BLOCKED", receiver))
    until(lambda: "E_PIKE_BLOCKED" in leases(remote) and "E_PIKE_BLOCKED" in leases(middle))
    remote.client.call("raise_event", ["E_PIKE_BLOCKED", {"ip": "192.0.2.1"}])

    assert received(receiver)["params"] == {"ip": "192.0.2.1", "opensips_instance": "site/proxy"}


def test_events_do_not_go_round(gateway):
    """Of gateways that are configured to bridge each other one does, and every event is raised once at each."""
    ports = free_port(), free_port()
    every = [
        gateway(FORGETFUL + CHOICE + instance("other", ports[1 - index]) + EVENTS, ports[index]) for index in (0, 1)
    ]

    def told(one):
        return one.client.call("opensips:instances")["Instances"][0]

    def attached():
        return [told(one)["ready"] for one in every]

    until(lambda: sorted(attached()) == [False, True] and any("circle" in told(one)["details"] for one in every))
    for number in range(3):
        for one in every:
            if leases(one):
                one.client.call("raise_event", ["E_CUSTOM", ["positional", number]])
    source, bridge = sorted(every, key=lambda one: told(one)["ready"])
    until(lambda: told(bridge)["raised"] == 3)
    time.sleep(0.5)  # in which an event that goes round would do so a thousand times

    def raised(one):
        return [event["raised"] for event in one.client.call("evi:statistics")["Events"] if event["name"] == "E_CUSTOM"]

    assert raised(source) == raised(bridge) == [3]
    assert sorted(attached()) == [False, True]
