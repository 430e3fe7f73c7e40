"""Raises numbered events for a kept subscriber, and prints how far it is: CONFIGURATION FIRST RATE MOST."""

import asyncio
import json
import sys

import evframe
from evframe.logs import set_up_logs


async def main(path, first, rate, most):
    async with evframe.EventInterface.from_toml(path) as events:
        number, safe, safely, loop = first, first, set(), asyncio.get_running_loop()
        due = loop.time()

        def raise_one(number):
            def done(reasons):
                if reasons[0] in {None, "stored"}:
                    safely.add(number)

            events.raise_event_and_tell("E_TEST", {"n": number}, done, until="stored")

        while number < first + most:
            for _ in range(max(1, rate // 100)):
                raise_one(number)
                number += 1
            while safe in safely:
                safely.discard(safe)
                safe += 1
            print(number, safe, flush=True)
            due += 0.01
            await asyncio.sleep(max(0, due - loop.time()))
        while events.statistics[0].depth:
            await asyncio.sleep(0.01)
        print(json.dumps(events.statistics[0].reasons), flush=True)


if __name__ == "__main__":
    set_up_logs("info")  # with the reasons, which a test that fails shows
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
