"""A call centre that raises events, and sends them to everyone who wants them.

With `--asyncapi` it prints its AsyncAPI document instead.
"""

import asyncio
import json
import sys

from calls import CallEnded
from evframe_schema import Gateway, asyncapi_document

import evframe

CONFIG = evframe.load_config("evframe.toml")


def interface() -> evframe.EventInterface:
    """Return the interface, with the subscribers of the configuration."""
    events = evframe.EventInterface(CONFIG)
    events.register_event(CallEnded)
    return events


async def work(events: evframe.EventInterface) -> None:
    """Have a call end every second."""
    number = 0
    while True:
        await asyncio.sleep(1)
        number += 1
        agent, rating = ("alice", 5) if number % 3 else ("bob", None)
        events.raise_event(CallEnded(caller=f"+4930555{number:04}", agent=agent, seconds=60 + number, rating=rating))


async def main() -> None:
    """Run until Ctrl-C."""
    async with interface() as events:
        await work(events)


if __name__ == "__main__":
    if sys.argv[1:] == ["--asyncapi"]:
        print(json.dumps(asyncapi_document(Gateway.of(interface(), CONFIG)), indent=2))
    else:
        asyncio.run(main())
