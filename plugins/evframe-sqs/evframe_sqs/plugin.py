"""The plugin: batches of messages, and outcomes from their answers."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import attrs
from evframe_aws_clients.clients import Clients

from evframe import Batch, Socket, Unavailable, hookimpl
from evframe.plugin import LateModule, Limits, PluginContext, Resolver
from evframe_sqs.address import SqsSocket, parse
from evframe_sqs.messages import MOST_ENTRIES, Messages
from evframe_sqs.options import MOST_REQUESTS
from evframe_sqs.options import Options as SqsOptions
from evframe_sqs.sending import Sending

if TYPE_CHECKING:
    from evframe_sqs.library import Client


class SqsTransport:
    """The plugin object."""

    schemes = ("sqs",)
    library_logs = ("aiobotocore", "botocore")
    limits = Limits(batch_events=MOST_ENTRIES * MOST_REQUESTS)
    Options = SqsOptions

    def __init__(self, options: SqsOptions | None = None) -> None:
        self._options = SqsOptions() if options is None else options
        self._named = self._options.named
        self._library = LateModule("evframe_sqs.library")
        self._clients: Clients[Client] = Clients(self._options)
        self._resolver = Resolver()
        self._context: PluginContext | None = None

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins."""
        self._context, self._resolver = context, context.resolver

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``sqs:`` sockets."""
        if scheme != "sqs":
            return None
        socket = parse(rest, self._named)
        if self._options.endpoint_url is None:
            return socket
        other = parse(f"{self._options.endpoint_url}/{socket.queue}")
        return attrs.evolve(socket, base=other.base, endpoints=other.endpoints, region=socket.region or other.region)

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one message for each event, up to ten in a request."""
        return self._deliver(socket, batch) if isinstance(socket, SqsSocket) else None

    async def _deliver(self, socket: SqsSocket, batch: Batch) -> None:
        client = self._clients.get((await self._library.get()).Client, socket)
        host, port = socket.endpoints[0]
        if not client.is_proxied:
            client.use(await self._resolver.addresses(host, port))
        try:
            if not batch.events:
                await client.probe(socket.url)
                return
            carried = None if self._context is None else self._context.carried_by(batch.events)
            messages = Messages(batch, socket, self._options, carried)
            most = 1 if socket.is_fifo else self._options.max_in_flight
            await Sending(client, socket.url, batch, messages, most).run()
        except Unavailable:
            self._resolver.forget(host)
            raise

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the client with the last of its subscribers."""
        self._clients.release(socket.canonical)

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Close what is open."""
        return self._clients.close()
