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
from evframe_dispatcher.choosing import Algorithm, order
from evframe_dispatcher.commands import dispatcher_commands
from evframe_dispatcher.destinations import Destination, Name, Sets, load
from evframe_dispatcher.introducing import Introducer
from evframe_dispatcher.keeping import StateFile
from evframe_dispatcher.options import DEFAULT
from evframe_dispatcher.options import Options as DispatcherOptions
from evframe_dispatcher.state import WORDS, Change
from evframe_dispatcher.telling import PARAMETERS, STATUS, Teller

log = logging.getLogger("evframe.dispatcher")
_FLUSH_S: Final = 30.0


class Dispatcher:
    """The plugin object; whatever selects and marks destinations may be called from any thread.

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
        self._teller: Teller | None = None
        self._probing: Probing[Name] | None = None
        self._introducer: Introducer | None = None
        self._kept = _state_file(self._options)
        self._changes = self._changes_kept = 0
        self._sets = Sets(load(self._options))
        for name, state in (self._kept.read() if self._kept else {}).items():
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
        self._teller = Teller(context)
        self._teller.available(self._sets)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin to probe, and to keep the states."""
        self._probing = Probing(self._due, self._probe, context.spawn, resolver=context.resolver, sleep=self._sleep)
        self._probing.follow(self._options.probing)
        assert self._teller is not None
        self._introducer = Introducer(lambda: self._sets, self._teller.status, context.spawn, self._sleep)
        self._introducer.follow(is_wanted=self._options.initial_events)
        context.spawn(self._keep())

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
            before = self._options, self._sets, self._kept
            kept = self._kept if options.kept_in == self._options.kept_in else _state_file(options)
            self._adopt(options, sets, kept)

        def take_back() -> None:
            if probing_back is not None:
                probing_back()
            self._adopt(*before)

        return take_back

    def _adopt(self, options: DispatcherOptions, sets: Sets, kept: StateFile | None) -> None:
        with self._mutex:
            old, self._sets = self._sets, sets
            self._options, self._kept = options, kept
            self._changes += 1
            if self._teller is not None:
                self._teller.available(sets, old.partitions)
            if self._introducer is not None:
                self._introducer.follow(is_wanted=options.initial_events)

    @hookimpl
    def stop(self) -> Awaitable[None]:
        """Write the states that have changed."""
        return self._flush()

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
            algorithm: see `evframe_dispatcher.choosing.order`.
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
        """Return all active destinations of a set, the choice first; see `select`. None counts as chosen."""
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
        """Take somebody's word about a destination; nothing happens if it has gone with a reload.

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
                self._tell(current, current.health.mark(word), reason)

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
            if self._teller is not None:
                self._teller.reloading(name for name in old if partition in {None, name})
            try:
                self._sets = self._loaded(self._options, partition, inherit_state=inherit_state)
                self._changes += 1
            finally:
                if self._teller is not None:
                    self._teller.available(self._sets, old)

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
        """Take what a probe has found out, by whomever it was made; nothing happens if the destination has gone."""
        with self._mutex:
            current = self._sets.find(destination.name)  # another one than when the probe began, after a reload
            if current is None:
                return
            if reply.code is None:
                self._tell(current, current.health.fail(), "failed to send probe")
            elif reply.good:
                current.took(reply.elapsed_s)
                self._tell(current, current.health.replied(good=True), "200 OK probing reply")
            else:
                self._tell(current, current.health.replied(good=False), "negative probing reply")

    def _tell(self, destination: Destination, change: Change | None, reason: str) -> None:
        if change is not None:
            self._changes += 1
            if self._teller is not None:
                self._teller.changed(destination, change, reason)

    async def _keep(self) -> None:
        while True:
            await self._sleep(_FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        """Write the states if they have changed; when the disk does not take them, that is tried again."""
        changes = self._changes
        if self._kept is None or changes == self._changes_kept:
            return
        try:
            await in_thread(self._kept.write, list(self._sets))
        except OSError as error:
            log.warning("the states of destinations were not written", extra={"problem": str(error)})
        else:
            self._changes_kept = changes


def _state_file(options: DispatcherOptions) -> StateFile | None:
    return None if options.kept_in is None else StateFile(options.kept_in)
