"""Events as commands: one XADD for each, with the name, the notification and headers as fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from evframe_connections import Publication
from evframe_redis_clients.replies import word

from evframe import Batch, Event
from evframe.plugin import UNFIT, UnfitError
from evframe_redis.address import RedisSocket, stream_of

ID: Final = b"evframe-id"
"""The field of an entry whose event is kept on disk."""
_PART_BYTES: Final = 1 << 20
Command = tuple[int, bytes]
"""The index of an event, and its command."""
Carried = Sequence[Mapping[str, str] | None] | None
"""The headers of the events of a batch, by their indexes; None when none has any."""


def commands(target: RedisSocket, batch: Batch, carried: Carried, entries: Publication) -> Iterator[Command]:
    """Yield the command of each event of *batch*; an event that names no stream fails in *entries*."""
    ids = batch.ids
    fixed = None if target.template is not None else target.stream.encode()
    more: tuple[bytes, ...] = ()
    for index, event in enumerate(batch.events):
        try:
            key = fixed or _key(target, event)
        except UnfitError as error:
            entries.fail(index, error.reason)
            continue
        if ids is not None or carried is not None:
            more = tuple(_more(ids, carried, index))
        head = _head(key, target.maxlen, event.name, len(more))
        yield index, head + word(event.payload) + (b"".join(map(word, more)) if more else b"")


def _key(target: RedisSocket, event: Event) -> bytes:
    assert target.template is not None
    key = stream_of(target.template.text_of(event))
    if key is None:
        raise UnfitError(UNFIT)
    return key


@lru_cache(maxsize=1024)
def _head(key: bytes, maxlen: int | None, name: str, more: int) -> bytes:
    """Return the command up to the notification, when *more* words follow that."""
    limit = () if maxlen is None else (b"MAXLEN", b"~", b"%d" % maxlen)
    words = (b"XADD", key, *limit, b"*", b"event", name.encode("utf-8", "surrogateescape"), b"payload")
    return b"*%d\r\n%b" % (len(words) + 1 + more, b"".join(map(word, words)))


def _more(ids: Sequence[str] | None, carried: Carried, index: int) -> Iterator[bytes]:
    """Yield the further fields of an entry: what names the event, and its headers."""
    if ids is not None:
        yield from (ID, ids[index].encode())
    for name, text in (carried[index] or {}).items() if carried is not None else ():
        yield from (name.encode(), text.encode())


class Parts:
    """Commands in parts of some 1 MiB, each of which is answered before the next one is sent; false at the end.

    Args:
        all_: the commands.
    """

    def __init__(self, all_: Iterable[Command]) -> None:
        self._all = iter(all_)
        self._next = next(self._all, None)

    def __bool__(self) -> bool:
        return self._next is not None

    def take(self, *, alone: bool) -> list[Command]:
        """Return the next part; with *alone* it is one command."""
        part: list[Command] = []
        size = 0
        while self._next is not None and not (part and (alone or size + len(self._next[1]) > _PART_BYTES)):
            part.append(self._next)
            size += len(self._next[1])
            self._next = next(self._all, None)
        return part
