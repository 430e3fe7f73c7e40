"""Starts and requests of clients of the library that may be given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection

from evframe_kafka_clients.places import Places

_Result = TypeVar("_Result")


def connections_of(client: Any) -> Any:
    """Return what has the connections of a consumer or a producer to the brokers, and what is known of the cluster."""
    return client._client if isinstance(client, AIOKafkaConsumer) else client.client  # noqa: SLF001 it has no other name


async def start(client: Any, places: Places, limit_s: float) -> None:
    """Start a consumer or a producer, which finds the brokers that its cluster names by *places*.

    Raises:
        KafkaError: if there is no cluster, or it does not let the client in.
        TimeoutError: if that takes more than *limit_s* seconds.
    """
    connections = connections_of(client)
    places.watch(connections)
    async with asyncio.timeout(limit_s):
        with closing_connections():
            await client.start()
        await places.look_up(connections)


@contextmanager
def closing_connections() -> Iterator[None]:
    """Close the connections that a call of the library leaves open when it ends with an error or is cancelled.

    While it waits for the first answer of a broker, the library has the connection in a variable alone: a call that
    is cancelled there would leave it open until the frames of the error are collected.
    """
    try:
        yield
    except BaseException as error:
        for connection in _connections(error):
            connection.close()
        raise


async def closing(request: Awaitable[_Result]) -> _Result:
    """Return the result of a *request* of the library, whose connection is closed when it is given up."""
    with closing_connections():
        return await request


def _connections(error: BaseException) -> list[AIOKafkaConnection]:
    """Return the open connections that *error* and its causes have passed in frames of the library.

    Other frames have this list, or the error itself: to read their variables would make a cycle.
    """
    found: list[AIOKafkaConnection] = []
    seen = set[int]()
    errors: list[BaseException | None] = [error]
    while errors:
        each = errors.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            for frame, _ in walk_tb(each.__traceback__):
                if frame.f_globals["__name__"].startswith("aiokafka."):
                    values = list(frame.f_locals.values())
                    found += [one for one in values if isinstance(one, AIOKafkaConnection) and one.connected()]
            errors += [each.__cause__, each.__context__]
    return found
