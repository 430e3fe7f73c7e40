"""Leases as the gateway lists them."""

import pytest
from evframe_client import ManagementError
from evframe_client.gateway_leases import GatewayLeases
from evframe_client.held_leases import HeldLeases, due
from hypothesis import given
from hypothesis import strategies as st

from evframe.testing import FakeClock

SOCKET = "udp:127.0.0.1:19001"


class Listing:
    """The answers of a gateway that has some leases."""

    def __init__(self, **left_s):
        self.left_s = {(name, SOCKET): left for name, left in left_s.items()}
        self.refuses = set()
        self.taken = []
        self.ended = []

    async def call(self, method, params):
        if method == "subscribers_list":
            return {
                "Events": [
                    {"name": name, "Subscribers": [{"socket": socket, "expire": 600, "ttl": left}]}
                    for (name, socket), left in self.left_s.items()
                ]
            }
        name, socket, lease_s = params
        if name in self.refuses:
            raise ManagementError("Bad parameter value", 400)
        (self.taken if lease_s else self.ended).append(name)
        self.left_s[name, socket] = lease_s
        if not lease_s:
            del self.left_s[name, socket]
        return "OK"


def held(listing):
    leases = HeldLeases(FakeClock())
    leases.reach(GatewayLeases(listing.call, SOCKET, 600))
    return leases


async def look(leases, *wanted):
    lost = leases.record(await leases.look(wanted), wanted)
    await leases.renew(wanted)
    return lost


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 600)),
    st.integers(4, 600),
)
def test_due(wanted, left_s, expire_s):
    """What is missing or in the second half of its lease is due, in the order wanted; nothing else is."""
    found = due(wanted, left_s, expire_s)
    assert found == [name for name in wanted if name in found]
    for name in wanted:
        assert (name in found) == (name not in left_s or left_s[name] <= expire_s / 2)


async def test_leases_of_an_earlier_process():
    """Those that are wanted are used, renewed in their second half, and ended with the others; unwanted ones end."""
    listing = Listing(E_A=400, E_B=300, E_C=500)
    leases = held(listing)
    assert await look(leases, "E_A", "E_B", "E_D") == 0
    assert (listing.ended, listing.taken) == (["E_C"], ["E_B", "E_D"])
    assert leases.left_s == {"E_A": 400, "E_B": 600, "E_D": 600}
    assert leases.shortest_s == 400
    leases._clock.advance(100)
    assert leases.shortest_s == 300
    assert await leases.end(1.0) == 3
    assert (listing.left_s, leases.left_s, leases.shortest_s) == ({}, {}, None)


async def test_lost_leases():
    """A lease that the gateway does not list any more is lost, and taken again; one that was not wanted is not lost."""
    listing = Listing()
    leases = held(listing)
    await look(leases, "E_A", "E_B")
    listing.left_s.clear()
    assert await look(leases, "E_A") == 1
    assert (leases.lost, list(leases.left_s)) == (1, ["E_A"])


async def test_what_a_gateway_refuses():
    """A refused event is listed with its problem, and the others are subscribed."""
    listing = Listing()
    listing.refuses = {"E_A"}
    leases = held(listing)
    await look(leases, "E_A", "E_B")
    assert (leases.refused, leases.left_s) == ({"E_A": "400: Bad parameter value"}, {"E_B": 600})


async def test_a_lease_that_was_taken_for_another_one():
    """A lease that is lost to a socket which begins like this one is an error that names both."""
    listing = Listing()
    leases = held(listing)
    await look(leases, "E_A")
    listing.left_s = {("E_A", "udp:127.0.0.10:19001"): 600}
    with pytest.raises(ValueError, match="got 'udp:127.0.0.1:19001' and 'udp:127.0.0.10:19001'"):
        await look(leases, "E_A")
    assert leases.lost == 0


async def test_a_lease_without_an_answer_is_to_be_left():
    """A lease is known before the gateway has answered, so that it is ended whether the gateway took it or not."""
    listing = Listing()
    leases = held(listing)

    async def no_answer(method, params):
        if method == "event_subscribe" and params[2]:
            raise ManagementError("no answer")
        return await listing.call(method, params)

    leases.reach(GatewayLeases(no_answer, SOCKET, 600))
    listing.left_s["E_A", SOCKET] = 1
    with pytest.raises(ManagementError, match="no answer"):
        await look(leases, "E_A")
    assert await leases.end(1.0) == 1
    assert listing.ended == ["E_A"]
