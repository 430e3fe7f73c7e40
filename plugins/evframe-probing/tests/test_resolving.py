"""Lookups of names."""

import asyncio
import socket
import threading

import pytest
from evframe_probing.resolving import Resolver


@pytest.fixture
async def resolver():
    made = Resolver()
    yield made
    await made.close()


async def test_addresses_need_no_lookup(resolver, monkeypatch):
    """An address is its own answer."""
    monkeypatch.setattr(socket, "getaddrinfo", None)
    (v4,) = await resolver.addresses("192.0.2.1", 5060)
    (v6,) = await resolver.addresses("2001:db8::1", 5060)
    assert (v4.family, v4.sockaddr) == (socket.AF_INET, ("192.0.2.1", 5060))
    assert (v6.family, v6.sockaddr) == (socket.AF_INET6, ("2001:db8::1", 5060, 0, 0))


async def test_a_name(resolver):
    """A name has the port it is asked with."""
    found = await resolver.addresses("localhost", 5060)
    assert {address.sockaddr[1] for address in found} == {5060}


@pytest.mark.parametrize("name", ["nowhere.invalid", "a..b", "x" * 300])
async def test_a_name_that_is_not_known(resolver, name):
    """Whatever is wrong with a name, it is the one error."""
    with pytest.raises(socket.gaierror):
        await resolver.addresses(name, 1)


async def test_a_lookup_that_hangs(resolver, monkeypatch):
    """It is made once, whoever gives it up, and other names are looked up meanwhile."""
    real, go_on, made = socket.getaddrinfo, threading.Event(), []

    def getaddrinfo(host, *rest, **options):
        made.append(host)
        if host == "hung.test":
            go_on.wait(20)
        return real("localhost", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    try:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(resolver.addresses("hung.test", 1), 0.01)
        assert await resolver.addresses("other.test", 1)
        assert made == ["hung.test", "other.test"]
    finally:
        go_on.set()
    assert await resolver.addresses("hung.test", 1)
