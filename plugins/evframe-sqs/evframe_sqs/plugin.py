"""The plugin: batches of messages, and outcomes from their answers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import attrs
from evframe_connections import ConnectingTransport
from evframe_wire.tls import ClientTls

from evframe import Batch, Unavailable
from evframe.plugin import Limits
from evframe_sqs.address import SqsSocket, parse
from evframe_sqs.messages import MOST_ENTRIES, Messages
from evframe_sqs.options import MOST_REQUESTS
from evframe_sqs.options import Options as SqsOptions
from evframe_sqs.sending import Sending

if TYPE_CHECKING:
    from evframe_sqs.library import Client


class SqsTransport(ConnectingTransport[SqsOptions, SqsSocket, "Client"]):
    """The plugin object."""

    schemes = ("sqs",)
    library_logs = ("aiobotocore", "botocore")
    limits = Limits(batch_events=MOST_ENTRIES * MOST_REQUESTS)
    Options = SqsOptions
    socket = SqsSocket
    library = "evframe_sqs.library"

    def __init__(self, options: SqsOptions | None = None) -> None:
        super().__init__(options)
        self._named = self._options.named
        ClientTls(self._options.ca_file)  # a file that cannot be used is an error of the start

    def _parse(self, scheme: str, rest: str) -> SqsSocket:  # noqa: ARG002 there is one
        socket = parse(rest, self._named)
        if self._options.endpoint_url is None:
            if socket.is_of_aws or socket.url in self._named.values():
                return socket
            return attrs.evolve(socket, reserved="a host that is not of SQS")
        other = parse(f"{self._options.endpoint_url}/{socket.queue}")
        return attrs.evolve(socket, base=other.base, endpoints=other.endpoints, region=socket.region or other.region)

    def _key(self, target: SqsSocket) -> Hashable:
        return target.base, target.region

    def _made(self, library: Any, target: SqsSocket) -> Client:
        region = self._options.region or target.region
        made: Client = library.Client(target.base, target.endpoints[0][0], region, self._options)
        return made

    async def _deliver(self, target: SqsSocket, batch: Batch) -> None:
        client = self._server(await self._library.get(), target)
        host, port = target.endpoints[0]
        if not client.is_proxied:
            client.use(await self._resolver.addresses(host, port))
        try:
            if not batch.events:
                await client.probe(target.url)
                return
            messages = Messages(batch, target, self._options, self._carried(batch))
            most = 1 if target.is_fifo else self._options.max_in_flight
            await Sending(client, target.url, batch, messages, most).run()
        except Unavailable:
            self._resolver.forget(host)
            raise
