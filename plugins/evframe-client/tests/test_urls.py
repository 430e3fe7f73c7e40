"""The URLs of management interfaces."""

import pytest
from evframe_client import AsyncClient, Client, parse_url, url_of
from evframe_client.urls import FifoUrl, HttpUrl, UdpUrl, UnixUrl


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://127.0.0.1:8888/mi", HttpUrl("127.0.0.1", 8888, "/mi")),
        ("http://gw", HttpUrl("gw", 80, "/")),
        ("https://gw/mi?x=1", HttpUrl("gw", 443, "/mi?x=1", tls=True)),
        ("http://[::1]:8888/mi", HttpUrl("[::1]", 8888, "/mi")),
        ("http://gw/a b\u00e9%20", HttpUrl("gw", 80, "/a%20b%C3%A9%20")),
        ("http://u%40x:p%3A@gw/mi", HttpUrl("gw", 80, "/mi", credentials="u@x:p:")),
        ("http+unix://%2Frun%2Fmi.sock/mi", HttpUrl("localhost", 0, "/mi", unix_path="/run/mi.sock")),
        ("udp://127.0.0.1:8080", UdpUrl("127.0.0.1", 8080)),
        ("udp://[::1]:8080", UdpUrl("[::1]", 8080)),
        ("udp:127.0.0.1:8080", UdpUrl("127.0.0.1", 8080)),
        ("udp:[::1]:8080", UdpUrl("[::1]", 8080)),
        ("unix:/run/mi.sock", UnixUrl("/run/mi.sock", None)),
        ("fifo:/tmp/f", FifoUrl("/tmp/f", "/tmp")),
        ("unix:///run/mi.sock", UnixUrl("/run/mi.sock", None)),
        ("unix:///run/mi%20s?reply_dir=/run/x", UnixUrl("/run/mi s", "/run/x")),
        ("fifo:///tmp/opensips_fifo", FifoUrl("/tmp/opensips_fifo", "/tmp")),
        ("fifo:///tmp/f?reply_dir=/var/tmp/", FifoUrl("/tmp/f", "/var/tmp/")),
    ],
)
def test_parts(url, parts):
    """Each form has its parts."""
    assert parse_url(url) == parts


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "expected http://, https://, http+unix://, udp://, unix:// or fifo://"),
        ("ftp://x", "expected http://"),
        ("127.0.0.1:8888", "expected http://"),
        ("http:///mi", "expected a host"),
        ("http://gw:0/mi", "expected a port from 1 to 65535"),
        ("http://gw:/mi", "expected a port from 1 to 65535"),
        ("http://gw:99999/mi", "Port out of range"),
        ("http+unix://run/mi", "expected an absolute path, got 'run'"),
        ("udp://gw", "expected host:port"),
        ("udp://gw:x", "expected a port"),
        ("unix://run/mi", "expected three slashes before the path"),
        ("unix:mi", "expected an absolute path"),
        ("unix:///a%00b", "expected an absolute path"),
        ("fifo:///f?dir=/x", "expected reply_dir, got 'dir'"),
        ("fifo:///f?reply_dir=x", "expected an absolute path, got 'x'"),
        ("fifo:///f?reply_dir", "bad query field"),
    ],
)
def test_what_is_no_url(url, problem):
    """A text that cannot be used is refused where the client is made, with the reason."""
    for kind in (Client, AsyncClient):
        with pytest.raises(ValueError) as caught:
            kind(url)
        assert repr(url) in str(caught.value)
        assert problem in str(caught.value)


def test_secrets_are_not_shown():
    """Neither the password nor the token is in the text of a client or an error."""
    client = Client("http://user:hidden@gw/mi", token="secret")

    assert "hidden" not in repr(client)
    assert "secret" not in repr(client)
    with pytest.raises(ValueError) as caught:
        Client("http://user:hidden@gw:0/mi")
    assert "hidden" not in str(caught.value)
    with pytest.raises(ValueError, match="token: expected printable") as caught:
        Client(token="sec\nret")
    assert "ret" not in str(caught.value).removeprefix("token: expected printable")


@pytest.mark.parametrize(
    ("tables", "url"),
    [
        ({}, "http://127.0.0.1:8888/mi"),
        ({"stream": {}, "mi-http": {}}, "http://127.0.0.1:8888/mi"),
        ({"mi-http": {"bind": "0.0.0.0:80", "path": "/x"}}, "http://127.0.0.1:80/x"),
        ({"mi-http": {"bind": "[::]:80"}}, "http://[::1]:80/mi"),
        ({"mi-http": {"bind": "unix:/run/a b"}}, "http+unix://%2Frun%2Fa%20b/mi"),
        ({"mi-http": {"bind": "gw:1", "tls_cert_file": "c"}}, "https://gw:1/mi"),
        ({"mi-datagram": {"socket_name": "udp:0.0.0.0:8080"}, "mi-http": {}}, "udp://127.0.0.1:8080"),
        ({"mi-datagram": {"socket_name": "/run/mi.sock"}}, "unix:///run/mi.sock"),
        ({"mi-datagram": {"socket_name": "unix:/run/mi.sock"}}, "unix:///run/mi.sock"),
        ({"mi-datagram": {}, "mi-http": {"path": "/x"}}, "http://127.0.0.1:8888/x"),
        ({"mi-fifo": {"fifo_name": "/tmp/f"}, "mi-http": {}}, "fifo:///tmp/f"),
        ({"mi-fifo": {"fifo_name": "/tmp/f", "reply_dir": "/run/r r"}}, "fifo:///tmp/f?reply_dir=/run/r+r"),
        ({"mi-fifo": {}}, "http://127.0.0.1:8888/mi"),
    ],
)
def test_first_interface_of_a_configuration(tables, url):
    """The first interface that listens is the one to use; a client reaches what is bound to all addresses."""
    assert url_of(tables) == url
    parse_url(url)
