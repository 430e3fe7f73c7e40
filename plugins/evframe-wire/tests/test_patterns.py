"""Patterns of sockets and of URLs, in which the brackets of IPv6 addresses are text."""

import pytest
from evframe_wire.patterns import fits_socket, fits_stars


@pytest.mark.parametrize(
    ("pattern", "fits", "others"),
    [
        ("tcp:[::1]:9000", ["tcp:[::1]:9000"], ["tcp:1:9000", "tcp:[::1]:9001"]),
        ("tcp:[::1]:*", ["tcp:[::1]:9000"], ["tcp:1:9000"]),
        ("*[2001:db8::*]:*", ["udp:[2001:db8::5]:1"], ["udp:[2001:db9::5]:1"]),
        ("udp:10.0.0.[12]:*", ["udp:10.0.0.2:1"], ["udp:10.0.0.3:1", "udp:10.0.0.[12]:1"]),
        ("nats://h?/a", ["nats://h1/a"], ["nats://h/a"]),
        ("redis://h/1[?]stream=*", ["redis://h/1?stream=a"], ["redis://h/1/stream=a"]),
        ("tcp:[::1", ["tcp:[::1"], ["tcp::"]),
    ],
)
def test_patterns_of_sockets(pattern, fits, others):
    """Wildcards are those of file names, and an address in brackets is no set of characters."""
    assert [text for text in fits + others if fits_socket(text, pattern)] == fits


@pytest.mark.parametrize("text", ["https://[::1]:443", "/a?b=[c]", "[", "]", "?", "a*b", ""])
def test_the_star_alone(text):
    """A text fits itself, and a pattern with a star fits what is longer."""
    assert fits_stars(text, text)
    assert fits_stars(f"x{text}y", f"*{text}*")
    assert not fits_stars(f"{text}x", text) or text.endswith("*")
