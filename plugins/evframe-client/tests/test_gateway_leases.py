"""What a gateway answers about leases, with the answers of the reference."""

import json

import pytest
from evframe_client import ManagementError
from evframe_client.gateway_leases import NEVER, GatewayLeases, begins, listed_events, listed_lease, listed_leases

SOCKET = "udp:127.0.0.1:19001"


def test_events_list():
    """The names are in the order of the ids."""
    answer = '{"Events":[{"name":"E_CORE_SR_STATUS_CHANGED","id":0},{"name":"E_CORE_THRESHOLD","id":1}]}'
    assert listed_events(json.loads(answer)) == ["E_CORE_SR_STATUS_CHANGED", "E_CORE_THRESHOLD"]


@pytest.mark.parametrize(
    ("answer", "left_s"),
    [
        ('{"Events":[]}', {}),
        (
            (
                '{"Events":[{"name":"E_SCRIPT_A","id":11,"Subscribers":[{"socket":"udp:127.0.0.1:19001","expire":"never"}]},'
                '{"name":"E_SCRIPT_B","id":12,"Subscribers":[{"socket":"udp:127.0.0.1:19001","expire":30,"ttl":26}]}]}'
            ),
            {"E_SCRIPT_A": NEVER, "E_SCRIPT_B": 26},
        ),
        (
            '{"Events":[{"name":"E_A","id":1,"Subscribers":[{"socket":"udp:127.0.0.1:19001","expire":30,"ttl":"expired"}]}]}',
            {},
        ),
        (
            (
                '{"Events":[{"name":"E_A","id":1,"Subscribers":[{"socket":"udp:127.0.0.1:190010","expire":30,"ttl":7},'
                '{"socket":"tcp:127.0.0.1:19001","expire":30,"ttl":8},{"socket":"udp:127.0.0.1:19001","expire":30,"ttl":9}]}]}'
            ),
            {"E_A": 9},
        ),
    ],
)
def test_subscribers_list(answer, left_s):
    """A lease counts when its socket is this very one (Q-3 is of the original), until it has expired."""
    assert listed_leases(json.loads(answer), SOCKET) == left_s


@pytest.mark.parametrize(
    ("subscriber", "left_s"),
    [
        ('{"socket":"udp:127.0.0.1:19001","expire":45,"ttl":44}', 44),
        ('{"socket":"udp:127.0.0.1:19001","expire":45,"ttl":"expired"}', 0),
        ('{"socket":"udp:127.0.0.1:19001","expire":"never"}', NEVER),
        ('{"socket":"udp:127.0.0.1:190010","expire":45,"ttl":44}', 0),
    ],
)
def test_one_subscriber(subscriber, left_s):
    """The answer about one socket may be about another that begins like it."""
    answer = f'{{"Event":{{"name":"E_SCRIPT_B","id":12,"Subscriber":{subscriber}}}}}'
    assert listed_lease(json.loads(answer), SOCKET) == left_s


@pytest.mark.parametrize("answer", [None, "OK", [], {}, {"Events": 1}, {"Events": [{}]}, {"Event": {}}])
def test_other_answers(answer):
    """Another answer is an error that says what was expected."""
    with pytest.raises(ManagementError, match="events_list: expected"):
        listed_events(answer)
    with pytest.raises(ManagementError, match="subscribers_list: expected"):
        listed_leases(answer, SOCKET)
    with pytest.raises(ManagementError, match="subscribers_list: expected"):
        listed_lease(answer, SOCKET)


@pytest.mark.parametrize(
    ("socket", "other", "is_taken"),
    [
        ("udp:127.0.0.1:8081", "udp:127.0.0.10:8081", True),
        ("udp:127.0.0.10:8081", "udp:127.0.0.1:8081", False),
        ("udp:127.0.0.1:8081", "udp:127.0.0.1:8081", False),
        ("udp:127.0.0.1:8081", "udp:127.0.0.10:8082", False),
        ("udp:[2001:db8::1]:80", "udp:[2001:db8::1]:80", False),
        ("unix:/run/a", "unix:/run/a.sock", True),
        ("unix:/run/a.sock", "unix:/run/a", False),
        ("tcp:127.0.0.1:8081", "tcp:127.0.0.10:8081", False),
    ],
)
def test_beginnings(socket, other, is_taken):
    """A socket for datagrams is taken for one of the same kind and port whose host or path it is the beginning of."""
    assert begins(socket, other) is is_taken


def answering(answers):
    """Return how commands are called that have these *answers*, by the method; errors are raised."""
    calls = []

    async def call(method, params):
        calls.append((method, params))
        answer = answers[method]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return GatewayLeases(call, SOCKET, 60), calls


async def test_a_lease_that_has_expired_is_none():
    """The original lists what has expired until the next raise; it is no lease, as one that does not exist."""
    expired = {"Event": {"Subscriber": {"socket": SOCKET, "expire": 60, "ttl": "expired"}}}
    for answer in (expired, ManagementError("Subscriber does not exist", 404)):
        leases, _ = answering({"subscribers_list": answer})
        assert await leases.left_s("E_A") == 0
    leases, _ = answering({"subscribers_list": ManagementError("no answer")})
    with pytest.raises(ManagementError, match="no answer"):
        await leases.left_s("E_A")


async def test_ending_leases_of_a_gateway_that_is_away():
    """Leases end several at a time; what the gateway refuses is over, and that it does not answer is an error."""
    leases, calls = answering({"event_subscribe": ManagementError("Bad parameter value", 400)})
    await leases.end_all(["E_A", "E_B"])
    assert calls == [("event_subscribe", [name, SOCKET, 0]) for name in ("E_A", "E_B")]
    leases, calls = answering({"event_subscribe": ManagementError("no answer")})
    with pytest.raises(ManagementError, match="no answer"):
        await leases.end_all(["E_A", "E_B"])
