"""Hosts and ports: what is accepted."""

import pytest
from evframe_wire.addresses import shown_authority, split_host_port, url_host_port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h:1", ("h", 1)),
        ("h:65535", ("h", 65535)),
        ("h:00080", ("h", 80)),
        ("127.1:80", ("127.1", 80)),
        ("1e100.a_b.example.:80", ("1e100.a_b.example.", 80)),
        ("bücher.example:80", ("bücher.example", 80)),
        ("[::1]:80", ("[::1]", 80)),
        ("[fe80::1%eth0]:80", ("[fe80::1%eth0]", 80)),
    ],
)
def test_split(text, expected):
    """A host keeps its text, a port is a number."""
    assert split_host_port(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected host:port or [ipv6]:port, got ''"),
        ("h", "expected host:port or [ipv6]:port, got 'h'"),
        (":1", "expected host:port or [ipv6]:port, got ':1'"),
        ("::1:80", "expected host:port or [ipv6]:port, got '::1:80'"),
        (" h:1", "expected host:port or [ipv6]:port, got ' h:1'"),
        ("256.1.1.1:1", "expected a host name or an address, got '256.1.1.1'"),
        ("127.0.0.1\0.x:1", "expected a host name or an address, got '127.0.0.1\\x00.x'"),
        ("a b:1", "expected a host name or an address, got 'a b'"),
        ("a..b:1", "expected a host name or an address, got 'a..b'"),
        ("\ud800:1", "expected a host name or an address, got '\\ud800'"),
        (f"{'x' * 64}:1", f"expected a host name or an address, got '{'x' * 64}'"),
        ("[fe80::1%\0]:1", "expected an IPv6 address in brackets, got '[fe80::1%\\x00]'"),
        ("[h]:1", "expected an IPv6 address in brackets, got '[h]'"),
        ("h:", "expected a port from 1 to 65535, got ''"),
        ("h:0", "expected a port from 1 to 65535, got '0'"),
        ("h:65536", "expected a port from 1 to 65535, got '65536'"),
        ("h:000001", "expected a port from 1 to 65535, got '000001'"),
        ("h:+1", "expected a port from 1 to 65535, got '+1'"),
        ("h:１", "expected a port from 1 to 65535, got '１'"),
    ],
)
def test_what_does_not_fit(text, problem):
    """What does not fit is told with the form that does."""
    with pytest.raises(ValueError) as caught:
        split_host_port(text)
    assert str(caught.value) == problem


@pytest.mark.parametrize("text", ["u:s3cret", "u:s3cret:1", "[s3cret]", "s3 cret"])
def test_what_does_not_fit_in_a_url(text):
    """A password that was not encoded begins where the port is: no error shows it."""
    with pytest.raises(ValueError, match="expected .*, got another text") as caught:
        url_host_port(text, 80)
    assert "cret" not in str(caught.value)


def test_the_port_of_a_url():
    """Without one, it is that of the scheme."""
    assert url_host_port("h", 80) == ("h", 80)
    assert url_host_port("[::1]", 80) == ("[::1]", 80)
    assert url_host_port("[::1]:7", 80) == ("[::1]", 7)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("u:s3cret@h:1", "h:1"),
        ("u:s3cret", "u:***"),
        ("u:s3c:ret", "u:***"),
        ("h:1,u:s3cret", "h:1,u:***"),
        ("[::1]:80", "[::1]:80"),
        ("[fe80::1%eth0]", "[fe80::1%eth0]"),
        ("h:65536", "h:65536"),
    ],
)
def test_what_is_shown_of_a_url(text, shown):
    """The server, without a user, and without what may be a password in the place of a port."""
    assert shown_authority(text) == shown
