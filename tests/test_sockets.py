"""Hosts and ports: what is accepted."""

import pytest
from evframe_wire.addresses import split_host_port


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
