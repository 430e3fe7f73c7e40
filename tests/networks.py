"""A transport that keeps which addresses it reached, and interfaces that limit the networks of their leases."""

import json

import attrs
from evframe_mi import Management, ManagementOptions, NarrowingOptions, Options
from evframe_mi.testing import management

import evframe
from evframe.config import CoreOptions
from evframe.testing import MemoryTransport

PRIVATE = NarrowingOptions(networks=["10.0.0.0/8"])
LOCAL = NarrowingOptions(networks=["127.0.0.0/8"])


@attrs.frozen
class NetSocket:
    """``udp:host:port``, or tcp."""

    host: str
    port: int
    scheme: str = "udp"

    @property
    def canonical(self):
        return f"{self.scheme}:{self.host}:{self.port}"

    @property
    def endpoints(self):
        return ((self.host, self.port),)

    expires = True


class NetTransport:
    """Delivers to the addresses that a name has, and keeps which those were."""

    schemes = ("udp", "tcp")

    def __init__(self):
        self.reached = []

    @evframe.hookimpl
    def loaded(self, context):
        self.resolver = context.resolver

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        host, _, port = rest.rpartition(":")
        return NetSocket(host, int(port), scheme) if scheme in self.schemes else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        return self._deliver(socket, batch) if isinstance(socket, NetSocket) else None

    async def _deliver(self, socket, batch):
        found = await self.resolver.addresses(*socket.endpoints[0])
        self.reached.extend((event.definition.name, address.ip) for event in batch.events for address in found[:1])


def made(*, general=None, plugins=(), **narrowings):
    mi = Management(Options(general or ManagementOptions()))
    plugins = {"net": NetTransport(), "memory": MemoryTransport(), "mi": mi, **dict(plugins)}
    config = evframe.Config(core=CoreOptions(drain_timeout_s=0.1))
    events = evframe.EventInterface(config, plugins=plugins)
    mi.policies.configure(mi.policies.options, narrowings)
    for name in ("E_A", "E_B", "E_C"):
        events.register_event(name)
    return events


def subscribe(events, interface, *params):
    request = {"jsonrpc": "2.0", "id": 1, "method": "event_subscribe", "params": params}
    answer = json.loads(management(events).of(interface).handle(json.dumps(request).encode()))
    return answer.get("result") or answer["error"]["code"]


async def address_of(events, host, port):
    try:
        return [address.ip for address in await events.resolver.addresses(host, port)]
    except evframe.Unavailable as error:
        return error.reason
