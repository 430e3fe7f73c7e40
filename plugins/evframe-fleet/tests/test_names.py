"""The names of subscribers, by which gateways in other processes find them."""

import asyncio
import subprocess
import sys

PROGRAM = """
import evframe
from evframe.config import parse_config
events = evframe.EventInterface(parse_config('[plugins.fleet]\\nbrokers = "127.0.0.1:1"'))
events.register_event("E_A")
for text in ("https://h/a?token=s3cret", "https://h/Xy7/s3cret"):
    events.subscribe_event("E_A", text)
print(*(lease.subscriber.socket.canonical for lease in events.subscriptions))
"""


async def test_a_subscriber_has_the_same_name_in_each_process():
    """Marks in place of secrets do not differ, so that frames and leases of one gateway fit in the others."""
    command = [sys.executable, "-c", PROGRAM]
    found = await asyncio.gather(*(asyncio.to_thread(subprocess.check_output, command, timeout=60) for _ in range(2)))

    assert found[0] == found[1]
    assert b"***" in found[0]
    assert b"s3cret" not in found[0]
