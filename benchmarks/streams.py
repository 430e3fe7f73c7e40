"""Many streams: the memory of each, and the processor time of an event for each.

usage: python benchmarks/streams.py [sse|websocket] [number]

The clients are another process; the processor time is that of the gateway alone.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from pathlib import Path
from typing import Any

from evframe_mi import Management, ManagementOptions
from evframe_mi import Options as MiOptions
from evframe_sse import EventSourceTransport
from evframe_sse import Options as SseOptions
from evframe_websocket import Options as WebSocketOptions
from evframe_websocket import WebSocketTransport

import evframe

SINGLE, BURSTS, BURST = 100, 5, 100
MANY = 4096
SUBSCRIBE = b'{"jsonrpc":"2.0","id":1,"method":"event_subscribe","params":["E_A","ws:"]}'
HEADS = {
    "sse": b"GET /events?event=E_A HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "websocket": (
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        + bytes([0x81, 0x80 | len(SUBSCRIBE), 0, 0, 0, 0])
        + SUBSCRIBE
    ),
}


def more_files() -> None:
    """Have room for the connections: a server has a quarter of the descriptors."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * MANY), hard))


def resident_kib() -> float:
    """Return the memory of the process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024


async def clients(kind: str, count: int, port: int) -> None:
    """Open streams and read them to their end."""

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEADS[kind])
        while await reader.read(1 << 16):
            pass
        writer.close()

    await asyncio.gather(*(one() for _ in range(count)))


def raise_one(events: evframe.EventInterface, number: int) -> None:
    """Raise an event."""
    events.raise_event("E_A", {"n": number, "text": "x" * 100})


async def emptied(events: evframe.EventInterface) -> None:
    """Wait until each stream has what was raised."""
    while any(lease.subscriber.depth for lease in events.subscriptions):
        await asyncio.sleep(0.01)


async def main(kind: str, count: int) -> None:
    """Measure."""
    plugin: Any = (
        EventSourceTransport(SseOptions(bind="127.0.0.1:0", max_streams=MANY))
        if kind == "sse"
        else WebSocketTransport(WebSocketOptions(bind="127.0.0.1:0", max_streams=MANY))
    )
    mi = Management(MiOptions(ManagementOptions(schemes=["*"])))
    events = evframe.EventInterface(plugins={"mi": mi, kind: plugin})
    events.register_event("E_A")
    async with events:
        await asyncio.sleep(0.5)  # the library is imported
        gc.collect()
        before, began = resident_kib(), time.process_time()
        words = (sys.executable, __file__, kind, str(count), str(plugin.address[1]))
        process = await asyncio.create_subprocess_exec(*words)
        while len(events.subscriptions) < count:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        print(f"{count} streams, each {(time.process_time() - began) / count * 1e6:.0f} µs to open")
        began = time.process_time()
        for number in range(SINGLE):
            raise_one(events, number)
            await emptied(events)
        print(f"one event for each stream: {(time.process_time() - began) / SINGLE / count * 1e6:.2f} µs")
        began = time.process_time()
        for _ in range(BURSTS):
            for number in range(BURST):
                raise_one(events, number)
            await emptied(events)
        print(f"the same in bursts of {BURST}: {(time.process_time() - began) / BURSTS / BURST / count * 1e6:.2f} µs")
        gc.collect()
        print(f"memory of each: {(resident_kib() - before) / count:.1f} KiB")
        failed = sum(counters.failed for counters in events.statistics)
        assert not failed, f"{failed} events have failed"
    await process.wait()


if __name__ == "__main__":
    more_files()
    kind_, number_ = (*sys.argv[1:3], *("sse", "1000")[len(sys.argv) - 1 :])
    asyncio.run(main(kind_, int(number_)) if len(sys.argv) < 4 else clients(kind_, int(number_), int(sys.argv[3])))
