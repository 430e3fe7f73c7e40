"""Routing keys and headers with parameters of the event, on a real RabbitMQ."""

import asyncio

import pytest
from brokers.queues import channel_of
from evframe_rabbitmq import RabbitmqTransport, parse

import evframe
from evframe.delivery.probes import problem_of
from evframe.testing import until

pytestmark = pytest.mark.timeout(120)


async def test_each_message_has_the_key_and_the_headers_of_its_event(rabbitmq):
    """The messages of one batch go by their own keys; an event without the parameter fails alone, with its reason."""
    got = []
    async with channel_of(rabbitmq) as channel:
        exchange = await channel.declare_exchange("calls-by-caller", "topic", auto_delete=True)
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(exchange, "calls.#")
        events = evframe.EventInterface(plugins={"rabbitmq": RabbitmqTransport()})
        events.register_event("E")
        socket = f"rabbitmq:127.0.0.1:{rabbitmq.port}/exchange=calls-by-caller;header.n=no {{n}};header.s=x?calls.{{c}}"
        async with events:
            events.subscribe_event("E", socket)
            for number in range(5):
                events.raise_event("E", {"c": "ab"[number % 2], "n": number})
            events.raise_event("E", {"n": 5})
            events.raise_event("E", {"c": "x" * 300, "n": 6})
            events.raise_event("E", {"c": "a", "n": [7]})
            events.raise_event("E", {"c": "a", "n": 8})
            await until(lambda: not events.statistics[0].depth)
            [counters, _] = events.statistics
        async with asyncio.timeout(60), queue.iterator(no_ack=True) as messages:
            async for message in messages:
                got.append((message.routing_key, message.headers))
                if len(got) == 6:
                    break
    numbers = [0, 1, 2, 3, 4, 8]
    assert got == [(f"calls.{'ab'[n % 2]}", {"n": f"no {n}", "s": "x"}) for n in numbers]
    assert (counters.delivered, counters.reasons) == (6, {"missing_parameter": 1, "unfit_parameter": 2})
    assert counters.socket.endswith("/exchange=calls-by-caller;header.n=no%20{n};header.s=x?calls.{c}")


async def test_a_key_that_goes_to_no_queue_fails_alone(rabbitmq):
    """A message whose own key leads to no queue is unroutable; those before and behind it are delivered."""
    async with channel_of(rabbitmq) as channel:
        queue = await channel.declare_queue(exclusive=True)
        events = evframe.EventInterface(plugins={"rabbitmq": RabbitmqTransport()})
        events.register_event("E")
        async with events:
            events.subscribe_event("E", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{{queue}}")
            for name in (queue.name, "no-such-queue", queue.name):
                events.raise_event("E", {"queue": name})
            await until(lambda: not events.statistics[0].depth)
            assert (events.statistics[0].delivered, events.statistics[0].reasons) == (2, {"unroutable": 1})


@pytest.mark.parametrize(
    ("rest", "canonical", "parameters"),
    [
        ("h/calls.{c}", "guest@h/calls.{c}", ("c",)),
        ("h/header.x={a}?{b}", "guest@h/header.x={a}?{b}", ("a", "b")),
        ("h/a{{b", "guest@h/a{{b", ()),
        ("h/a}b", "guest@h/a%7Db", ()),
        ("h/a%7Bb%7D", "guest@h/a{{b}", ()),
        ("h/header.x=%7ba%7d?%7B{b}", "guest@h/header.x={{a}?{{{b}", ("b",)),
    ],
)
def test_canonical_texts_keep_the_template(rest, canonical, parameters):
    """The text of a socket with parameters has them as they were given, and is the same when it is parsed again."""
    socket = parse(rest)
    assert socket.canonical == f"rabbitmq:{canonical}"
    assert socket.parameters == parameters
    assert parse(canonical).canonical == socket.canonical


@pytest.mark.parametrize("rest", ["h/calls.{", "h/calls.{%7Bx%7D", "h/calls.{x%7D", "h/header.x={%7b?k"])
def test_a_brace_without_a_parameter_is_refused(rest):
    """A routing key with a brace that opens no parameter is an error, and encoded braces close none."""
    with pytest.raises(ValueError, match="expected a parameter in braces"):
        parse(rest)


async def test_a_value_of_a_reference_is_text(rabbitmq, tmp_path, monkeypatch):
    """Braces in a value are in the routing key as they are, and no message shows the value."""
    monkeypatch.setenv("NAME", "swordfish{c}")
    config = tmp_path / "evframe.toml"
    socket = f"rabbitmq:127.0.0.1:{rabbitmq.port}/exchange=amq.topic?${{env:NAME}}.{{c}}"
    config.write_text(
        '[core]\nstate_path = ""\n[plugins]\ndisable = ["mi-http"]\n[[events]]\nname = "E"\n'
        f'params = [{{ name = "c", type = "str" }}]\n[[subscriptions]]\nevent = "E"\nsocket = "{socket}"\n'
    )
    async with channel_of(rabbitmq) as channel:
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("amq.topic", "swordfish{c}.a")
        async with evframe.EventInterface.from_toml(config) as events:
            await events.raise_event_and_wait("E", {"c": "a"})
            [lease] = events.subscriptions
            assert lease.subscriber.socket.canonical.endswith("?${env:NAME}.{c}")
        message = await queue.get(no_ack=True)
    assert message.routing_key == "swordfish{c}.a"


async def test_a_probe_asks_for_no_queue_that_events_name(rabbitmq):
    """A routing key with parameters names no queue that could be asked for; the probe finds the broker."""
    events = evframe.EventInterface(plugins={"rabbitmq": RabbitmqTransport()})
    events.register_event("E")
    async with events:
        lease = events.subscribe_event("E", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{{queue}}")
        assert await problem_of(lease.subscriber) is None


async def test_an_event_whose_headers_are_too_large_fails_alone(rabbitmq):
    """The filled headers of a message fit in a frame of the broker, or its event alone is `too_large`."""
    headers = ";".join(f"header.h{number}={{v}}" for number in range(140))
    async with channel_of(rabbitmq) as channel:
        queue = await channel.declare_queue(exclusive=True)
        events = evframe.EventInterface(plugins={"rabbitmq": RabbitmqTransport()})
        events.register_event("E")
        async with events:
            events.subscribe_event("E", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{headers}?{queue.name}")
            for value in ("a", "x" * 1000, "b", "x" * 800, "x" * 1000):
                events.raise_event("E", {"v": value})
            await until(lambda: not events.statistics[0].depth)
            await events.raise_event_and_wait("E", {"v": "c"})
            counters = events.statistics[0]
        assert (counters.delivered, counters.reasons) == (4, {"too_large": 2})
        values = [(await queue.get(no_ack=True)).headers["h139"] for _ in range(4)]
        assert values == ["a", "b", "x" * 800, "c"]


async def test_a_text_that_is_longer_than_its_headers_is_no_problem(rabbitmq):
    """The names of parameters count for nothing: what is compared with the frame is what is sent."""
    name = "n" * 1400
    headers = ";".join(f"header.h{number}={{{name}}}" for number in range(100))
    async with channel_of(rabbitmq) as channel:
        queue = await channel.declare_queue(exclusive=True)
        events = evframe.EventInterface(plugins={"rabbitmq": RabbitmqTransport()})
        events.register_event("E")
        async with events:
            events.subscribe_event("E", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{headers}?{queue.name}")
            report = await events.raise_event_and_wait("E", {name: "a"})
        assert [outcome.delivered for outcome in report] == [True]
