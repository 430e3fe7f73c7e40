"""The names of subscribers, by which the next process finds what was kept for them."""

import asyncio
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys
import evframe
from evframe.config import parse_config

path, socket, is_configured, count = sys.argv[1:]
configuration = f'''
[core]
drain_timeout_s = 0
[plugins.journal]
path = "{path}"
[[policies]]
socket = "*"
keep = "disk"
'''
if is_configured == "True":
    configuration += f'''
[[subscriptions]]
event = "E_A"
socket = "{socket}"
'''

async def main():
    events = evframe.EventInterface(parse_config(configuration))
    events.register_event("E_A")
    if is_configured != "True":
        events.subscribe_event("E_A", socket)
    [lease] = events.subscriptions
    async with events:
        print(lease.subscriber.depth)
        for number in range(int(count)):
            [outcome] = await events.raise_event_and_wait("E_A", [number], until="stored", timeout_s=60)
            assert outcome.reason == "stored", outcome

asyncio.run(main())
"""


@pytest.mark.parametrize("is_configured", [True, False])
async def test_what_is_kept_for_a_url_with_a_secret_is_found_again(tmp_path, is_configured):
    """The mark in place of the secret is the same in the next process, so that no stored event is left behind."""
    socket = "https://127.0.0.1:1/hooks?token=s3cretS3cret"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "journal"), socket, str(is_configured)]
    first = await asyncio.to_thread(subprocess.check_output, [*command, "5"], timeout=60)
    second = await asyncio.to_thread(subprocess.check_output, [*command, "0"], timeout=60)

    assert (first, second) == (b"0\n", b"5\n")
