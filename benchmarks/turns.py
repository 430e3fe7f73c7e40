"""How long one request of a mebibyte holds the loop of a gateway: the longest turn, in CPU milliseconds of its thread.

usage: python benchmarks/turns.py
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import closing

import psutil

import evframe
from evframe.config import parse_config

CONFIG = '[plugins.mi-http]\nbind = "127.0.0.1:0"\n[[events]]\nname = "E_A"\n'
NESTED = b",".join([b"[[[[[[[[1]]]]]]]]"] * 58_000)
VALUES = {
    "many numbers": b"[%b]" % b",".join([b"1"] * 500_000),
    "long numbers": b"[%b]" % b",".join([b"123456789012345678901"] * 45_000),
    "one name, often": b"{%b}" % b",".join([b'"a":1'] * 170_000),
    "nested": b"[%b]" % NESTED,
    "escapes": b'["%b"]' % (b"\\u00e9" * 170_000),
    "no JSON": b"[" * 1_000_000,
    "nested, as text": json.dumps(f"[{NESTED.decode()}]").encode(),
}


async def ask(port: int, body: bytes) -> float:
    """Send a request, and return the longest turn of the loop until its answer has arrived, in milliseconds."""
    longest, is_over = 0.0, False

    async def watch() -> None:
        nonlocal longest
        while not is_over:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    watching = asyncio.create_task(watch())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = "POST /mi HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with closing(writer):
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.read()
    is_over = True
    await watching
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    return longest * 1000


async def main() -> None:
    """Print the longest turn for each kind of value, without a subscriber and with one."""
    async with evframe.EventInterface(parse_config(CONFIG)) as events:
        (port,) = {each.laddr.port for each in psutil.Process().net_connections("tcp") if each.status == "LISTEN"}
        for subscriber in ("none", "udp"):
            if subscriber == "udp":
                events.subscribe_event("E_A", "udp:127.0.0.1:9")
            for name, value in VALUES.items():
                members = b'"params":["E_A",%b]' if name == "nested, as text" else b'"params":{"event":"E_A","json":%b}'
                body = b'{"jsonrpc":"2.0","id":1,"method":"raise_event",' + members % value + b"}"
                print(f"subscriber: {subscriber:4} {name:16} {await ask(port, body):6.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
