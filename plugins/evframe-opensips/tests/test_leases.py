"""What an instance answers about leases, with the answers of the reference."""

import json

import pytest
from evframe_opensips.leases import NEVER, begins, due, listed_events, listed_lease, listed_leases
from hypothesis import given
from hypothesis import strategies as st

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
    with pytest.raises(ValueError, match="events_list: expected"):
        listed_events(answer)
    with pytest.raises(ValueError, match="subscribers_list: expected"):
        listed_leases(answer, SOCKET)
    with pytest.raises(ValueError, match="subscribers_list: expected"):
        listed_lease(answer, SOCKET)


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
