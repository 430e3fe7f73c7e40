"""What a loaded plugin costs an event over UDP: two interfaces that differ in nothing else take turns."""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Callable

from evframe_datagram import DatagramTransport

import evframe
from evframe.cli.gateway import set_up_collector

ROUNDS = 40
EVENTS_EACH = 20_000


async def raises(events: evframe.EventInterface, in_a_turn: int) -> tuple[float, float]:
    """Return the processor time of an event, and of its raise alone, in microseconds."""
    count = EVENTS_EACH // in_a_turn
    raising = 0.0
    began = time.process_time()
    for _ in range(count):
        turn = time.perf_counter()
        for number in range(in_a_turn):
            events.raise_event("E_A", {"number": number, "caller": "sip:alice@example.com"})
        raising += time.perf_counter() - turn
        await asyncio.sleep(0)
    each = 1e6 / (count * in_a_turn)
    return (time.process_time() - began) * each, raising * each


async def compare(in_a_turn: int, name: str, plugin: Callable[[], object], **others: Callable[[], object]) -> None:
    """Print what a plugin costs beside the *others*, of which each interface has its own."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    sets = [{"datagram": DatagramTransport, **others}, {"datagram": DatagramTransport, **others, name: plugin}]
    pair = [evframe.EventInterface(plugins={each: make() for each, make in made.items()}) for made in sets]
    for events in pair:
        events.register_event("E_A")
        events.subscribe_event("E_A", f"udp:127.0.0.1:{receiver.getsockname()[1]}")
    async with pair[0], pair[1]:
        set_up_collector()
        found = [[await raises(events, in_a_turn) for events in pair] for _ in range(ROUNDS + 1)][1:]
    for index, what in enumerate(("event", "raise alone")):
        alone, beside = (statistics.median(each[which][index] for each in found) for which in (0, 1))
        ratio = statistics.median(each[1][index] / each[0][index] for each in found)
        print(f"{in_a_turn} in a turn, {what}: {alone:.3f} us, with {name} {beside:.3f} us, ratio {ratio:.3f}")
    receiver.close()
