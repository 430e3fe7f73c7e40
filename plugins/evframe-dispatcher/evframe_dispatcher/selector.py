"""The destinations in use: which of them a set gives, and what marks and probes make of their states."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from evframe_probing import Reply

from evframe_dispatcher.algorithms import Algorithm, order
from evframe_dispatcher.destinations import Destination, Sets, load
from evframe_dispatcher.events import Reporter
from evframe_dispatcher.options import DEFAULT, Options
from evframe_dispatcher.state import WORDS, Change


class Selector:
    """Selects and marks destinations, on any thread.

    Args:
        options: the table ``[plugins.dispatcher]``.

    Raises:
        ConfigError: if the file of destinations is not as it should be.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._mutex = threading.RLock()
        self._reporter: Reporter | None = None
        self._changes = 0
        self._sets = Sets(load(options))

    @property
    def partitions(self) -> Mapping[str, Mapping[int, list[Destination]]]:
        """The destinations by partition and set."""
        return self._sets.partitions

    def find(self, set_id: int, uri: str, partition: str = DEFAULT) -> Destination | None:
        """Return a destination, or None."""
        return self._sets.find((partition, set_id, uri))

    def select(
        self,
        set_id: int,
        *,
        key: str | bytes | None = None,
        algorithm: Algorithm = "round-robin",
        partition: str = DEFAULT,
    ) -> Destination | None:
        """Return the active destination of a set that an algorithm chooses, or None if none is active.

        Args:
            set_id: the set.
            key: what ``hash`` is over, such as a Call-ID or a user.
            algorithm: see `evframe_dispatcher.algorithms.order`.
            partition: that of the set.

        Raises:
            LookupError: if there is no such set.
            ValueError: if there is no such algorithm, or nothing to hash over.
        """
        return next(self.candidates(set_id, key=key, algorithm=algorithm, partition=partition), None)

    def select_all(
        self,
        set_id: int,
        *,
        key: str | bytes | None = None,
        algorithm: Algorithm = "round-robin",
        partition: str = DEFAULT,
    ) -> list[Destination]:
        """Return all active destinations of a set, the choice first; see `select`. No counter changes."""
        with self._mutex:
            active = [each for each in self._sets.set(set_id, partition) if each.active]
            return order(active, algorithm, key)

    def candidates(
        self,
        set_id: int,
        *,
        key: str | bytes | None = None,
        algorithm: Algorithm = "round-robin",
        partition: str = DEFAULT,
    ) -> Iterator[Destination]:
        """Return an iterator over the destinations to try: `next` gives the next one that is still active.

        See `select`, of which the result is the first.
        """
        return self._one_by_one(self.select_all(set_id, key=key, algorithm=algorithm, partition=partition))

    def _one_by_one(self, destinations: list[Destination]) -> Iterator[Destination]:
        first = True
        for each in destinations:
            current = self._sets.find(each.name)
            if current is None or not current.active:
                continue
            if first:
                current.chosen += 1
            else:
                current.failed_over += 1
            first = False
            yield current

    def mark(self, destination: Destination, state: str, reason: str = "script function ds_mark()") -> None:
        """Set the state of a destination; one that a reload has removed is ignored.

        Args:
            destination: which one.
            state: ``a`` active, ``i`` inactive, or ``p`` probing, which counts a failure; ``active`` and so on, too.
            reason: what the event says.

        Raises:
            ValueError: if there is no such state.
        """
        word = WORDS.get(state)
        if word is None:
            raise ValueError(f"state: expected 'a', 'i' or 'p', got {state!r}")
        with self._mutex:
            current = self._sets.find(destination.name)
            if current is not None:
                self._report(current, current.health.mark(word), reason)

    def reload(self, partition: str | None = None, *, inherit_state: bool = True) -> None:
        """Read the destinations again; the old ones stay in use if anything is wrong with the new ones.

        No event is raised for what comes or goes.

        Args:
            partition: the only one to be reloaded; all without it.
            inherit_state: whether a destination that was there before keeps its state.

        Raises:
            ConfigError: with every problem.
            LookupError: if there is no such partition, neither before nor after.
        """
        with self._mutex:
            old = self._sets.partitions
            if self._reporter is not None:
                self._reporter.reloading(name for name in old if partition in {None, name})
            try:
                self._sets = self._loaded(self._options, partition, inherit_state=inherit_state)
                self._changes += 1
            finally:
                if self._reporter is not None:
                    self._reporter.available(self._sets, old)

    def _loaded(self, options: Options, partition: str | None, *, inherit_state: bool) -> Sets:
        new = load(options)
        if partition is not None:
            if partition not in {*self._sets.partitions, *(each.partition for each in new)}:
                raise LookupError(f"partition: expected one of {list(self._sets.partitions)}, got {partition!r}")
            new = [each for each in new if each.partition == partition]
        for each in new:
            before = self._sets.find(each.name) if inherit_state else None
            if before is not None:
                each.inherit(before)
        kept = [] if partition is None else [each for each in self._sets if each.partition != partition]
        return Sets([*kept, *new])

    def take_reply(self, destination: Destination, reply: Reply) -> None:
        """Record the reply to a probe; one about a destination that a reload has removed is ignored."""
        with self._mutex:
            current = self._sets.find(destination.name)  # another one than when the probe began, after a reload
            if current is None:
                return
            if reply.code is None:
                self._report(current, current.health.fail(), "failed to send probe")
            elif reply.good:
                current.record_latency(reply.elapsed_s)
                self._report(current, current.health.replied(good=True), "200 OK probing reply")
            else:
                self._report(current, current.health.replied(good=False), "negative probing reply")

    def _report(self, destination: Destination, change: Change | None, reason: str) -> None:
        if change is not None:
            self._changes += 1
            if self._reporter is not None:
                self._reporter.changed(destination, change, reason)
