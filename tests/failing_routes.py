"""Routes that do what a test has said, for configurations, which name routes by module and callable."""

import asyncio

calls = []
got = []
problems = {}
"""The errors that events raise, by number; those of -1 are raised by every event."""


def reset():
    calls.clear()
    got.clear()
    problems.clear()


def plain(event):
    calls.append(event["n"])
    problem = problems.get(event["n"], problems.get(-1))
    if problem is not None:
        raise problem
    got.append(event["n"])


async def awaited(event):
    await asyncio.sleep(0)
    plain(event)


async def hanging(event):
    if event["n"] in problems:
        await asyncio.sleep(600)
    got.append(event["n"])
