"""Contexts that go with events, and spans of batches, against the SDK."""

import asyncio
import contextvars
import logging
import subprocess
import sys
import threading

import pytest
from evframe_policies import PoliciesPlugin
from evframe_route import RouteTransport
from evframe_tracing import Options, Tracing
from evframe_tracing.contexts import span_context_of
from evframe_tracing.headers import baggage_of, parent_of, state_of
from evframe_virtual import VirtualTransport
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import evframe
from evframe.config import parse_config
from evframe.plugin import Policy
from evframe.testing import MemoryTransport, until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = f"{PARENT[:-2]}00"


class Traced:
    """An interface with a subscriber in memory, and the spans that are made."""

    def __init__(self, options=None, *, socket="memory:m", sampler=None, **plugins):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler or ParentBased(ALWAYS_OFF))
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.memory = MemoryTransport()
        self.tracing = Tracing(options, provider=self.provider)
        self.events = evframe.EventInterface(plugins={"memory": self.memory, "tracing": self.tracing, **plugins})
        self.events.register_event("E_T")
        self.socket = socket

    async def __aenter__(self):
        self.events.subscribe_event("E_T", self.socket)
        await self.events.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.events.__aexit__(None, None, None)
        self.provider.shutdown()

    @property
    def got(self):
        return self.memory.delivered.get("m", [])

    def spans(self):
        return self.exporter.get_finished_spans()

    def counters(self):
        return self.tracing.statistics()[0].counters


def remote(parent=PARENT, state=None):
    """Return what makes a span elsewhere the current one."""
    ids = SpanContext(
        int(parent[3:35], 16),
        int(parent[36:52], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(parent[-2:], 16)),
        trace_state=TraceState(state) if state else None,
    )
    return trace.use_span(NonRecordingSpan(ids))


def numbered(number, flags="01"):
    return f"00-{number + 1:032x}-{number + 1:016x}-{flags}"


async def test_an_event_has_the_context_of_its_raise():
    """An event has the W3C headers of the span that is current at its raise, however it is raised."""
    async with Traced() as traced:
        with remote(state=[("vendor", "x1")]):
            traced.events.raise_event("E_T", {"n": 1})
            await traced.events.raise_event_and_wait("E_T", {"n": 2})
        traced.events.raise_event("E_T", {"n": 3})
        await until(lambda: len(traced.got) == 3)

    headers = {"traceparent": PARENT, "tracestate": "vendor=x1"}
    assert [event.carried for event in traced.got] == [headers, headers, None]
    assert [event.params for event in traced.got] == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_an_event_of_another_thread_has_the_context_of_its_thread():
    """An event of another thread has the context of that thread, although the loop's thread queues it."""
    async with Traced() as traced:

        def run():
            with remote():
                traced.events.raise_event("E_T")

        with remote(numbered(7)):
            thread = threading.Thread(target=contextvars.Context().run, args=(run,))
            thread.start()
            await asyncio.to_thread(thread.join)
        await until(lambda: traced.got)

    assert traced.got[0].carried == {"traceparent": PARENT}


async def test_a_batch_has_one_span_with_links():
    """A batch has one span, which is linked to each context of its events and a child of the first one."""
    async with Traced(Options(max_links=3)) as traced:
        for number in range(5):
            with remote(numbered(number)):
                traced.events.raise_event("E_T")
                traced.events.raise_event("E_T")
        await until(lambda: len(traced.got) == 10)
        await until(traced.spans)

    (span,) = traced.spans()
    assert (span.name, span.kind, span.status.status_code) == ("send memory", SpanKind.CLIENT, StatusCode.UNSET)
    assert (span.context.trace_id, span.parent.span_id, span.parent.is_remote) == (1, 1, True)
    assert [link.context.span_id for link in span.links] == [1, 2, 3]
    assert dict(span.attributes) == {
        "messaging.system": "memory",
        "messaging.destination.name": "memory:m",
        "messaging.batch.message_count": 10,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "evframe.links_left_out": 2,
    }
    assert span.start_time <= span.end_time
    assert traced.counters() == {"spans": 1, "links_left_out": 2, "refused": 0, "broken": 0}


@pytest.mark.parametrize("parent", [None, UNSAMPLED])
async def test_no_span_without_a_sampled_trace(parent):
    """Events without a context, or of a trace that is not sampled, have no span; the latter's context is kept."""
    async with Traced() as traced:
        with remote(parent) if parent else contextvars_nothing():
            await traced.events.raise_event_and_wait("E_T")

    assert [event.carried for event in traced.got] == [{"traceparent": parent} if parent else None]
    assert traced.spans() == ()
    assert traced.counters()["spans"] == 0


def contextvars_nothing():
    return trace.use_span(trace.INVALID_SPAN)


class Failing(MemoryTransport):
    """Fails one event, or all."""

    def __init__(self, problem=None):
        super().__init__()
        self.problem = problem

    @evframe.hookimpl(tryfirst=True)
    def deliver(self, socket, batch):
        if self.problem is not None:
            raise self.problem
        batch.fail(0, "too_large")
        return True


@pytest.mark.parametrize(
    ("problem", "reason", "failed"),
    [
        (None, "too_large", 1),
        (evframe.Rejected("forbidden"), "forbidden", 1),
        (ZeroDivisionError(), "ZeroDivisionError", 1),
    ],
)
async def test_a_failure_is_the_status_of_the_span(problem, reason, failed):
    """The span of a batch with failures has the status error, and their first reason."""
    async with Traced(memory=Failing(problem)) as traced:
        with remote():
            await traced.events.raise_event_and_wait("E_T")

    (span,) = traced.spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, reason)
    assert (span.attributes["error.type"], span.attributes["evframe.failed_count"]) == (reason, failed)


BAD = [
    "",
    "x",
    7,
    None.__class__,
    b"\xff\xfe",
    PARENT.upper(),
    PARENT[:-1],
    f"{PARENT}-more",
    f"{PARENT} ",
    f"ff{PARENT[2:]}",
    f"00-{'0' * 32}-b7ad6b7169203331-01",
    f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    f"01{PARENT[2:]}more",
    "0" * 100_000,
    {"traceparent": PARENT},
]


@pytest.mark.parametrize("value", BAD, ids=range(len(BAD)))
async def test_headers_that_are_no_context_are_refused(value, caplog):
    """What is no `traceparent` is counted and logged once in ten seconds; the block runs in no context."""
    async with Traced() as traced:
        for _ in range(3):
            with remote(), traced.tracing.within({"traceparent": value}):
                traced.events.raise_event("E_T")
        await until(lambda: len(traced.got) == 3)

        assert [event.carried for event in traced.got] == [None, None, None]
        assert traced.counters()["refused"] == 3
    assert [record.getMessage() for record in caplog.records] == ["the trace context of a message was refused"]


GOOD_STATES = ["a=1", "a=1,b=2", " a=1 ,\tb=2", "t@vendor=x", ",a=1"]
BAD_STATES = [
    "A=1",
    "a",
    "a=1,a=2",
    "a=\n",
    f"a={'x' * 600}",
    "a=é",
    ",".join(f"k{n}=1" for n in range(33)),
    9,
    b"\xff",
]


@pytest.mark.parametrize("state", [*GOOD_STATES, *BAD_STATES])
async def test_a_state_that_is_none_is_left_out(state, caplog):
    """A `tracestate` that is too long or not well formed is left out; the context is kept."""
    async with Traced() as traced:
        with traced.tracing.within({"traceparent": PARENT, "tracestate": state}):
            await traced.events.raise_event_and_wait("E_T")

    headers = {"traceparent": PARENT}
    if state in GOOD_STATES:
        headers["tracestate"] = ",".join(each.strip() for each in state.split(",") if each.strip())
    assert traced.got[0].carried == headers
    assert not caplog.records


@pytest.mark.parametrize("value", [PARENT, PARENT.encode(), f"cc{PARENT[2:]}", f"01{PARENT[2:]}-more"])
async def test_headers_of_messages_are_continued(value):
    """A block within the headers of a message raises in their context; later versions are read as version 00."""
    async with Traced() as traced:
        with traced.tracing.within({"traceparent": value, "other": object()}):
            await traced.events.raise_event_and_wait("E_T")
            assert trace.get_current_span().get_span_context().is_remote
        assert not context.get_current()

    assert traced.got[0].carried == {"traceparent": PARENT}


async def test_a_block_without_headers_is_in_no_context():
    """A message without a context does not get that of the task that consumes it."""
    async with Traced() as traced:
        with remote(), traced.tracing.within(None):
            await traced.events.raise_event_and_wait("E_T")

    assert traced.got[0].carried is None


@pytest.mark.parametrize("is_wanted", [False, True])
async def test_baggage_is_kept_when_it_is_wanted(is_wanted):
    """Baggage is kept with the option alone, with or without a span."""
    async with Traced(Options(baggage=is_wanted)) as traced:
        token = context.attach(baggage.set_baggage("user", "ann"))
        await traced.events.raise_event_and_wait("E_T")
        with remote():
            await traced.events.raise_event_and_wait("E_T")
        context.detach(token)
        with traced.tracing.within({"baggage": "user=bob"}):
            await traced.events.raise_event_and_wait("E_T")

    expected = [{"baggage": "user=ann"}, {"traceparent": PARENT, "baggage": "user=ann"}, {"baggage": "user=bob"}]
    assert [event.carried for event in traced.got] == (expected if is_wanted else [None, {"traceparent": PARENT}, None])


class Broken:
    """A span of a library that is broken."""

    def get_span_context(self):
        raise RuntimeError("broken")


async def test_a_broken_library_loses_no_event(caplog):
    """An error of the library costs an event its context, and nothing else."""
    async with Traced() as traced:
        token = context.attach(trace.set_span_in_context(_broken_span()))
        for _ in range(3):
            traced.events.raise_event("E_T")
        context.detach(token)
        await until(lambda: len(traced.got) == 3)

        assert traced.counters()["broken"] == 3
    assert [record.getMessage() for record in caplog.records] == ["a context could not be kept with an event"]


class Garbage:
    """A context of a span that says whatever it is made with."""

    is_valid = True
    is_remote = True

    def __init__(self, trace_id=1, span_id=1, flags=1, state=""):
        self.trace_id, self.span_id, self.trace_flags = trace_id, span_id, TraceFlags(flags)
        self.trace_state = State(state)


class State:
    """A state whose header is anything."""

    def __init__(self, text):
        self.to_header = lambda: text


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        Garbage(trace_id=1 << 128),
        Garbage(trace_id=0),
        Garbage(trace_id=-1),
        Garbage(trace_id="1"),
        Garbage(trace_id=1.5),
        Garbage(span_id=1 << 64),
        Garbage(span_id=0),
        Garbage(flags=256),
        Garbage(flags=-1),
        Garbage(state="a=b\r\nX-Other: 1"),
        Garbage(state="a=\0"),
        Garbage(state="a=\ud800"),
        Garbage(state=b"a=b"),
        Garbage(state=7),
        Garbage(state="none"),
    ],
)
async def test_a_span_of_another_library_is_a_context_or_none(garbage):
    """What is no context of W3C is not sent, whatever the library says that it is; the event is delivered."""
    span = NonRecordingSpan(garbage)
    async with Traced() as traced:
        with trace.use_span(span):
            for _ in range(2):
                await traced.events.raise_event_and_wait("E_T")

        assert [event.carried for event in traced.got] == [None, None]
        assert traced.counters()["broken"] == (2 if garbage else 0)
        assert traced.counters()["spans"] == 0


async def test_baggage_that_would_be_none_is_not_sent(monkeypatch):
    """Versions of the library that write names as they are cannot add headers to a request."""
    inject = lambda self, carrier, context: carrier.__setitem__("baggage", "a\r\nX-Other: 1=b")  # noqa: E731
    monkeypatch.setattr(W3CBaggagePropagator, "inject", inject)
    async with Traced(Options(baggage=True)) as traced:
        with remote():
            await traced.events.raise_event_and_wait("E_T")

    assert traced.got[0].carried == {"traceparent": PARENT}


async def test_an_event_that_is_raised_while_observing_ends():
    """The collector of unused objects may run at any point, and what it calls may raise an event."""
    async with Traced() as traced:
        end, ended = traced.tracing._end_observing, []

        def end_and_raise():
            with remote():
                traced.events.raise_event("E_T")
            ended.append(end())

        traced.tracing._end_observing = end_and_raise
        traced.tracing._stop_observing()
        assert ended
        await until(traced.spans)
        assert [event.carried for event in traced.got] == [{"traceparent": PARENT}]


def _broken_span():
    class BrokenSpan(NonRecordingSpan):
        def get_span_context(self):
            raise RuntimeError("broken")

    return BrokenSpan(trace.INVALID_SPAN_CONTEXT)


async def test_nothing_is_kept_once_the_plugin_is_unloaded():
    """After the end of the plugin an event has no headers, and those that have some do not send them."""
    async with Traced() as traced:
        traced.tracing.stop()
        with remote():
            await traced.events.raise_event_and_wait("E_T")
        assert traced.events.tracing is None

    assert traced.got[0].carried is None


class Steps:
    """A clock whose sleepers wake when the test says so."""

    def __init__(self):
        self._step = asyncio.Event()
        self.done = 0

    async def sleep(self, _):
        self.done += 1
        await self._step.wait()
        self._step.clear()

    async def next(self):
        before = self.done
        self._step.set()
        await until(lambda: self.done > before)


async def test_batches_are_observed_while_events_are_traced():
    """Batches are observed from the first event of a sampled trace on, until no such event is left."""
    traced, steps = Traced(), Steps()
    traced.tracing._sleep = steps.sleep

    def observers():
        return len(traced.events._roster.scheduler._observers)

    async with traced:
        await until(lambda: steps.done)
        seen = [observers()]
        await steps.next()
        seen.append(observers())
        with remote(UNSAMPLED):
            await traced.events.raise_event_and_wait("E_T")
        seen.append(observers())
        with remote():
            await traced.events.raise_event_and_wait("E_T")
        seen.append(observers())
        await steps.next()  # there was an event
        seen.append(observers())
        await steps.next()
        seen.append(observers())
        await asyncio.to_thread(contextvars.Context().run, _raise_in, traced.events)
        await until(lambda: len(traced.spans()) == 2)

    assert seen == [1, 0, 0, 1, 1, 0]


def _raise_in(events):
    with remote():
        events.raise_event("E_T")


@pytest.mark.parametrize("kind", ["async", "thread", "inline"])
async def test_a_route_runs_in_the_context_of_its_event(kind):
    """A route runs in the context of its event, so that its spans and the events that it raises continue the trace."""
    routes = RouteTransport()
    traced = Traced(socket="route:E_T", route=routes)
    tracer = traced.provider.get_tracer("test")
    found = []

    def plain(event):
        found.append((event["n"], trace.get_current_span().get_span_context().span_id))
        with tracer.start_as_current_span(f"work {event['n']}"):
            traced.events.raise_event("E_NEXT")

    async def asynchronous(event):
        plain(event)

    routes.add("E_T", asynchronous if kind == "async" else plain, inline=kind == "inline")
    traced.events.register_event("E_NEXT")
    traced.events.subscribe_event("E_NEXT", "memory:m")
    async with traced:
        for number in range(3):
            with remote(numbered(number)):
                traced.events.raise_event("E_T", {"n": number + 1})
        traced.events.raise_event("E_T", {"n": 4})
        await until(lambda: len(traced.got) == 4)

    assert found == [(1, 1), (2, 2), (3, 3), (4, 0)]
    work = {span.name: span for span in traced.spans() if span.name.startswith("work")}
    assert {name: span.parent.span_id for name, span in work.items()} == {"work 1": 1, "work 2": 2, "work 3": 3}
    continued = [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01" for span in work.values()]
    assert [event.carried and event.carried["traceparent"] for event in traced.got[:3]] == continued
    assert not int(traced.got[3].carried["traceparent"][-2:], 16) & 1


async def test_a_batch_of_many_contexts_has_few_links():
    """The span of a batch with a thousand contexts has the links that it may have, and the number of the others."""
    async with Traced(Options(max_links=10_000)) as traced:
        for number in range(1000):
            with remote(numbered(number)):
                traced.events.raise_event("E_T")
        await until(traced.spans)
    (span,) = traced.spans()

    assert len(span.links) + span.dropped_links == 1000
    assert len(span.links) == 128  # the limit of the SDK


async def test_no_links_are_wanted():
    """With `max_links = 0` a span has its parent alone."""
    async with Traced(Options(max_links=0)) as traced:
        with remote():
            await traced.events.raise_event_and_wait("E_T")
        await until(traced.spans)
    (span,) = traced.spans()

    assert (span.links, span.parent.span_id) == ((), 0xB7AD6B7169203331)
    assert span.attributes["evframe.links_left_out"] == 1


async def test_threads_that_raise_at_once_mix_no_contexts():
    """Each event of many threads has the context in which it was raised."""
    async with Traced() as traced:

        def run(number):
            for count in range(300):
                with remote(numbered(1000 * number + count)):
                    traced.events.raise_event("E_T", {"n": 1000 * number + count})

        threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        await until(lambda: len(traced.got) == 1200)
        for thread in threads:
            thread.join()

    assert all(event.carried == {"traceparent": numbered(event["n"])} for event in traced.got)


def test_a_service_without_a_loop():
    """A raise of a service that has no loop has the context of its thread."""
    memory, exporter = MemoryTransport(), InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with evframe.start_in_thread(plugins={"memory": memory, "tracing": Tracing(provider=provider)}) as events:
        events.register_event("E_T")
        events.subscribe_event("E_T", "memory:m")
        with provider.get_tracer("shop").start_as_current_span("order") as span:
            events.raise_event_and_wait("E_T")
    ids = span.get_span_context()

    assert memory.delivered["m"][0].carried["traceparent"][3:52] == f"{ids.trace_id:032x}-{ids.span_id:016x}"
    assert {each.context.trace_id for each in exporter.get_finished_spans()} == {ids.trace_id}


async def test_a_member_that_takes_over_gets_the_context():
    """An event that is handed over to another member of a combined subscriber keeps its context."""
    traced = Traced(socket="virtual:FAILOVER memory:away memory:m", virtual=VirtualTransport())
    traced.memory.when("away", _refuse)
    async with traced:
        with remote():
            await traced.events.raise_event_and_wait("E_T")
        await until(lambda: len(traced.spans()) == 3)

    assert [event.carried for event in traced.got] == [{"traceparent": PARENT}]
    found = {
        (span.attributes["messaging.destination.name"], span.kind, span.status.description) for span in traced.spans()
    }
    assert found == {
        ("memory:away", SpanKind.CLIENT, "away"),
        ("memory:m", SpanKind.CLIENT, None),
        ("virtual:FAILOVER memory:away memory:m", SpanKind.INTERNAL, None),
    }


def _refuse(_):
    raise evframe.Unavailable("away")


@pytest.mark.parametrize("has_names", [True, False])
async def test_a_part_of_an_event_has_its_context(has_names):
    """A subscriber that gets some of the parameters gets the context, too."""
    traced = Traced(policies=PoliciesPlugin())
    async with traced:
        traced.events.subscribe_event("E_T", "memory:part", policy=Policy(only=("a",) if has_names else ("none",)))
        with remote():
            await traced.events.raise_event_and_wait("E_T", {"a": 1, "b": 2})

    (part,) = traced.memory.delivered["part"]
    assert (part.carried, part.params) == ({"traceparent": PARENT}, {"a": 1} if has_names else None)


class Hanging(SpanExporter):
    """An exporter that neither returns nor works."""

    def __init__(self):
        self.may_return = threading.Event()
        self.begun = threading.Event()

    def export(self, spans):
        self.begun.set()
        self.may_return.wait(30)
        raise ConnectionError("no collector")

    def shutdown(self):
        pass


async def test_an_exporter_that_hangs_holds_up_no_delivery():
    """Events are delivered while the exporter of the batch processor hangs, and when it raises an error."""
    hanging, provider, memory = Hanging(), TracerProvider(), MemoryTransport()
    provider.add_span_processor(BatchSpanProcessor(hanging, schedule_delay_millis=1))
    events = evframe.EventInterface(plugins={"memory": memory, "tracing": Tracing(provider=provider)})
    events.register_event("E_T")
    events.subscribe_event("E_T", "memory:m")
    async with events:
        with remote():
            await events.raise_event_and_wait("E_T")
            await until(hanging.begun.is_set)
            for _ in range(100):
                assert (await events.raise_event_and_wait("E_T"))[0].reason is None
        hanging.may_return.set()
    await asyncio.to_thread(provider.shutdown)

    assert len(memory.delivered["m"]) == 101


class RaisingProcessor(SpanProcessor):
    """A processor that raises an error at each span."""

    def on_end(self, span):
        raise RuntimeError("broken")


async def test_a_processor_that_raises_costs_the_span_alone(caplog):
    """An error in the SDK is counted and logged once, and the events are delivered."""
    traced = Traced()
    traced.provider.add_span_processor(RaisingProcessor())
    async with traced:
        with remote():
            for _ in range(3):
                assert (await traced.events.raise_event_and_wait("E_T"))[0].reason is None
        await until(lambda: traced.counters()["broken"] == 3)

    assert [record.getMessage() for record in caplog.records] == ["a span could not be made"]


LATER = """
import asyncio, evframe
from evframe.testing import MemoryTransport
from evframe_tracing import Tracing
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

async def main():
    events = evframe.EventInterface(plugins={"memory": MemoryTransport(), "tracing": Tracing()})
    events.register_event("E_T")
    events.subscribe_event("E_T", "memory:m")
    async with events:
        await events.raise_event_and_wait("E_T")
        provider, exporter = TracerProvider(), InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
        with trace.get_tracer("shop").start_as_current_span("order"):
            await events.raise_event_and_wait("E_T")
        await asyncio.sleep(0)
    print(sorted(span.name for span in exporter.get_finished_spans()))

asyncio.run(main())
"""


def test_a_provider_that_is_set_later():
    """A provider of the process that is set after the start makes the spans from then on."""
    run = subprocess.run([sys.executable, "-c", LATER], capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout == "['order', 'send memory']\n"


async def test_reloads_load_change_and_unload_the_plugin():
    """A reload that adds the table begins to keep contexts, one that changes it applies, and one without it ends that."""

    def config(table):
        return parse_config(f'{table}\n[[events]]\nname = "E_T"\n')

    seen = []
    async with evframe.EventInterface(config("")) as events, events.listen("E_T") as stream:

        async def carried():
            token = context.attach(baggage.set_baggage("user", "ann"))
            with remote():
                events.raise_event("E_T")
            context.detach(token)
            return (await anext(stream)).carried

        for table in ("", "[plugins.tracing]", "[plugins.tracing]\nbaggage = true", "", "[plugins.tracing]"):
            events.reload(config(table))
            await until(lambda table=table: (events.tracing is not None) == bool(table))
            seen.append(await carried())

    headers = {"traceparent": PARENT}
    assert seen == [None, headers, {**headers, "baggage": "user=ann"}, None, headers]


@given(value=st.one_of(st.text(), st.binary(), st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*")))
def test_any_header_is_read_or_refused(value):
    """Whatever a header is, it is refused, or what is read of it is a context of the library with the same ids."""
    try:
        parent = parent_of({"traceparent": value})
    except ValueError:
        return
    found = span_context_of(parent, state_of({"tracestate": value}))

    assert found.is_valid
    assert parent[3:52] == f"{found.trace_id:032x}-{found.span_id:016x}"
    extracted = trace.get_current_span(TraceContextTextMapPropagator().extract({"traceparent": parent}))
    assert extracted.get_span_context() == found


@given(value=st.one_of(st.text(), st.from_regex(r"[a-z0-9@_*/-]{1,20}=[ -~]{1,20}(,[ \t]*[a-z@]{1,3}=[!-~]*)*")))
def test_any_state_is_read_as_the_library_reads_it(value):
    """A state that is not left out has each of its members in the library, which finds no fault with it."""
    state = state_of({"tracestate": value})
    if state is not None:
        assert TraceState.from_header([state]).to_header() == state


BAD_BAGGAGE = [
    "a",
    "=1",
    "a=1,b",
    "é=1",
    "a=\x00",
    "a b=1",
    f"a={'x' * 5000}",
    ",".join(["a=1"] * 181),
    "a=1" * 4000,
    b"\xff",
    5,
]


@pytest.mark.parametrize("value", BAD_BAGGAGE, ids=range(len(BAD_BAGGAGE)))
async def test_baggage_that_is_none_is_left_out(value, caplog):
    """Baggage that is not well formed is left out, without a line in the log; the trace is continued."""
    async with Traced(Options(baggage=True)) as traced:
        with traced.tracing.within({"traceparent": PARENT, "baggage": value}):
            await traced.events.raise_event_and_wait("E_T")

    assert traced.got[0].carried == {"traceparent": PARENT}
    assert not caplog.records


@given(value=st.one_of(st.text(), st.from_regex(r"[!-~]{1,5}=[ -~]{0,9}(,[ \t]*[a-z]{1,3}[ ]*=[!-~]*(;[!-~]*)?)*")))
def test_any_baggage_is_read_without_a_line_in_the_log(value):
    """The library finds no fault with baggage that is not left out."""
    found = baggage_of({"baggage": value})
    if found is not None:
        with Records("opentelemetry.baggage.propagation") as records:
            extracted = W3CBaggagePropagator().extract({"baggage": found}, context.Context())
        assert not records.lines
        assert baggage.get_all(extracted)


class Records(logging.Handler):
    """The lines of a logger."""

    def __init__(self, name):
        super().__init__()
        self.lines = []
        self._log = logging.getLogger(name)

    def emit(self, record):
        self.lines.append(record.getMessage())

    def __enter__(self):
        self._log.addHandler(self)
        return self

    def __exit__(self, *_):
        self._log.removeHandler(self)
