"""The plugin: batches to pipelines of commands, replies to outcomes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from evframe_connections import ConnectingTransport, Publication
from evframe_redis_clients.addresses import SCHEMES
from evframe_wire.tls import ClientTls

from evframe import Batch, Unavailable
from evframe.plugin import Limits
from evframe_redis.address import RedisSocket, parse
from evframe_redis.entries import Parts, commands
from evframe_redis.options import Options as RedisOptions
from evframe_redis.replies import Refusal

if TYPE_CHECKING:
    from evframe_redis.server import Server


class RedisTransport(ConnectingTransport[RedisOptions, RedisSocket, "Server"]):
    """The plugin object.

    Args:
        options: the table ``[plugins.redis]``.
    """

    schemes = SCHEMES
    limits = Limits(gathers=True, percent_safe="")
    library = "evframe_redis.library"
    Options = RedisOptions
    socket = RedisSocket

    def __init__(self, options: RedisOptions | None = None) -> None:
        super().__init__(options)
        self._tls = ClientTls(self._options.ca_file, self._options.cert_file)

    def _parse(self, scheme: str, rest: str) -> RedisSocket:
        return parse(scheme, rest)

    def _key(self, target: RedisSocket) -> Hashable:
        return target.canonical, target.address  # which has the password

    def _made(self, library: Any, target: RedisSocket) -> Server:
        tls = self._tls.context if target.address.is_encrypted else None
        server: Server = library.Server(target, self._options, tls, self._resolver)
        return server

    async def _deliver(self, target: RedisSocket, batch: Batch) -> None:
        server = self._server(await self._library.get(), target)
        if not batch.events:
            await (await server.link()).probe(target)
            return
        entries = Publication(batch)
        try:
            waiting = Parts(commands(target, batch, self._carried(batch), entries))
            while waiting:
                link = await server.link()
                part = waiting.take(alone=link.is_careful)
                replies: list[Refusal | None] = []
                try:
                    await link.exchange(b"".join([each for _, each in part]), len(part), replies)
                finally:
                    later = _take(target, batch, entries, [index for index, _ in part], replies)
                link.is_careful = later is not None
                if later is not None:
                    if later.is_of_the_server:
                        server.leave()
                    raise Unavailable(later.reason)
        finally:
            entries.report()


def _take(
    target: RedisSocket, batch: Batch, entries: Publication, indexes: list[int], replies: list[Refusal | None]
) -> Refusal | None:
    """Take the outcomes of entries, and return the first refusal that a later attempt may mend."""
    later = None
    for index, refusal in zip(indexes, replies, strict=False):
        if refusal is None:
            entries.settle(index)
        elif refusal.is_later or (batch.is_kept and target.template is None and not refusal.is_of_the_event):
            entries.postpone(index, refusal.reason)
            later = later or refusal
        else:
            entries.fail(index, refusal.reason)
    return later
