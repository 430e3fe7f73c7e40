"""Names of destinations: one resolver for all probes."""

import asyncio
import socket

import pytest
from evframe_probing import ProbeOptions, Prober, parse_target
from evframe_probing.resolving import HttpResolver
from evframe_probing.testing import SipPeer

from evframe.subscriptions.resolving import Resolver
from evframe.testing import FakeNames


@pytest.fixture
def names():
    with FakeNames({"peer.example": ["127.0.0.1", "::1"], "silent.example": None}) as names:
        yield names


@pytest.fixture
def resolver(names):
    resolver = Resolver()
    resolver.lookup, resolver.timeout_s = names, 0.1
    yield resolver
    resolver.close()


@pytest.mark.parametrize(
    ("family", "addresses"),
    [
        (socket.AF_UNSPEC, ["127.0.0.1", "::1"]),
        (socket.AF_INET, ["127.0.0.1"]),
        (socket.AF_INET6, ["::1"]),
    ],
)
async def test_addresses_of_an_http_client(resolver, family, addresses):
    """An HTTP client gets the addresses of the family that it wants, with its port."""
    found = await HttpResolver(resolver).resolve("peer.example", 80, family)
    assert [(one["host"], one["port"]) for one in found] == [(address, 80) for address in addresses]


@pytest.mark.parametrize("name", ["silent.example", "unknown.example"])
async def test_a_name_that_does_not_resolve(resolver, name):
    """For an HTTP client, a name without an address, and one without an answer, are an OSError."""
    with pytest.raises(OSError, match="unresolved"):
        await HttpResolver(resolver).resolve(name)


async def test_probes_share_the_resolver(resolver, names):
    """Probes of one name, and those after, bring about one lookup; a silent name holds up no other."""
    async with SipPeer() as peer:
        probers = [Prober(ProbeOptions(timeout_s=20.0), resolver=resolver) for _ in range(2)]
        uris = [f"sip:silent.example:{peer.port}", f"sip:peer.example:{peer.port}"]
        probes = [prober.probe(parse_target(uri)) for prober in probers for uri in uris]
        replies = await asyncio.gather(*probes)
        for prober in probers:
            await prober.close()
    assert [(reply.code, reply.reason) for reply in replies] == [(None, "no_such_host"), (200, "")] * 2
    assert sorted(names.asked) == ["peer.example", "silent.example"]


async def test_a_connection_that_fails_looks_the_name_up_again(resolver, names):
    """A destination that has moved is found once a connection to its old address has failed."""
    with socket.create_server(("127.0.0.2", 0)) as listener:
        target = parse_target(f"tcp:peer.example:{listener.getsockname()[1]}")
        prober = Prober(ProbeOptions(timeout_s=20.0), resolver=resolver)
        assert (await prober.probe(target)).code == 503
        names["peer.example"] = ["127.0.0.2"]
        async with asyncio.timeout(30):
            while (await prober.probe(target)).code != 200:
                await asyncio.sleep(0.01)
        await prober.close()
