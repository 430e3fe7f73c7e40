"""A receiver that an event loop reads as soon as something has arrived."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Final, Protocol

from evframe_client.receivers import Arrived, Connection, Receiver

log = logging.getLogger("evframe.client")
_AT_ONCE: Final = 256  # payloads in a turn of the loop: a connection can have thousands in a few kilobytes
_FAILED: Final = "a payload could not be taken"


class Taker(Protocol):
    """Takes payloads, one after the other."""

    def take(self, data: bytes, answer: Callable[[bytes], None]) -> None:
        """Take a payload; *answer* is called with the reply to it, now or later, if there is one."""

    async def take_large(self, data: bytes, answer: Callable[[bytes], None]) -> None:
        """Do the same for a payload that would hold the loop up, beside the loop."""

    def drop(self, total: int) -> None:
        """Take the number of datagrams that the kernel had no room for so far."""


class PayloadReader:
    """Reads a receiver, in order: what arrives after a large payload waits until that is taken.

    An error of the taker is logged, and the next payload is taken.

    Args:
        receiver: where payloads arrive.
        taker: takes them.
        large_bytes: the longest payload that is taken on the loop.
    """

    def __init__(self, receiver: Receiver, taker: Taker, large_bytes: int) -> None:
        self._receiver = receiver
        self._taker = taker
        self._large_bytes = large_bytes
        self._is_reading = False
        self._large: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Take what arrives from now on."""
        if not self._is_reading:
            self._is_reading = True
            self._resume()

    def _resume(self) -> None:
        asyncio.get_running_loop().add_reader(self._receiver.fileno(), self._read)

    def _pause(self) -> None:
        asyncio.get_running_loop().remove_reader(self._receiver.fileno())

    def _read(self) -> None:
        arrived = self._receiver.read()
        for number, (payload, connection) in enumerate(arrived):
            if len(payload) > self._large_bytes or number == _AT_ONCE:
                self._pause()
                rest = chain([(payload, connection)], arrived)
                self._large = asyncio.get_running_loop().create_task(self._read_beside(rest))
                return
            self._take(payload, connection)
        self._taker.drop(self._receiver.lost)

    async def _read_beside(self, arrived: Iterable[Arrived]) -> None:
        """Take what has arrived, a large payload beside the loop, the others in turns, and then what arrives."""
        await asyncio.sleep(0)
        await self._take_all(arrived)
        if self._is_reading:
            self._resume()

    async def _take_all(self, arrived: Iterable[Arrived]) -> None:
        taker = self._taker
        for number, (payload, connection) in enumerate(arrived, 1):
            if len(payload) > self._large_bytes:
                await self._take_large(payload, connection)
            else:
                self._take(payload, connection)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        taker.drop(self._receiver.lost)

    def _take(self, payload: bytes, connection: Connection | None) -> None:
        try:
            with _answering(connection) as answer:
                self._taker.take(payload, answer)
        except Exception:
            log.exception(_FAILED)

    async def _take_large(self, payload: bytes, connection: Connection | None) -> None:
        try:
            with _answering(connection) as answer:
                await self._taker.take_large(payload, answer)
        except Exception:
            log.exception(_FAILED)

    async def end(self) -> None:
        """Take what has arrived, and nothing more."""
        if not self._is_reading:
            return
        self._is_reading = False
        self._pause()
        if self._large is not None:
            await self._large
        await self._take_all(self._receiver.last())


@contextmanager
def _answering(connection: Connection | None) -> Iterator[Callable[[bytes], None]]:
    """Yield what takes the reply to a payload: it is sent with others of the same turn, or alone after the block."""
    is_late = False

    def answer(reply: bytes) -> None:
        if connection is not None:  # the sender of a datagram expects none
            connection.reply(reply)
            if is_late:
                connection.flush()

    try:
        yield answer
    finally:
        is_late = True
