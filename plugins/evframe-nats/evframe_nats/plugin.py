"""The plugin: sockets, logins and the ids of messages."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
from evframe_connections import PublishingTransport
from evframe_wire.ids import id_of
from evframe_wire.tls import ClientTls

from evframe import Batch, SocketError
from evframe.plugin import Limits
from evframe_nats.address import NatsSocket, parse, shown
from evframe_nats.options import Options as NatsOptions

if TYPE_CHECKING:
    from evframe_nats.publications import Publication
    from evframe_nats.server import Server

_URL_FORMS: Final = {"tls": ("nats://{authority}/{path}?tls", "nats://{authority}/subject?tls")}


class NatsTransport(PublishingTransport[NatsOptions, NatsSocket, "Server"]):
    """The plugin object.

    Args:
        options: the table ``[plugins.nats]``.
    """

    schemes = ("nats",)
    library = "evframe_nats.library"
    library_logs = ("nats",)
    Options = NatsOptions
    socket = NatsSocket

    def __init__(self, options: NatsOptions | None = None) -> None:
        super().__init__(options)
        self.limits = Limits(gathers=True, in_flight=self._options.max_in_flight, percent_safe="", url_forms=_URL_FORMS)
        self._tls = ClientTls(self._options.ca_file, self._options.cert_file)

    def _parse(self, scheme: str, rest: str) -> NatsSocket:  # noqa: ARG002 there is one
        try:
            found = parse(rest)
            login = self._options.login(found)
            if login is None:
                raise ValueError("expected a user of an entry of [[plugins.nats.servers]] that fits")
        except ValueError as error:
            raise SocketError(shown(rest), str(error)) from None
        return found if login.for_clients else attrs.evolve(found, reserved="a server with a login")

    def _key(self, target: NatsSocket) -> Hashable:
        return target.server, self._options.login(target)

    def _made(self, library: Any, target: NatsSocket) -> Server:
        login = self._options.login(target)
        tls = self._tls.context if target.tls else None
        server: Server = library.Server(target, self._options, login, tls, self._resolver)
        return server

    def _publication(self, library: Any, target: NatsSocket, batch: Batch) -> Publication:
        ids = None if target.core else self._ids(target, batch)
        made: Publication = library.Publication(target, batch, ids, self._carried(batch))
        return made

    def _ids(self, target: NatsSocket, batch: Batch) -> Sequence[str]:
        """Return what is the same for an event at each attempt, and for no other one: streams drop what they have."""
        if batch.ids is not None:
            return batch.ids
        # One stream may have the subjects of several subscribers, and each of them gets the event.
        subscriber = hashlib.blake2b(target.canonical.encode(), digest_size=6).hexdigest()
        return [f"{id_of(event)}-{subscriber}" for event in batch.events]
