"""The clients: one that blocks the calling thread, and one for event loops."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

import attrs

from evframe_client.addresses import Kind, own_address
from evframe_client.datagram import Udp, Unix
from evframe_client.errors import management_errors
from evframe_client.fifo import Fifo
from evframe_client.loop_thread import run
from evframe_client.protocol import Params, Request, raise_params
from evframe_client.subscriptions import LEASE_S, LOOK_S, AsyncSubscription, Subscription, SubscriptionRequest
from evframe_client.urls import DEFAULT_URL, HttpUrl, UdpUrl, UnixUrl, parse_url, without_password

_AT_ONCE: Final = 128
"""How many calls of a client are under way at once on a loop; more wait for their turn, within their time."""


class _Transport(Protocol):
    async def exchange(self, request: Request) -> bytes: ...


def _transport(url: str, token: str | None, ca_file: str | None, token_file: str | None) -> _Transport:
    parts = parse_url(url)
    if isinstance(parts, HttpUrl):
        if token is not None and token_file is not None:
            raise ValueError("token_file: expected no token beside it")
        from evframe_client.http import Http  # noqa: PLC0415 h11 is imported for those who use it

        return Http(parts, token, ca_file, token_file)
    if isinstance(parts, UdpUrl):
        return Udp(parts)
    return Unix(parts) if isinstance(parts, UnixUrl) else Fifo(parts)


@attrs.frozen
class _Base:
    """What both clients are made of.

    Args:
        url: ``http://host:port/path``, ``https://…``, ``http+unix://%2Frun%2Fmi.sock/mi``, ``udp://host:port``,
            ``unix:///run/mi.sock`` (datagrams) or ``fifo:///tmp/opensips_fifo?reply_dir=/tmp``.
        timeout_s: the longest that a call takes.
        token: sent to an HTTP interface with every request.
        token_file: a file with the token, which is read again when the interface refuses the one before.
        ca_file: the certificates that an HTTPS interface is trusted by; those of the system when left out.
        shown: what errors have in place of the URL, which is the URL without its password when left out.

    Raises:
        ValueError: if one of them cannot be used.
    """

    url: str = attrs.field(default=DEFAULT_URL, repr=without_password)
    timeout_s: float = 10.0
    token: str | None = attrs.field(default=None, repr=False)
    ca_file: str | None = None
    token_file: str | None = None
    shown: str = attrs.field(kw_only=True, repr=False)
    _transport: _Transport = attrs.field(init=False, repr=False, eq=False)
    _turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = attrs.field(
        factory=WeakKeyDictionary, init=False, repr=False, eq=False
    )

    @shown.default
    def _(self) -> str:
        return without_password(self.url)

    @_transport.default
    def _(self) -> _Transport:
        return _transport(self.url, self.token, self.ca_file, self.token_file)

    async def _exchange(self, request: Request) -> bytes:
        async with asyncio.timeout(self.timeout_s), self._turn():
            return await self._transport.exchange(request)

    def _turn(self) -> asyncio.Semaphore:
        """Return what bounds the exchanges under way on this loop: each has descriptors, which others need, too."""
        return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_AT_ONCE))


class Client(_Base):
    """Calls management commands of the gateway at *url*; any thread may use it.

    All clients of a process share one event loop, on a thread that the first call starts.
    """

    def call(self, method: str, params: Params | None = None) -> Any:
        """Return the result of *method*.

        Args:
            method: the command's name, such as ``evi:list`` or ``events_list``.
            params: its parameters, in order or by name.

        Raises:
            ManagementError: with the gateway's error, or why no answer came.
            ValueError: if the parameters have no JSON form.
        """
        request = Request(method, params)
        with management_errors(self.shown, self.timeout_s):
            return request.result(run(self._exchange(request)))

    def raise_event(self, event: str, params: Any = None, *, until: str | None = None) -> None:
        """Raise *event* at the gateway with the values and numbers of *params* exactly as they are.

        An OpenSIPS does not know this form: call `raise_event` with its parameters there.

        Args:
            event: the event's name.
            params: a mapping, a sequence or `evframe.Pairs`; None for no parameters.
            until: ``delivered`` waits until each subscriber has the event, ``stored`` also ends when it is on disk
                for those that are kept; None waits for neither.

        Raises:
            ManagementError: as `call` does; with *until*, also when a delivery has failed, or takes too long.
            ValueError: if the parameters have no JSON form.
        """
        self.call("raise_event", raise_params(event, params, until))

    def subscribe(  # noqa: PLR0913 what a subscription is made of
        self,
        *patterns: str,
        receiver: Kind = "udp",
        address: str | None = None,
        lease_s: int = LEASE_S,
        look_s: float = LOOK_S,
        where: str | None = None,
        only: Sequence[str] = (),
    ) -> Subscription:
        """Return a subscription to the events that match, for a `with` block; see `SubscriptionRequest`.

        Raises:
            ValueError: if an argument cannot be used.
        """
        twin = AsyncClient(self.url, self.timeout_s, self.token, self.ca_file, self.token_file, shown=self.shown)
        how: dict[str, Any] = {"receiver": receiver, "address": address, "lease_s": lease_s, "look_s": look_s}
        return Subscription(twin.subscribe(*patterns, **how, where=where, only=only))


class AsyncClient(_Base):
    """Calls management commands of the gateway at *url* from an event loop, any number at a time."""

    async def call(self, method: str, params: Params | None = None) -> Any:
        """Return the result of *method*.

        Args:
            method: the command's name, such as ``evi:list`` or ``events_list``.
            params: its parameters, in order or by name.

        Raises:
            ManagementError: with the gateway's error, or why no answer came.
            ValueError: if the parameters have no JSON form.
        """
        request = Request(method, params)
        with management_errors(self.shown, self.timeout_s):
            return request.result(await self._exchange(request))

    async def raise_event(self, event: str, params: Any = None, *, until: str | None = None) -> None:
        """Raise *event* at the gateway, as `Client.raise_event` does."""
        await self.call("raise_event", raise_params(event, params, until))

    def subscribe(  # noqa: PLR0913 what a subscription is made of
        self,
        *patterns: str,
        receiver: Kind = "udp",
        address: str | None = None,
        lease_s: int = LEASE_S,
        look_s: float = LOOK_S,
        where: str | None = None,
        only: Sequence[str] = (),
    ) -> AsyncSubscription:
        """Return a subscription to the events that match, for an `async with` block; see `SubscriptionRequest`.

        Raises:
            ValueError: if an argument cannot be used.
        """
        wanted = SubscriptionRequest(patterns, receiver, address, lease_s, look_s, where, only)
        return AsyncSubscription(self.call, self._own_address, wanted)

    async def _own_address(self) -> str:
        """Return the local IP address from which the gateway is reached."""
        with management_errors(self.shown, self.timeout_s):
            async with asyncio.timeout(self.timeout_s):
                return await own_address(parse_url(self.url))
