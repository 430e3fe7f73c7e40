"""SIP requests and responses as text."""

from itertools import islice

import pytest
from evframe_probing.sip import make_request, parse_response, pauses_s
from evframe_probing.testing import Received
from hypothesis import given
from hypothesis import strategies as st


def request(**changes):
    return make_request(
        "sip:gw@192.0.2.1:5070",
        **{
            "sent_by": "192.0.2.9:5060",
            "transport": "udp",
            "method": "OPTIONS",
            "from_uri": "sip:a@b",
            "max_forwards": 70,
            **changes,
        },
    )


def test_a_request_is_whole():
    """A request has each header field of RFC 3261, 8.1.1, and a branch that begins with the magic cookie."""
    made = request()
    read = Received.read(made.data, ("192.0.2.9", 5060))
    assert (read.method, read.uri) == ("OPTIONS", "sip:gw@192.0.2.1:5070")
    assert read.fields["via"] == f"SIP/2.0/UDP 192.0.2.9:5060;rport;branch={made.branch}"
    assert made.branch.startswith("z9hG4bK")
    assert read.fields["to"] == "<sip:gw@192.0.2.1:5070>"
    assert read.fields["from"].startswith("<sip:a@b>;tag=")
    assert read.fields["cseq"] == "1 OPTIONS"
    assert read.fields["max-forwards"] == "70"
    assert read.fields["call-id"] == made.call_id
    assert read.fields["content-length"] == "0"


def test_no_two_requests_are_alike():
    """Branch and Call-ID are new for each request."""
    made = [request() for _ in range(100)]
    assert len({each.branch for each in made}) == len({each.call_id for each in made}) == 100


def test_a_response_is_matched_by_branch_and_call_id():
    """What answers another request, or another Call-ID, is no answer."""
    mine, other = request(), request()
    read = Received.read(mine.data, ("192.0.2.9", 5060))
    found = parse_response(read.response(200))
    assert found.code == 200
    assert found.answers(mine)
    assert not found.answers(other)
    forged = read.response(200).replace(mine.call_id.encode(), b"forged")
    assert not parse_response(forged).answers(mine)


@pytest.mark.parametrize(
    "data",
    [
        b"SIP/2.0 404 Not Found\r\nv: SIP/2.0/UDP h;branch=z9hG4bKx\r\ni: c\r\n\r\n",
        b"SIP/2.0 404 \r\nVIA : SIP/2.0/UDP h\r\n ;branch=z9hG4bKx;rport=1\r\nCALL-ID: c\r\n\r\nbody\r\n\r\n",
        b"SIP/2.0 404\nVia: SIP/2.0/UDP h ; Branch = z9hG4bKx , SIP/2.0/UDP g;branch=other\nCall-ID: c\n\n",
        b"\r\nSIP/2.0 404 x\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nVia: SIP/2.0/UDP g;branch=y\r\nCall-ID: c\r\n\r\n",
    ],
)
def test_forms_of_a_response(data):
    """Compact and folded fields, blanks, several Vias, bare newlines."""
    found = parse_response(data)
    assert (found.code, found.branch, found.call_id) == (404, "z9hG4bKx", "c")


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n", b"OPTIONS sip:x SIP/2.0\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n"])
def test_what_is_no_response(data):
    """A keep-alive, a request, a response without a branch."""
    assert parse_response(data) is None


@given(st.binary(max_size=200), st.sampled_from([b"", b"SIP/2.0 200 OK\r\n", b"SIP/2.0 200 OK\r\nVia: "]))
def test_any_datagram_can_be_read(data, start):
    """Whatever arrives, reading it raises nothing."""
    parse_response(start + data)


def test_retransmissions():
    """Timer E doubles from T1 up to T2."""
    assert list(islice(pauses_s(0.5), 6)) == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
