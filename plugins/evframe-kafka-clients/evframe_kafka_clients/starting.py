"""Starts of clients of the library that may be given up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb
from types import FrameType

from aiokafka.conn import AIOKafkaConnection


@contextmanager
def closing_connections() -> Iterator[None]:
    """Close the connections that a start of the library leaves open when it ends with an error or is cancelled.

    While it waits for the first answer of a broker, the library has the connection in a variable alone: a start that
    is cancelled there would leave it open until the frames of the error are collected.
    """
    try:
        yield
    except BaseException as error:
        for frame in _frames(error):
            for value in list(frame.f_locals.values()):
                if isinstance(value, AIOKafkaConnection) and value.connected():
                    value.close()
        raise


def _frames(error: BaseException) -> Iterator[FrameType]:
    """Yield the frames that *error* and its causes have passed, innermost last."""
    seen = set[int]()
    errors: list[BaseException | None] = [error]
    while errors:
        each = errors.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield from (frame for frame, _ in walk_tb(each.__traceback__))
            errors += [each.__cause__, each.__context__]
