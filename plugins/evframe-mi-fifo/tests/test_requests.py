"""Requests in what is read from a FIFO, however it is cut into pieces."""

import json
from itertools import pairwise

import pytest
from evframe_mi_fifo.requests import Request, RequestStream
from evframe_wire.scanning import ValueScanner
from hypothesis import given
from hypothesis import strategies as st

ONE = b':r_1:{"jsonrpc": "2.0", "id": "77", "method": "pwd", "params": {}}'
TWO = b':r2:{"method":"x"}'
FIRST = Request(b"r_1", ONE[5:])
SECOND = Request(b"r2", TWO[4:])


def fed(*pieces, most=1 << 20):
    """Return the requests, and whether there is more to come."""
    stream = RequestStream(most)
    return [request for piece in pieces for request in stream.feed(piece)], stream.unfinished


def given_up(stream):
    """Return what there is once all that is missing has not come."""
    requests = []
    while stream.unfinished:
        requests += stream.give_up()
    return requests


@pytest.mark.parametrize(
    ("data", "requests"),
    [
        (ONE, [FIRST]),
        (ONE + TWO, [FIRST, SECOND]),
        (ONE + b"\n \t\r\n" + TWO + b"\n", [FIRST, SECOND]),
        (b" \r\n\t:r2: \n" + TWO[4:], [Request(b"r2", b" \n" + TWO[4:])]),
        (b"::" + TWO[4:], [Request(b"", TWO[4:])]),
        (b':r:[1]:r:5 :r:true :r:"x":r:[]:r:{}', [Request(b"r", text) for text in (b"[1]", b"5", b"true", b'"x"', b"[]", b"{}")]),
        (b':r:{"a":"}\\"]","b":[{"c":[1,2.5e3,null]},{}]}', [Request(b"r", b'{"a":"}\\"]","b":[{"c":[1,2.5e3,null]},{}]}')]),
    ],
)  # fmt: skip
def test_requests(data, requests):
    """A name between colons and a JSON value; several may follow each other, with blanks between."""
    assert fed(data) == (requests, False)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_pieces_q11(size):
    """Q-11: a request that comes in pieces is one."""
    data = ONE + b"\n" + TWO
    assert fed(*(data[at : at + size] for at in range(0, len(data), size))) == ([FIRST, SECOND], False)


@pytest.mark.parametrize(
    "broken",
    [b"{bad", b"garbage", b"{,", b'{"a":}', b'{"a" 1', b"[1 2]", b"}", b"[}", b'{"a":1,}', b"{1:2}", b"[" + b"x" * 600],
)
def test_what_is_no_json_q11(broken):
    """Q-11: what cannot become JSON is answered at once, to its sender, and what follows is read."""
    requests, unfinished = fed(b":r:" + broken + TWO)
    assert requests in ([Request(b"r", None), SECOND], [Request(b"r", broken), SECOND])
    assert not unfinished
    if requests[0].text is not None:
        with pytest.raises(ValueError, match="Expecting"):
            json.loads(requests[0].text)


@pytest.mark.parametrize(
    "begun", [b":r:{", b':r:{"a":"half', b":r:", b':r:{"a"', b':r:{"a":[1,', b':r:{"\\', b":r:[tru"]
)
def test_half_a_request(begun):
    """The rest of a request is waited for, given up in time, and costs the next one nothing."""
    stream = RequestStream(1000)
    assert (stream.feed(begun), stream.unfinished) == ([], True)
    assert given_up(stream) == [Request(b"r", None)]
    assert fed(begun, TWO) == ([Request(b"r", None), SECOND], False)


@pytest.mark.parametrize(
    "junk",
    [
        b"garbage",
        b'{"jsonrpc":"2.0","method":"which"}',
        b"\0\xff:\n",
        b":" + b"x" * 200 + b":",
        b":::{",
        b":a",
        b"x:80:",
        b":a/b",
    ],
)
def test_junk_is_passed_over(junk):
    """What does not begin as a request is dropped up to one that does."""
    requests, unfinished = fed(junk + TWO)
    assert requests[-1] == SECOND
    assert all(request.text is None for request in requests[:-1])
    assert not unfinished
    stream = RequestStream(1000)
    stream.feed(junk)
    given_up(stream)
    assert stream.feed(TWO) == [SECOND]


def test_nothing_within_a_request_that_is_nested_too_deep_is_one():
    """A request that is nested deeper than requests are read is one, whatever is in its texts."""
    deep = b':r:%b":r2:{}"%b' % (b'{"a":' * 1500, b"}" * 1500)
    assert fed(deep, TWO) == ([Request(b"r", deep[3:]), SECOND], False)


@pytest.mark.parametrize("piece", [10, 5000])
def test_request_that_is_too_large(piece):
    """A request beyond the limit is refused as soon as that is clear, and the next one is read."""
    large = b':r:{"a":"%b"}' % (b"x" * 3000)
    pieces = [large[at : at + piece] for at in range(0, len(large), piece)]
    assert fed(*pieces, TWO, most=1000) == ([Request(b"r", None), SECOND], False)


def test_large_requests_cost_little(monkeypatch):
    """Every byte is looked at once, however small the pieces are."""
    looked_at = []
    end = ValueScanner.end

    def counted(self, data):
        start = self._at
        found = end(self, data)
        looked_at.append(self._at - start)
        return found

    monkeypatch.setattr(ValueScanner, "end", counted)
    request = b':r:{"a":"%b","b":[%b]}' % (b'\\"' * 200_000, b"1," * 200_000 + b"1")
    stream = RequestStream(1 << 20)
    got = [found for at in range(0, len(request), 100) for found in stream.feed(request[at : at + 100])]
    assert got == [Request(b"r", request[3:])]
    assert len(request) / 2 < sum(looked_at) < 2 * len(request)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.binary(max_size=20).filter(lambda name: b":" not in name)


@given(st.lists(st.tuples(names, values), min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=6))
def test_any_requests_in_any_pieces(requests, cuts):
    """Requests with any JSON values come out as they went in, wherever they are cut."""
    texts = [(name, json.dumps(value).encode()) for name, value in requests]
    data = b" ".join(b":%b:%b" % text for text in texts) + b"\n"
    # A number at the top is over where a piece is: nothing shows that more digits follow.
    at = [
        0,
        *(cut for cut in sorted(set(cuts)) if cut < len(data) and not data[cut - 1 : cut + 1].isalnum()),
        len(data),
    ]
    got, unfinished = fed(*(data[start:stop] for start, stop in pairwise(at)))
    if all(text[:1] in b'{["' for _, text in texts):
        assert got == [Request(name, text) for name, text in texts]
        assert not unfinished


@given(
    st.lists(
        st.binary(max_size=60) | st.sampled_from([ONE, TWO, b":r:", b"{", b'"', b"\\", b"}", b":", b"[", b","]),
        max_size=12,
    )
)
def test_any_bytes(pieces):
    """After any bytes at all, and the time for the rest of them, the next request is read."""
    stream = RequestStream(500)
    for piece in pieces:
        stream.feed(piece)
    given_up(stream)
    assert stream.feed(TWO) == [SECOND]
