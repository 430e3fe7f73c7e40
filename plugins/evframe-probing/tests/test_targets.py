"""From URIs to targets."""

import pytest
from evframe_probing import parse_target
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("uri", "kind", "transport", "host", "port"),
    [
        ("sip:10.0.0.1", "sip", "udp", "10.0.0.1", 5060),
        ("sip:10.0.0.1:5070", "sip", "udp", "10.0.0.1", 5070),
        ("SIP:gw@example.com:5070;transport=TCP;lr", "sip", "tcp", "example.com", 5070),
        ("sip:gw;x=y@example.com", "sip", "udp", "example.com", 5060),
        ("sip:example.com;transport=tls", "sip", "tls", "example.com", 5061),
        ("sips:example.com", "sip", "tls", "example.com", 5061),
        ("sip:[2001:db8::1]:5080", "sip", "udp", "2001:db8::1", 5080),
        ("sip:[::1]", "sip", "udp", "::1", 5060),
        ("tcp://10.0.0.1:80", "tcp", "tcp", "10.0.0.1", 80),
        ("tcp:[::1]:80", "tcp", "tcp", "::1", 80),
        ("http://example.com", "http", "tcp", "example.com", 80),
        ("http://example.com:8080/health?x=1", "http", "tcp", "example.com", 8080),
        ("https://[::1]/", "http", "tls", "::1", 443),
    ],
)
def test_targets(uri, kind, transport, host, port):
    """Scheme, transport, host and port of each kind of URI, with the default ports."""
    target = parse_target(uri)
    assert (target.kind, target.transport, target.host, target.port) == (kind, transport, host, port)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "example.com",
        "sip:",
        "sip:@",
        "sip:h:0",
        "sip:h:70000",
        "sip:h:x",
        "sip:h;transport=ws",
        "sip:[::x]",
        "sip:a b",
        "sip:h\r\nVia: x",
        "<sip:h>",
        "tcp://h",
        "tcp://:80",
        "http://",
        "http://h:99999",
        "http://h:0",
        "ftp://h",
        "udp:h:1",
    ],
)
def test_bad_uris(uri):
    """What does not fit is an error with the accepted form."""
    with pytest.raises(ValueError, match="expected"):
        parse_target(uri)


@pytest.mark.parametrize("uri", ["sip:a:secret@h", "http://a:secret@h/"])
def test_passwords_are_refused_and_not_shown(uri):
    """A password would be shown by every listing and event."""
    with pytest.raises(ValueError) as caught:
        parse_target(uri)
    assert "secret" not in str(caught.value)


def test_a_request_uri_has_no_headers():
    """What stands after a question mark stays out of the request."""
    assert parse_target("sip:h;lr?subject=x").uri == "sip:h;lr"


@given(st.text(max_size=40), st.sampled_from(["", "sip:", "sips:", "tcp://", "http://", "https://"]))
def test_any_text_is_a_target_or_a_value_error(text, scheme):
    """Nothing else is raised, and no blank or control character gets into a request."""
    try:
        target = parse_target(scheme + text)
    except ValueError:
        return
    assert target.uri.isprintable()
    assert " " not in target.uri
    assert 1 <= target.port <= 65535
    assert target.host
