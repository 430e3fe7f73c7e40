"""Where sockets are, by their canonical texts."""

import pytest
from evframe_schema.addresses import keys_for, place_of


@pytest.mark.parametrize(
    ("canonical", "protocol", "host", "pathname"),
    [
        ("unix:/run/a.sock", "unix", "/run/a.sock", ""),
        ("tcp:[2001:db8::1]:8080", "tcp", "[2001:db8::1]:8080", ""),
        ("rabbitmq:a%40b@h1,h2:1/", "amqp", "h1,h2:1", ""),
        ("xmlrpcs:rpc.example:8443/x:block_ip", "https", "rpc.example:8443", "/x"),
        ("https://hooks.example:443/orders?site=1", "https", "hooks.example:443", "/orders"),
        ("http://127.0.0.1:9000/", "http", "127.0.0.1:9000", "/"),
        ("mqtt:broker/a", "mqtt", "broker/a", ""),
    ],
)
def test_places(canonical, protocol, host, pathname):
    """A canonical text is split as its scheme has it; one of another plugin is taken as it is."""
    place = place_of(canonical)

    assert (place.protocol, place.host, place.pathname) == (protocol, host, pathname)


def test_keys_are_different():
    """Names that differ only in other characters have different keys."""
    assert keys_for(["a:b", "a/b", "a_b"]) == {"a:b": "a_b", "a/b": "a_b_2", "a_b": "a_b_3"}
