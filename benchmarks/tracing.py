"""What tracing costs an event over UDP: not loaded, in no context, and in contexts that are sampled or not.

usage: python benchmarks/tracing.py [rounds]

Interfaces that differ in nothing else take turns, so that all of them meet the same machine. The figures are
microseconds of processor time for each event, medians of the rounds, with the medians of the rounds' ratios to the
interface without the plugin.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from evframe_datagram import DatagramTransport
from evframe_tracing import Tracing
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

import evframe
from evframe.cli.gateway import run_loop, set_up_collector

EVENTS_EACH: Final = 20_000
KINDS: Final = ("not loaded", "no context", "not sampled", "one sampled span", "a sampled span each turn")


def within(flags: int, span: int = 1) -> AbstractContextManager[object]:
    """Return what makes a span of another process the current one."""
    context = SpanContext(7, span, is_remote=True, trace_flags=TraceFlags(flags))
    return use_span(NonRecordingSpan(context))


async def raises(events: evframe.EventInterface, in_a_turn: int, kind: str) -> float:
    """Return the processor time of an event in microseconds."""
    count = EVENTS_EACH // in_a_turn
    began = time.process_time()
    with {"not sampled": within(0), "one sampled span": within(1)}.get(kind, nullcontext()):
        for turn in range(count):
            with within(1, turn + 1) if kind == KINDS[-1] else nullcontext():
                for number in range(in_a_turn):
                    events.raise_event("E_A", {"number": number, "caller": "sip:alice@example.com"})
            await asyncio.sleep(0)
    return (time.process_time() - began) / (count * in_a_turn) * 1e6


async def compare(in_a_turn: int, rounds: int) -> None:
    """Print what an event costs in each of the cases."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    provider = TracerProvider()  # without an exporter
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    interfaces = {}
    for kind in KINDS:
        plugins: dict[str, object] = {"datagram": DatagramTransport()}
        if kind != "not loaded":
            plugins["tracing"] = Tracing(provider=provider, sleep=lambda _: asyncio.sleep(0.05))
        events = interfaces[kind] = evframe.EventInterface(plugins=plugins)
        events.register_event("E_A")
        events.subscribe_event("E_A", f"udp:127.0.0.1:{receiver.getsockname()[1]}")
        await events.__aenter__()
    await asyncio.sleep(0.3)  # until batches without traces are observed no more
    set_up_collector()
    for _ in range(rounds + 1):
        for kind, events in interfaces.items():
            found[kind].append(await raises(events, in_a_turn, kind))
    for kind, events in interfaces.items():
        values, alone = found[kind][1:], found["not loaded"][1:]
        ratio = statistics.median(each / other for each, other in zip(values, alone, strict=True))
        more = statistics.median(each - other for each, other in zip(values, alone, strict=True))
        print(f"{in_a_turn:5} in a turn, {kind:26} {statistics.median(values):7.3f} us {ratio:6.2f} {more:+7.3f} us")
        await events.__aexit__(None, None, None)
    receiver.close()


async def main(rounds: int) -> None:
    """Print all lines."""
    for in_a_turn in (1000, 50, 1):
        await compare(in_a_turn, rounds)


if __name__ == "__main__":
    run_loop(main(int(sys.argv[1]) if sys.argv[1:] else 30))
