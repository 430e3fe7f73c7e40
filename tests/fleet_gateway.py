"""A gateway of a fleet that raises numbered events at a steady rate, as a process of a test.

Its argument is JSON: `config` is the text of its configuration, `name` its name in events, `rate` how many events it
raises a second, `kinds` how many events there are. SIGUSR1 begins to raise, and SIGUSR2 ends that. What the fleet has
acknowledged is printed, `number kind` in a line, and `over` behind the last one.
"""

import asyncio
import json
import os
import signal
import sys

import evframe
from evframe.config import parse_config
from evframe.logs import set_up_logs
from evframe.plugin import STORED

TICK_S = 0.01


async def raise_events(events, settings, stop):
    """Raise events, each with the next number of its kind, and print which are acknowledged."""
    name, rate, kinds = settings["name"], settings["rate"], settings["kinds"]
    numbers, raised, acknowledged, open_events = [0] * kinds, 0, [], set()
    loop = asyncio.get_running_loop()
    begun = loop.time()

    def raise_one(kind):
        number = numbers[kind]
        numbers[kind] += 1
        open_events.add((kind, number))

        def done(reasons):
            open_events.discard((kind, number))
            if all(reason in {None, STORED} for reason in reasons):
                acknowledged.append(f"{number} {kind}\n")

        events.raise_event_and_tell(f"E_{kind}", {"from": name, "n": number}, done, until="stored")

    while not stop.is_set() or acknowledged or open_events:
        due = int((loop.time() - begun) * rate)
        if due > raised + rate:  # the process was stopped: the events of that time were never raised
            begun += (due - raised) / rate
            due = raised
        for _ in range(raised, raised if stop.is_set() else due):
            raise_one(raised % kinds)
            raised += 1
        if acknowledged:
            os.write(1, "".join(acknowledged).encode())
            acknowledged.clear()
        await asyncio.sleep(TICK_S)
    os.write(1, b"over\n")


async def main(settings):
    set_up_logs("warning")
    stop, begin, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, over.set)
    loop.add_signal_handler(signal.SIGUSR2, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, begin.set)
    async with evframe.EventInterface(parse_config(settings["config"]), gateway=True) as events:
        os.write(1, b"ready\n")
        await begin.wait()
        raising = asyncio.ensure_future(raise_events(events, settings, stop))
        await over.wait()
        raising.cancel()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
