"""The entries that have come and are not acknowledged yet: their events, and what is done with them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Final

import attrs
import orjson
from evframe_ingest import LARGE_BYTES, About, Fate, Prepared, QueueIntake, Refused, fate_of

from evframe_redis_consumer.options import Answer, ConnectionOptions

Fields = dict[bytes, bytes]
_CONTENT_TYPE: Final = "content-type"


@attrs.define
class Counts:
    """What has happened to the entries of a stream."""

    received: int = 0
    """Entries that have come."""
    claimed: int = 0
    """How many of them another consumer had left behind."""
    deleted: int = 0
    """Entries that were removed from the stream before they had their outcome."""
    retried: int = 0
    """Events that were raised again."""
    waiting: int = 0
    """Events whose outcomes are not known yet."""
    answers: Counter[Answer] = attrs.field(factory=Counter)
    """Entries that are done with, by what was done."""
    unsent: Counter[str] = attrs.field(factory=Counter)
    """Attempts to send a dead letter that were refused, by the reason."""


@attrs.define(eq=False)
class Entry:
    """An entry without an acknowledgement."""

    id: bytes
    words: Sequence[bytes]
    """Names and values of its fields in turn; a name may come more than once."""
    reason: str = ""
    """Why its event was not delivered."""

    @property
    def fields(self) -> Fields:
        """The values by their names, the last of each."""
        return dict(zip(self.words[::2], self.words[1::2], strict=True))


class Entries:
    """Raises the events of entries, and has what is done with each when that is known.

    It outlives connections: a server does not take entries back when one ends, and takes an acknowledgement over any.

    Args:
        options: of the stream.
        intake: raises the events.
    """

    def __init__(self, options: ConnectionOptions, intake: QueueIntake) -> None:
        self._options = options
        self._intake = intake
        self._field = options.field.encode()
        self.counts = Counts()
        self.open: dict[bytes, Entry] = {}
        """All, by their ids."""
        self.ended: set[bytes] | None = None
        """The ids of those that are done with since a claim began; None without a claim."""
        self.answers: dict[bytes, Answer] = {}
        """What is to be done with some of them."""
        self.answered = asyncio.Event()
        """Set when there is more to be done."""
        self.has_room = asyncio.Event()
        """Set when entries are done with."""
        self._retries: set[asyncio.Task[None]] = set()
        self.last_id = b""
        """The id of the newest entry that has come."""

    @property
    def room(self) -> int:
        """How many more entries may come."""
        return self._options.prefetch - len(self.open)

    def has(self, id_: bytes) -> bool:
        """Return whether an entry has come before: it is open, or a claim whose reply still has it began earlier."""
        return id_ in self.open or (self.ended is not None and id_ in self.ended)

    async def take(self, id_: bytes, fields: Sequence[bytes] | None) -> None:
        """Raise the event of an entry; one that has come before is left alone.

        Args:
            id_: of the entry.
            fields: names and values in turn; None for an entry that was removed from the stream.
        """
        if self.has(id_):
            return
        if fields is None:
            self.counts.deleted += 1
            self.open[id_] = Entry(id_, ())
            self.answer(id_, "ack")
            return
        self.counts.received += 1
        entry = self.open[id_] = Entry(id_, fields)
        try:
            await self._raise(entry)
        except BaseException:  # the connection ends while a large entry is read; the next one takes it again
            self.counts.received -= 1
            del self.open[id_]
            raise

    def refuse(self, id_: bytes, fields: Sequence[bytes], refusal: Refused) -> None:
        """Do with an entry what is done with those that become no event."""
        self.counts.received += 1
        entry = self.open[id_] = Entry(id_, fields)
        entry.reason = self._intake.refuse(refusal)
        self.answer(id_, self._options.on_refused)

    async def _raise(self, entry: Entry) -> None:
        fields = entry.fields
        headers = _headers(fields, self._field)
        body = fields.get(self._field)
        about = About(headers.get(_CONTENT_TYPE), headers, has_body=body is not None)
        if body is None:
            body = orjson.dumps({_text(name): _text(value) for name, value in fields.items()})
        with self._intake.within(headers) or nullcontext():
            prepared = await self._intake.prepare(body, about=about) if len(body) > LARGE_BYTES else None
            self._take(entry, body, about, prepared)

    def _take(self, entry: Entry, body: bytes, about: About, prepared: Prepared | None) -> None:
        refused = self._intake.refused.copy()
        if self._options.ack == "at_once":
            is_event = self._intake.take(body, prepared=prepared, about=about)
        else:
            self.counts.waiting += 1
            done = partial(self._record_outcomes, entry)
            is_event = self._intake.take(body, done, prepared=prepared, about=about)
            self.counts.waiting -= not is_event
        if not is_event:
            entry.reason = next(iter(self._intake.refused - refused), "")
            self.answer(entry.id, self._options.on_refused)
        elif self._options.ack == "at_once":
            self.answer(entry.id, "ack")

    def _record_outcomes(self, entry: Entry, reasons: Sequence[str | None]) -> None:
        """Take the outcome of the event of an entry."""
        self.counts.waiting -= 1
        fate = fate_of(reasons)
        self.has_room.set()  # for those that wait until nothing has an open outcome
        if fate == "open":
            return
        entry.reason = next((reason for reason in reasons if reason is not None), fate)
        answer = self._answer_to(fate)
        if answer == "retry":
            # Its next outcome may be the same, and at once.
            asyncio.get_running_loop().call_later(self._options.retry_delay_ms / 1000, self._retry, entry)
        else:
            self.answer(entry.id, answer)

    def _answer_to(self, fate: Fate) -> Answer:
        if fate == "delivered":
            return "ack"
        return self._options.on_nobody if fate == "nobody" else self._options.on_failure

    def _retry(self, entry: Entry) -> None:
        if entry.id not in self.answers and self.open.get(entry.id) is entry:
            self.counts.retried += 1
            task = asyncio.get_running_loop().create_task(self._raise(entry))
            self._retries.add(task)
            task.add_done_callback(self._retries.discard)

    def answer(self, id_: bytes, answer: Answer) -> None:
        """Take what is to be done with an entry that is open."""
        if id_ in self.open:
            self.answers[id_] = answer
            self.answered.set()

    def done(self, ids: Sequence[bytes]) -> None:
        """Record that the server has done what was to be done with entries."""
        for id_ in ids:
            self.counts.answers[self.answers.pop(id_)] += 1
            del self.open[id_]
        if self.ended is not None:
            self.ended.update(ids)
        self.has_room.set()

    def unsent(self, id_: bytes, reason: str) -> None:
        """Record that a dead letter was refused; it is sent again later, and its entry stays open."""
        self.counts.unsent[reason] += 1
        answer = self.answers.pop(id_)
        asyncio.get_running_loop().call_later(self._options.retry_delay_ms / 1000, self.answer, id_, answer)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _headers(fields: Fields, body: bytes) -> Mapping[str, str]:
    """Return the fields beside the body, as headers."""
    return {_text(name): _text(value) for name, value in fields.items() if name != body}
