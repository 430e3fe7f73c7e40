"""The plugin: batches to connections, acknowledgements to outcomes."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from evframe_wire.ids import id_of
from evframe_wire.tls import checked_context

from evframe import Batch, ConfigError, Socket, SocketError, Unavailable, hookimpl
from evframe.plugin import HostAddress, LateModule, Limits, Ordering, PluginContext, Resolver, Step, UnfitError
from evframe_nats.address import NatsSocket, parse, shown
from evframe_nats.options import Options as NatsOptions

if TYPE_CHECKING:
    from evframe_nats.link import Link
    from evframe_nats.publications import Publication
    from evframe_nats.server import Server

_MENDABLE: Final = {"nacked", "access_refused"}
_URL_FORMS: Final = {"tls": ("nats://{authority}/{path}?tls", "nats://{authority}/subject?tls")}


class NatsTransport:
    """The plugin object."""

    schemes = ("nats",)
    library_logs = ("nats",)
    Options = NatsOptions

    def __init__(self, options: NatsOptions | None = None) -> None:
        self._options = NatsOptions() if options is None else options
        self.limits = Limits(gathers=True, in_flight=self._options.max_in_flight, percent_safe="", url_forms=_URL_FORMS)
        self._library = LateModule("evframe_nats.library")
        self._servers: dict[tuple[Any, ...], Server] = {}
        self._orderings: defaultdict[str, Ordering] = defaultdict(Ordering)
        self._under_way: defaultdict[str, dict[Publication, Link]] = defaultdict(dict)
        self._releases: set[asyncio.Task[None]] = set()
        self._resolver = Resolver()
        self._context: PluginContext | None = None
        if self._options.ca_file is not None or self._options.cert_file is not None:
            self._tls  # noqa: B018 a file that cannot be used is an error of the start

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """What certificates are checked with; the default ones take 50 ms to read, which a start need not wait for."""
        try:
            return checked_context(self._options.ca_file, self._options.cert_file)
        except ValueError as error:
            raise ConfigError([str(error)]) from None

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins."""
        self._context, self._resolver = context, context.resolver

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``nats:`` sockets."""
        if scheme != "nats":
            return None
        try:
            found = parse(rest)
            if self._options.login(found) is None:
                raise ValueError("expected a user of an entry of [[plugins.nats.servers]] that fits")
        except ValueError as error:
            raise SocketError(shown(rest), str(error)) from None
        return found

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Publish one message per event."""
        if not isinstance(socket, NatsSocket):
            return None
        return self._deliver(socket, batch, self._orderings[socket.canonical].batch())

    async def _deliver(self, target: NatsSocket, batch: Batch, way: AbstractContextManager[Step]) -> None:
        library = await self._library.get()
        server = self._server(library, target)
        publication: Publication | None = None
        under_way = self._under_way[target.canonical]
        with way as step:
            try:
                async with step("connect"):
                    if not batch.events:
                        await server.probe(target)
                        return
                    link = await server.link()
                    await _passed(under_way, link)
                async with step("write"):  # a batch may have come back meanwhile
                    if not link.is_usable:
                        raise Unavailable("closed")
                    publication = self._publication(library, target, batch)
                    under_way[publication] = link
                    link.publish(publication, core=target.core)
                await server.confirmed(link, target, publication)
            finally:
                if publication is not None:
                    under_way.pop(publication, None)
                    self._settle(batch, publication)
            if publication.later:
                raise Unavailable(publication.later[min(publication.later)])

    def _publication(self, library: Any, target: NatsSocket, batch: Batch) -> Publication:
        subjects, failures = [target.subject] * len(batch.events), {}
        if target.template is not None:
            for index, event in enumerate(batch.events):
                try:
                    subjects[index] = target.subject_for(event)
                except UnfitError as error:
                    subjects[index], failures[index] = "", error.reason
        carried = None if self._context is None else self._context.carried_by(batch.events)
        ids = None if target.core else self._ids(target, batch)
        made: Publication = library.Publication(subjects, [event.payload for event in batch.events], ids, carried)
        made.failures |= failures
        return made

    def _ids(self, target: NatsSocket, batch: Batch) -> Sequence[str]:
        """Return what is the same for an event at each attempt, and for no other one: streams drop what they have."""
        if batch.ids is not None:
            return batch.ids
        # One stream may have the subjects of several subscribers, and each of them gets the event.
        subscriber = hashlib.blake2b(target.canonical.encode(), digest_size=6).hexdigest()
        return [f"{id_of(event)}-{subscriber}" for event in batch.events]

    def _settle(self, batch: Batch, publication: Publication) -> None:
        """Report the outcomes of a publication; what has none comes back to the core."""
        if batch.is_kept:
            for index, reason in list(publication.failures.items()):
                if reason in _MENDABLE:
                    publication.later[index] = publication.failures.pop(index)
        for index, reason in publication.failures.items():
            batch.fail(index, reason)
        if publication.later or publication.open:
            without = publication.open | publication.later.keys() | publication.failures.keys()
            for index in set(range(len(batch.events))) - without:
                batch.confirm(index)

    def _server(self, library: Any, target: NatsSocket) -> Server:
        login = self._options.login(target)
        assert login is not None
        place = (target.server, login)
        server = self._servers.get(place)
        if server is None:
            tls = self._tls if target.tls else None
            server = self._servers[place] = library.Server(target, self._options, login, tls, self._resolver)
        server.users.add(target.canonical)
        return server

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that a server has no more."""
        for server in self._servers.values():
            server.moved(host, addresses)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the connection with its last subscriber."""
        if isinstance(socket, NatsSocket):
            self._orderings.pop(socket.canonical, None)
            self._under_way.pop(socket.canonical, None)
            for place, server in list(self._servers.items()):
                if socket.canonical in server.users:
                    release = asyncio.get_running_loop().create_task(self._release(place, server, socket))
                    self._releases.add(release)
                    release.add_done_callback(self._releases.discard)

    async def _release(self, place: tuple[Any, ...], server: Server, socket: NatsSocket) -> None:
        with suppress(asyncio.CancelledError):  # of the core, which waits a while and is done
            await server.release(socket.canonical)
        if not server.users and self._servers.get(place) is server:
            del self._servers[place]

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Wait for the ends of the connections."""
        return asyncio.gather(*self._releases)


async def _passed(under_way: Mapping[Publication, Link], link: Link) -> None:
    """Wait until what was published on other connections than *link* has its outcomes.

    Raises:
        Unavailable: if some of it is to be sent again: it goes first.
    """
    for publication in [each for each, other in under_way.items() if other is not link]:
        await publication.done
        if publication.later:
            raise Unavailable(next(iter(publication.later.values())))
