"""The messages of a consumer without an answer, whichever connection they came on."""

from __future__ import annotations

from collections import Counter
from typing import Final

import attrs

from evframe_nats_consumer.options import Answer

WORDS: Final[dict[Answer, bytes]] = {"ack": b"+ACK", "nak": b"-NAK", "term": b"+TERM"}
_IN_PROGRESS: Final = b"+WPI"
_BEGIN: Final = b"$JS.ACK."
_PLAIN: Final = 9  # parts of a reply subject without a domain


@attrs.define
class Counts:
    """What has happened on all connections."""

    received: int = 0
    """Messages that have come."""
    redelivered: int = 0
    """How many of them had been delivered before, to any consumer of the name."""
    waiting: int = 0
    """Events whose outcomes are not known yet."""
    answers: Counter[Answer] = attrs.field(factory=Counter)
    """Messages whose answer was sent, by the answer."""


@attrs.frozen
class Delivery:
    """One delivery of a message, by the subject that its answer goes to."""

    reply: bytes
    number: bytes
    """That of the message in the stream."""
    is_again: bool

    @classmethod
    def of(cls, reply: bytes) -> Delivery | None:
        """Return the delivery with this reply subject; None if there is none in it."""
        parts = reply.split(b".")
        if not reply.startswith(_BEGIN) or len(parts) < _PLAIN:
            return None
        at = 4 if len(parts) == _PLAIN else 6  # a domain and an account come first
        return cls(reply, parts[at + 1], parts[at] != b"1")


class Pending:
    """What has to be answered, and the answers that are to be sent.

    An answer is bound to no connection: one to a message that came on a lost connection goes over the next one.

    Args:
        counts: get the answers.
    """

    def __init__(self, counts: Counts) -> None:
        self._open: dict[bytes, bytes] = {}
        self._commands: list[bytes] = []
        self._counts = counts
        self.created: str | None = None
        """When the consumer was made: another one of the name has other messages with the same numbers."""

    def belongs_to(self, created: str) -> None:
        """Forget everything unless it is of the consumer that was made at this time."""
        if created != self.created:
            self._open.clear()
            self._commands.clear()
            self.created = created

    def add(self, delivery: Delivery) -> bool:
        """Take a delivery; return whether its message is not open already."""
        is_new = delivery.number not in self._open
        self._open[delivery.number] = delivery.reply
        return is_new

    def answer(self, number: bytes, answer: Answer, delay_ms: int = 0) -> None:
        """Answer a message, unless it is of a consumer that is no more."""
        reply = self._open.pop(number, None)
        if reply is not None:
            self._counts.answers[answer] += 1
            more = b' {"delay":%d}' % (delay_ms * 1_000_000) if answer == "nak" and delay_ms else b""
            self._commands.append(_published(reply, WORDS[answer] + more))

    def return_all(self) -> None:
        """Have what is open come again at once."""
        for number in list(self._open):
            self.answer(number, "nak")

    def commands(self) -> bytes:
        """Return what sends the answers that were not sent yet."""
        commands, self._commands = self._commands, []
        return b"".join(commands)

    def in_progress(self) -> bytes:
        """Return what gives every open message its whole time once more."""
        return b"".join(_published(reply, _IN_PROGRESS) for reply in self._open.values())


def _published(reply: bytes, word: bytes) -> bytes:
    return b"PUB %b %d\r\n%b\r\n" % (reply, len(word), word)
