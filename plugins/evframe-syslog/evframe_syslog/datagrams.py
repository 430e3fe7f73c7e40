"""The messages of a batch as a batch of datagrams, whose outcomes are those of the events."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from evframe import Batch, Event, Unavailable


class Datagrams(Batch):
    """What the datagram transport sends.

    Args:
        batch: gets the outcomes.
        messages: one for each event; an empty one is not sent.
    """

    __slots__ = ("_batch", "_places")

    def __init__(self, batch: Batch, messages: Sequence[bytes]) -> None:
        self._batch = batch
        self._places = [place for place, message in enumerate(messages) if message]
        super().__init__([_with_payload(batch.events[place], messages[place]) for place in self._places])

    @property
    def is_kept(self) -> bool:  # type: ignore[override]
        """Whether the events outlive the process."""
        return self._batch.is_kept

    def fail(self, index: int, reason: str, error: BaseException | None = None) -> None:
        """Count an event as failed."""
        super().fail(index, reason, error)
        self._batch.fail(self._places[index], reason, error)

    def mapped(self, error: Unavailable) -> Unavailable:
        """Return *error* with the number of events of the batch that have their outcome."""
        places = [*self._places, len(self._batch.events)]
        return Unavailable(error.reason, done=places[error.done])

    async def wait(self, result: Awaitable[None]) -> None:
        """Wait for the outcomes; `Unavailable` as from `mapped`."""
        try:
            await result
        except Unavailable as error:
            raise self.mapped(error) from None


def _with_payload(event: Event, payload: bytes) -> Event:
    """Return a copy of *event* that has a message for its payload."""
    copy = event.handed_over(event.since)
    copy.payload = payload
    return copy
