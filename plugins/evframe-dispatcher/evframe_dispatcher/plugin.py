"""The plugin: destinations, their probes, and the events about them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from evframe_probing import Prober, Probing, Reply

from evframe import hookimpl
from evframe.plugin import CommandTable, EventCollector, PluginContext, in_thread
from evframe_dispatcher.algorithms import Algorithm, order
from evframe_dispatcher.commands import dispatcher_commands
from evframe_dispatcher.destinations import Destination, Name, Sets, load
from evframe_dispatcher.events import PARAMETERS, STATUS, Reporter
from evframe_dispatcher.initial_events import InitialEvents
from evframe_dispatcher.options import DEFAULT
from evframe_dispatcher.options import Options as DispatcherOptions
from evframe_dispatcher.state import WORDS, Change
from evframe_dispatcher.state_file import StateFile

log = logging.getLogger("evframe.dispatcher")
_WRITE_S: Final = 30.0


class Dispatcher:
    """The plugin object; what selects and marks destinations may be called from any thread.

    Args:
        options: the table ``[plugins.dispatcher]``.
        sleep: waits so many seconds.

    Raises:
        ConfigError: if the file of destinations is not as it should be.
    """

    Options = DispatcherOptions

    def __init__(
        self, options: DispatcherOptions | None = None, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._options = DispatcherOptions() if options is None else options
        self._sleep = sleep
        self._mutex = threading.RLock()
        self._reporter: Reporter | None = None
        self._probing: Probing[Name] | None = None
        self._initial_events: InitialEvents | None = None
        self._state_file = StateFile.at(self._options.state_path)
        self._changes = self._changes_written = 0
        self._sets = Sets(load(self._options))
        for name, state in (self._state_file.read() if self._state_file else {}).items():
            found = self._sets.find(name)
            if found is not None:
                found.health.state = state

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the event."""
        summary = "Raised when a destination is used again, or is not used any more."
        collector.add(STATUS, PARAMETERS, summary=summary)

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands."""
        for command in dispatcher_commands(self):
            commands.add(command)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Report the destinations that exist."""
        self._reporter = Reporter(context)
        self._reporter.available(self._sets)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin to probe, and to write the states."""
        self._probing = Probing(self._due, self._probe, context.spawn, resolver=context.resolver, sleep=self._sleep)
        self._probing.follow(self._options.probing)
        assert self._reporter is not None
        self._initial_events = InitialEvents(
            lambda: self._sets, self._reporter.raise_status, context.spawn, self._sleep
        )
        self._initial_events.follow(is_wanted=self._options.initial_events)
        context.spawn(self._write_periodically())

    @hookimpl
    def reconfigure(self, options: DispatcherOptions) -> Callable[[], None]:
        """Take other options and destinations; those that were there before keep their states.

        Raises:
            ConfigError: with every problem of the file of destinations.
            OSError: if the certificates of the authorities cannot be read.
        """
        with self._mutex:
            sets = self._loaded(options, None, inherit_state=True)
            probing_back = None if self._probing is None else self._probing.follow(options.probing)
            before = self._options, self._sets, self._state_file
            is_same = options.state_path == self._options.state_path
            self._adopt(options, sets, self._state_file if is_same else StateFile.at(options.state_path))

        def take_back() -> None:
            if probing_back is not None:
                probing_back()
            self._adopt(*before)

        return take_back

    def _adopt(self, options: DispatcherOptions, sets: Sets, state_file: StateFile | None) -> None:
        with self._mutex:
            old, self._sets = self._sets, sets
            self._options, self._state_file = options, state_file
            self._changes += 1
            if self._reporter is not None:
                self._reporter.available(sets, old.partitions)
            if self._initial_events is not None:
                self._initial_events.follow(is_wanted=options.initial_events)

    @hookimpl
    def stop(self) -> Awaitable[None]:
        """Write the states that have changed."""
        return self._write_states()

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

    def _loaded(self, options: DispatcherOptions, partition: str | None, *, inherit_state: bool) -> Sets:
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

    def _due(self) -> list[Name]:
        sets = self._options.probed_sets
        return [each.name for each in self._sets if each.health.probed and (sets is None or each.set_id in sets)]

    async def _probe(self, prober: Prober, name: Name) -> None:
        destination = self._sets.find(name)
        if destination is None or not destination.health.probed:
            return
        reply = await prober.probe(destination.target)
        log.debug("a destination was probed", extra={"uri": destination.uri, "code": reply.code})
        self.take_reply(destination, reply)

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

    async def _write_periodically(self) -> None:
        while True:
            await self._sleep(_WRITE_S)
            await self._write_states()

    async def _write_states(self) -> None:
        """Write the states if they have changed; on an error of the disk the next call tries again."""
        changes = self._changes
        if self._state_file is None or changes == self._changes_written:
            return
        try:
            await in_thread(self._state_file.write, list(self._sets))
        except OSError as error:
            log.warning("the states of destinations were not written", extra={"problem": str(error)})
        else:
            self._changes_written = changes
