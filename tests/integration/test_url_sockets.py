"""URLs in the place of sockets: the error shows the socket that was meant, and no password."""

import pytest

import evframe
from evframe.exceptions import SocketError

ROUTES = {"E_X": "builtins:print"}


def made(*disabled):
    events = evframe.EventInterface(evframe.Config(disable=[*disabled], plugins={"route": {"routes": ROUTES}}))
    events.register_event("E_X")
    return events


@pytest.fixture(scope="module")
def interface():
    """Return an interface without webhooks, whose sockets are URLs."""
    return made("webhook")


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("udp://127.0.0.1:9000", "udp:127.0.0.1:9000"),
        ("udp://[::1]:9000/", "udp:[::1]:9000"),
        ("udp://u:s3cret@127.0.0.1:9000", "udp:127.0.0.1:9000"),
        ("UDP://127.0.0.1:9000", "udp:127.0.0.1:9000"),
        ("tcp://host.example:9000", "tcp:host.example:9000"),
        ("tcp://127.0.0.1:9000/method", "tcp:127.0.0.1:9000/method"),
        ("xmlrpc://127.0.0.1:8080/RPC2:log", "xmlrpc:127.0.0.1:8080/RPC2:log"),
        ("xmlrpcs://127.0.0.1:8080/RPC2:log", "xmlrpcs:127.0.0.1:8080/RPC2:log"),
        ("http://127.0.0.1:9000/hook", "xmlrpc:127.0.0.1:9000/hook:METHOD"),
        ("http://host.example/hook", "xmlrpc:host.example:80/hook:METHOD"),
        ("https://u:s3cret@host.example/hook", "xmlrpcs:host.example:443/hook:METHOD"),
        ("rabbitmq://user:s3cret@host/q", "rabbitmq:user:***@host/q"),
        ("rabbitmq://host:5673/exchange=a?q", "rabbitmq:host:5673/exchange=a?q"),
        ("rabbitmq://user:s3c/r@et@host/q", "rabbitmq:host/q"),
        ("amqp://user:s3cret@host/q", "rabbitmq:user:***@host/q"),
        ("amqps://user:s3cret@host:5671/q", "rabbitmq:host:5671/tls?q"),
        ("amqps://u:s3c?r@et@host/q?heartbeat=1", "rabbitmq:host/tls?q"),
        ("rabbitmq://u:s3c\\r@et@host/q", "rabbitmq:u:***@host/q"),
        ("kafka://k1:9092,k2/topic", "kafka:k1:9092,k2/topic"),
        ("kafka://user:s3cret@k1:9092/topic?key=a", "kafka:k1:9092/topic?key=a"),
        ("kafka://k1/topic?g.sasl.password=s3cret", "kafka:k1/topic?g.sasl.password=***"),
        ("file:///var/log/events", "flatstore:/var/log/events"),
        ("route://E_X", "route:E_X"),
        ("virtual://FAILOVER udp:127.0.0.1:1 udp:127.0.0.1:2", "virtual:FAILOVER udp:127.0.0.1:1 udp:127.0.0.1:2"),
        ("virtual:FAILOVER rabbitmq://u:s3cret@h/q udp:127.0.0.1:2", "rabbitmq:u:***@h/q"),
    ],
)
def test_the_socket_that_was_meant_is_shown(interface, url, meant):
    """A URL is refused with the socket that it stands for, and without the password."""
    with pytest.raises(SocketError) as caught:
        interface.subscribe_event("E_X", url)
    assert caught.value.problem == f"expected '{meant}', got a URL"
    assert "s3c" not in str(caught.value)
    assert "r@et" not in str(caught.value)


def test_every_transport():
    """For a URL of any scheme that a plugin has there is an error that shows no password, or it is a path."""
    interface = made()
    schemes = {
        scheme for status in interface.plugin_status for scheme in getattr(interface.plugin(status.name), "schemes", ())
    }
    assert {"udp", "unix", "tcp", "xmlrpc", "xmlrpcs", "flatstore", "rabbitmq", "kafka", "route", "virtual"} <= schemes
    for scheme in sorted(schemes - {"unix", "flatstore"}):
        for url in (f"{scheme}://user:s3cret@127.0.0.1:9000/a", f"{scheme}://user:s3cret@[/a", f"{scheme}://"):
            with pytest.raises(SocketError) as caught:
                interface.subscribe_event("E_X", url)
            assert "s3cret" not in str(caught.value)


def test_urls_that_are_sockets():
    """With webhooks, a URL of the web is a socket; one that is refused has the error of its transport."""
    events = made()
    assert events.subscribe_event("E_X", "https://host.example/hook").subscriber.socket.canonical.endswith(":443/hook")
    with pytest.raises(SocketError, match=r"^socket 'https://host.example/hook': expected .* without a user") as caught:
        events.subscribe_event("E_X", "https://u:s3cret@host.example/hook")
    assert "s3cret" not in str(caught.value)


def test_urls_of_redis(interface):
    """A URL of Redis is a socket; its password is in no text of it, nor of an error."""
    socket = interface.subscribe_event("E_X", "rediss://u:s3cret@host.example/1?stream=a").subscriber.socket
    assert socket.canonical == "rediss://u@host.example:6379/1?stream=a"
    with pytest.raises(SocketError, match=r"^socket 'redis://u:\*\*\*@host.example/x\?\*\*\*': expected ") as caught:
        interface.subscribe_event("E_X", "redis://u:s3cret@host.example/x?stream=a")
    assert "s3cret" not in str(caught.value)


def test_paths(interface):
    """Three slashes before a path are the path, as in the original."""
    for socket in ("unix:///run/events.sock", "flatstore:///var/log/events"):
        interface.subscribe_event("E_X", socket)
        assert socket in {each.subscriber.socket.canonical for each in interface.subscriptions}


def test_secrets_in_paths(interface):
    """What looks like a secret in the path of a URL is in no text of the error."""
    for url in ("xmlrpc://127.0.0.1:80/hooks/xoxb9f8a7T0K3Nqq:log", "http://127.0.0.1:80/hooks/xoxb9f8a7T0K3Nqq"):
        with pytest.raises(SocketError, match=r"expected 'xmlrpc:127.0.0.1:80/hooks/\*\*\*") as caught:
            interface.subscribe_event("E_X", url)
        assert "T0K3N" not in str(caught.value)


@pytest.mark.parametrize(
    "socket",
    [
        "nosuch://host/hook?token=s3cret",
        "nosuch://host/hook?a=1&b=s3cret",
        "nosuch://host/hook?s3cret",
        "nosuch://host/hook#s3cret",
        "nosuch://host/hook;sess=s3cret/x",
        "nosuch://host;s3cret",
        "nosuch://s3cret@host/hook",
        "nosuch://u:s3cret@host/hook?a=s3cret",
        "nosuch://host/hook?a=s3cret@host",
        "nosuch:host/hook?token=s3cret",
        "http:host/hook?api_key=s3cret",
        "http://host/hook?a=s3cret@x",
        "https://[bad/?a=s3cret",
        "http://host:99999999/hook?s3cret",
        "xmlrpc://host/p?s3cret",
        "xmlrpc://host/p?s3cret:m",
        "udp://host:x?s3cret",
        "udp:host:x?token=s3cret",
        "tcp://host:1x#s3cret",
        "rabbitmq://host:x/?token=s3cret",
        "kafka://host:x/t?token=s3cret",
        "redis://u:s3cret@host/x?stream=s",
        "redis://host?token=s3cret",
        "virtual:FAILOVER nosuch://host/?s3cret udp:127.0.0.1:1",
        "virtual:NOSUCH http://host/?s3cret udp:127.0.0.1:1",
    ],
)
def test_what_may_be_a_secret_in_a_url(interface, socket):
    """The query, the fragment, parameters and a user alone are in no text of an error, and the host still is."""
    with pytest.raises(SocketError) as caught:
        interface.subscribe_event("E_X", socket)
    for text in (str(caught.value), caught.value.socket, caught.value.problem):
        assert "s3c" not in text
    assert "expected" in caught.value.problem


def test_the_place_of_a_url_is_shown(interface):
    """The error shows the scheme, the host and the path, so that the socket can be found."""
    with pytest.raises(SocketError, match=r"^socket 'nosuch://u:\*\*\*@host:80/hook\?\*\*\*': expected a scheme of "):
        interface.subscribe_event("E_X", "nosuch://u:pw@host:80/hook?token=a#b")


def test_other_urls(interface):
    """A URL that stands for no socket is refused as any other text, without its password."""
    with pytest.raises(SocketError, match="expected a scheme of .*got 'ldap'") as caught:
        interface.subscribe_event("E_X", "ldap://u:s3cret@h/0")
    assert "s3cret" not in str(caught.value)
