"""One probe: from a target to a reply, within its time."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, Any, Literal

import attrs
from evframe_options import above
from evframe_wire.addresses import connection_problem
from evframe_wire.tls import client_context

from evframe import Unavailable
from evframe.plugin import HostAddress, LateModule, Resolver, at_least, file_digests
from evframe_probing.codes import is_code_list, parse_codes
from evframe_probing.failures import NoReply
from evframe_probing.sip import Request, make_request
from evframe_probing.streams import ask, connection
from evframe_probing.targets import Target
from evframe_probing.udp import Bind, SipUdp

if TYPE_CHECKING:
    from evframe_probing.http import HttpProbes


def _certificates(_: Any, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    try:
        if value is not None:
            client_context(value)
    except OSError as error:
        raise ValueError(f"{attribute.name}: expected a file of certificates, got {value!r}: {error}") from None


@attrs.frozen
class ProbeOptions:
    """The options of all probes of a plugin."""

    timeout_s: float = attrs.field(default=5.0, validator=above(0, unit="seconds"))
    """How long a probe may take before it counts as answered with 408."""
    max_concurrent: int = attrs.field(default=512, validator=at_least(1))
    """How many probes may be under way; further ones wait."""
    http_method: Literal["GET", "HEAD"] = "GET"
    """The request to http and https destinations."""
    http_reply_codes: str = attrs.field(default="200-399", validator=is_code_list)
    """The statuses that are good, as codes and ranges between commas."""
    verify_tls: bool = True
    """Check certificates and host names."""
    ca_file: str | None = attrs.field(default=None, validator=_certificates)
    """The certificates of the authorities, instead of those of the system."""
    contents: tuple[bytes | None, ...] = file_digests("ca_file")

    def tls(self) -> ssl.SSLContext:
        """Return how servers are verified."""
        context = client_context(self.ca_file)
        if not self.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@attrs.frozen
class SipOptions:
    """What SIP probes ask."""

    method: str = "OPTIONS"
    from_uri: str = "sip:prober@localhost"
    max_forwards: int = 70
    reply_codes: frozenset[int] = frozenset()
    bind: Bind | None = None
    t1_s: float = 0.5


@attrs.frozen
class Reply:
    """What a probe has found out."""

    code: int | None
    """The reply's code: 200 for a connection, 408 for none in time, 503 for a connection that fails (RFC 3261,
    8.1.3.1); None if nothing could be sent."""
    good: bool
    """Whether the code is one of those expected."""
    reason: str = ""
    """What went wrong, in a word such as ``refused``; empty with a reply of the far side."""
    elapsed_s: float = 0.0
    """How long it took."""


class NotSent(Exception):  # noqa: N818 not a mistake of anybody
    """Nothing has left for the destination; *reason* says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Prober:
    """Probes destinations; use it on one loop, and close it.

    Args:
        options: what holds for all probes.
        sip: what SIP probes ask.
        resolver: of the interface; without it, the prober has its own.
    """

    def __init__(
        self, options: ProbeOptions | None = None, sip: SipOptions | None = None, *, resolver: Resolver | None = None
    ) -> None:
        self._options = ProbeOptions() if options is None else options
        self._sip = SipOptions() if sip is None else sip
        self._good = {
            "sip": self._sip.reply_codes | {200},
            "tcp": frozenset({200}),
            "http": parse_codes(self._options.http_reply_codes),
        }
        self._tls = self._options.tls()
        self._resolver = Resolver() if resolver is None else resolver
        self._owns_resolver = resolver is None
        self._udp = SipUdp(self._sip.bind, self._sip.t1_s)
        self._library = LateModule("evframe_probing.http")
        self._http: HttpProbes | None = None
        self._free = asyncio.Semaphore(self._options.max_concurrent)

    async def probe(self, target: Target) -> Reply:
        """Return what the destination answers; never later than the time limit once its turn has come."""
        async with self._free:
            http = await self._http_probes() if target.kind == "http" else None
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._options.timeout_s):
                    code, reason = await self._code(target, http)
            except TimeoutError:
                code, reason = 408, "timeout"
            return Reply(code, code in self._good[target.kind], reason, time.monotonic() - began)

    async def _http_probes(self) -> HttpProbes:
        """Return what sends HTTP requests; the time of a probe begins when the library is imported."""
        library = await self._library.get()
        if self._http is None:
            self._http = library.HttpProbes(self._resolver, self._tls, self._options.http_method)
        return self._http

    async def _code(self, target: Target, http: HttpProbes | None) -> tuple[int | None, str]:
        try:
            return await self._ask(target, http), ""
        except TimeoutError:
            raise  # it is an OSError, too
        except NotSent as error:
            return None, error.reason
        except NoReply as error:
            self._resolver.forget(target.host)
            return error.code, error.reason
        except OSError as error:
            self._resolver.forget(target.host)
            return 503, connection_problem(error)

    async def _ask(self, target: Target, http: HttpProbes | None) -> int:
        if http is not None:
            return await http.status(target.uri)
        try:
            addresses = await self._resolver.addresses(target.host, target.port)
        except Unavailable:
            raise NotSent("no_such_host") from None
        if target.transport == "udp":
            return await self._ask_udp(target, addresses[0])
        tls = self._tls if target.transport == "tls" else None
        async with connection(addresses, tls, target.host) as (reader, writer):
            if target.kind == "tcp":
                return 200
            host, port = writer.get_extra_info("sockname")[:2]
            sent_by = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            return await ask(self._request(target, sent_by), reader, writer)

    async def _ask_udp(self, target: Target, address: HostAddress) -> int:
        try:
            request = self._request(target, self._udp.sent_by(address))
            return await self._udp.ask(request, address)
        except TimeoutError:
            raise
        except OSError as error:
            raise NotSent(connection_problem(error)) from None

    def _request(self, target: Target, sent_by: str) -> Request:
        return make_request(
            target.uri,
            sent_by=sent_by,
            transport=target.transport,
            method=self._sip.method,
            from_uri=self._sip.from_uri,
            max_forwards=self._sip.max_forwards,
        )

    async def close(self) -> None:
        """Close what is open."""
        self._udp.close()
        if self._http is not None:
            await self._http.close()
        if self._owns_resolver:
            self._resolver.close()
