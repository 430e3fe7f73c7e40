"""The networks of an interface hold for the leases that it made, for as long as they live."""

import sys

import attrs
import pytest
from evframe_mi import ManagementOptions, NarrowingOptions
from networks import LOCAL, PRIVATE, address_of, made, subscribe

import evframe
from evframe.testing import FakeNames, until


async def test_each_interface_limits_its_own_leases():
    """Two interfaces that subscribe ports of one name reach their own networks, whichever came last."""
    for order in (["mi-a", "mi-b"], ["mi-b", "mi-a"]):
        ports = {"mi-a": 1, "mi-b": 2}
        events = made(**{"mi-a": PRIVATE, "mi-b": LOCAL})
        with FakeNames({"moves": ["10.1.1.1", "127.0.0.1"]}) as names:
            events.resolver.lookup = names
            async with events:
                for interface in order:
                    assert subscribe(events, interface, "E_A", f"udp:moves:{ports[interface]}") == "OK"
                assert await address_of(events, "moves", 1) == ["10.1.1.1"]
                assert await address_of(events, "moves", 2) == ["127.0.0.1"]
                events.subscribe_event("E_A", "udp:moves:3")
                assert await address_of(events, "moves", 1) == ["10.1.1.1"]
                assert await address_of(events, "moves", 3) == ["10.1.1.1", "127.0.0.1"]


async def test_the_narrowest_holds_for_a_shared_connection():
    """Leases on the same name and port share a connection, within the networks of all of them, until one ends."""
    events = made(wide=NarrowingOptions(), narrow=PRIVATE)
    with FakeNames({"moves": ["10.1.1.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            assert subscribe(events, "narrow", "E_A", "udp:moves:1") == "OK"
            assert subscribe(events, "wide", "E_B", "udp:moves:1") == "OK"
            assert await address_of(events, "moves", 1) == ["10.1.1.1"]
            names["moves"] = ["127.0.0.1"]
            events.resolver.refresh_all()
            await until(lambda: events.resolver.known("moves", 1) is None)
            assert await address_of(events, "moves", 1) == "forbidden"
            assert subscribe(events, "narrow", "E_A", "udp:moves:1", 0) == "OK"
            assert await address_of(events, "moves", 1) == ["127.0.0.1"]


async def test_a_narrower_interface_takes_no_name_from_others():
    """A lease that would leave another one's name without an address is refused; so is one on an unknown name."""
    events = made(wide=NarrowingOptions(), narrow=PRIVATE)
    with FakeNames({"local": ["127.0.0.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            for host in ("local", "unknown"):
                assert subscribe(events, "wide", "E_A", f"udp:{host}:1") == "OK"
                await address_of(events, host, 1)
                assert subscribe(events, "narrow", "E_B", f"udp:{host}:1") == 400
                assert subscribe(events, "narrow", "E_A", f"udp:{host}:1") == 400, "a refresh"
            assert await address_of(events, "local", 1) == ["127.0.0.1"]
            assert events.plugin("mi").policies.refused == {"networks": 4}


async def test_a_refresh_leaves_the_networks_of_a_lease():
    """A lease keeps the interface that made it, whichever interface refreshes it."""
    events = made(wide=NarrowingOptions(), narrow=PRIVATE)
    with FakeNames({"local": ["127.0.0.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            assert subscribe(events, "narrow", "E_A", "udp:local:1") == "OK"
            assert subscribe(events, "wide", "E_A", "udp:local:1") == "OK"
            assert await address_of(events, "local", 1) == "forbidden"


async def test_the_configuration_is_not_limited_and_lends_nothing(caplog):
    """A client's lease on a configured name and port ends when the name leaves its networks, without a delivery."""
    events = made(narrow=PRIVATE)
    net = events.plugin("net")
    with FakeNames({"moves": ["10.1.1.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            events.subscribe_event("E_A", "udp:moves:1", configured=True)
            assert await address_of(events, "moves", 1) == ["10.1.1.1"]
            assert subscribe(events, "narrow", "E_B", "udp:moves:1") == "OK"
            assert subscribe(events, "narrow", "E_C", "udp:MOVES:1") == "OK"
            names["moves"] = names["MOVES"] = ["127.0.0.1"]
            events.resolver.refresh_all()
            await until(lambda: events.resolver.answer("moves", 1)[0].ip == "127.0.0.1")
            assert [lease.event.name for lease in events.subscriptions] == ["E_A", "E_C"]
            for name in ("E_A", "E_B", "E_C"):
                events.raise_event(name)
            await until(lambda: net.reached)
            assert net.reached == [("E_A", "127.0.0.1")]
    assert [record.rule for record in caplog.records if record.msg == "the policy ends a subscription"] == ["networks"]


async def test_an_own_subscription_frees_a_name():
    """What this process subscribes reaches any address, though a client's lease limited the name before."""
    events = made(narrow=PRIVATE)
    with FakeNames({"local": ["127.0.0.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            assert subscribe(events, "narrow", "E_A", "udp:local:1") == "OK"
            assert await address_of(events, "local", 1) == "forbidden"
            events.subscribe_event("E_B", "udp:local:1")
            assert await address_of(events, "local", 1) == ["127.0.0.1"]
            assert [lease.event.name for lease in events.subscriptions] == ["E_B"]


async def test_this_process_takes_a_lease_of_a_client_over():
    """What this process subscribes, though a client has subscribed the same before, reaches any address."""
    events = made(narrow=PRIVATE)
    with FakeNames({"local": ["127.0.0.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            assert subscribe(events, "narrow", "E_A", "udp:local:1", 60) == "OK"
            assert await address_of(events, "local", 1) == "forbidden"
            events.subscribe_event("E_A", "udp:local:1")
            assert await address_of(events, "local", 1) == ["127.0.0.1"]
            assert [lease.is_client for lease in events.subscriptions] == [False]


async def test_what_waits_for_a_lease_that_has_ended_stays_within_its_networks():
    """Events that wait when a lease ends reach no other network, though this process subscribes the name then."""
    events = made(narrow=PRIVATE)
    net = events.plugin("net")
    with FakeNames({"local": ["127.0.0.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            assert subscribe(events, "narrow", "E_A", "udp:local:1") == "OK"
            assert await address_of(events, "local", 1) == "forbidden"
            events.raise_event("E_A")
            await until(lambda: events.statistics[0].away == "forbidden")
            assert subscribe(events, "narrow", "E_A", "udp:local:1", 0) == "OK"
            assert await address_of(events, "local", 1) == "forbidden", "until the subscriber is done"
            events.subscribe_event("E_B", "tcp:local:1")
            events.raise_event("E_B")
            await until(lambda: net.reached)
            await until(lambda: events.statistics[-1].raised)
            assert net.reached == [("E_B", "127.0.0.1")]
            assert events.statistics[-1].reasons == {"forbidden": 1}


async def test_reload_takes_other_networks_of_an_interface():
    """Leases of one interface follow its networks: names are limited, numeric targets outside of them end."""
    events = made(mi=NarrowingOptions(), other=NarrowingOptions())
    with FakeNames({"local": ["127.0.0.1"]}) as names:
        events.resolver.lookup = names
        async with events:
            for interface, port in (("mi", 1), ("other", 2)):
                assert subscribe(events, interface, "E_A", f"udp:local:{port}") == "OK"
                assert subscribe(events, interface, "E_A", f"udp:127.0.0.1:{port}") == "OK"
            events.plugin("mi").policies.configure(ManagementOptions(), {"mi": PRIVATE})
            ended = events.plugin("mi").leases.review()
            assert [lease.subscriber.socket.canonical for lease in ended] == ["udp:127.0.0.1:1"]
            assert await address_of(events, "local", 1) == "forbidden"
            assert await address_of(events, "local", 2) == ["127.0.0.1"]


@pytest.mark.parametrize("scheme", ["udp", "kafka", "sqs"])
def test_a_transport_without_endpoints_is_no_way_around_networks(scheme):
    """Where networks are limited, a socket that does not name its hosts is refused, and the log names the reason."""
    unnamed = attrs.make_class("Unnamed", ["canonical"])(f"{scheme}:somewhere")
    policies = made(general=ManagementOptions(networks=["10.0.0.0/8"], schemes=["*"])).plugin("mi").policies
    with pytest.raises(evframe.exceptions.ForbiddenError, match="sockets have endpoints") as caught:
        policies.general.check_socket(unnamed)
    assert caught.value.rule == "networks"
    made(general=ManagementOptions(schemes=["*"])).plugin("mi").policies.general.check_socket(unnamed)


def test_a_network_scheme_needs_endpoints_that_are_not_empty():
    """An empty `endpoints` is for paths and callables, not for the schemes of the network."""
    policies = made(general=ManagementOptions(networks=["10.0.0.0/8"], schemes=["*"])).plugin("mi").policies
    make = attrs.make_class("Named", ["canonical", "endpoints"])
    for text in ("unix:/run/x", "route:E_A", "memory:a"):
        policies.general.check_socket(make(text, ()))
    for text in ("udp:a", "tcp:a", "xmlrpc:a", "xmlrpcs:a", "rabbitmq:a", "kafka:a"):
        with pytest.raises(evframe.exceptions.ForbiddenError, match="endpoints"):
            policies.general.check_socket(make(text, ()))


async def steps_with(others):
    """Return the steps for an answer of the resolver beside leases on *others* hosts, and look at what it does."""
    events = made(narrow=PRIVATE)
    with FakeNames({"moves": ["10.1.1.1"], **{f"h{number}": ["10.1.1.1"] for number in range(others)}}) as names:
        events.resolver.lookup = names
        async with events:
            for number in range(others):
                assert subscribe(events, "narrow", "E_A", f"udp:h{number}:1") == "OK"
            assert subscribe(events, "narrow", "E_A", "udp:moves:1") == "OK"
            assert await address_of(events, "moves", 1) == ["10.1.1.1"]
            events.subscribe_event("E_B", "udp:moves:1")
            steps = lines_of(events.plugin("mi").leases._end_outside, "moves", 1)
            assert len(events.subscriptions) == others + 2
            names["moves"] = ["127.0.0.1"]
            events.resolver.refresh_all()
            await until(lambda: len(events.subscriptions) == others + 1)
            networks = events.plugin("mi").leases
            held = {(name, lease) for lease, (_, names) in networks._held.items() for name in names}
            assert {
                ((host, port), lease)
                for host, ports in networks._hosts.items()
                for port, holders in ports.items()
                for leases in holders.values()
                for lease in leases
            } == held
            assert len(networks._hosts) == others + 1
    return steps


async def test_an_answer_is_compared_with_the_leases_on_its_host_alone():
    """The steps for an answer of the resolver grow with the leases on that host, and not with those on others."""
    assert await steps_with(1) == await steps_with(200)


def lines_of(function, *arguments):
    """Return how many lines of *function* a call executes."""
    counted = 0

    def trace(frame, kind, _):
        nonlocal counted
        if frame.f_code is not function.__func__.__code__:
            return None
        counted += kind == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    finally:
        sys.settrace(before)
    return counted
