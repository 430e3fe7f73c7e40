"""The sockets of the transport, row by row."""

import pytest
from evframe_rabbitmq import RabbitSocket, parse
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "parts", "canonical"),
    [
        ("127.0.0.1/rk", ("guest", "guest", "127.0.0.1", 5672, "", "rk"), "guest@127.0.0.1/rk"),
        ("127.0.0.1:5672/rk", ("guest", "guest", "127.0.0.1", 5672, "", "rk"), "guest@127.0.0.1/rk"),
        ("guest:guest@127.0.0.1:5672/rk", ("guest", "guest", "127.0.0.1", 5672, "", "rk"), "guest@127.0.0.1/rk"),
        ("guest@127.0.0.1/rk", ("guest", "guest", "127.0.0.1", 5672, "", "rk"), "guest@127.0.0.1/rk"),
        ("u:p@h/rk", ("u", "p", "h", 5672, "", "rk"), "u@h/rk"),
        ("u:p2@h/rk", ("u", "p2", "h", 5672, "", "rk"), "u@h/rk"),
        ("u:@h/rk", ("u", "", "h", 5672, "", "rk"), "u@h/rk"),
        ("joe@h/rk", ("joe", "guest", "h", 5672, "", "rk"), "joe@h/rk"),
        (":p@h/rk", ("", "p", "h", 5672, "", "rk"), "@h/rk"),
        ("@h/rk", ("", "guest", "h", 5672, "", "rk"), "@h/rk"),
        ("/rk", ("guest", "guest", "", 5672, "", "rk"), "guest@/rk"),
        ("u%40x:p%2Fw@h/rk", ("u@x", "p/w", "h", 5672, "", "rk"), "u%40x@h/rk"),
        ("u:p:w@h/rk", ("u", "p:w", "h", 5672, "", "rk"), "u@h/rk"),
        ("u:p@w@h/rk", ("u", "p", "w@h", 5672, "", "rk"), "u@w@h/rk"),
        ("h/exchange=ex?rk", ("guest", "guest", "h", 5672, "ex", "rk"), "guest@h/exchange=ex?rk"),
        ("h/exchange=ex?", ("guest", "guest", "h", 5672, "ex", ""), "guest@h/exchange=ex?"),
        ("h/exchange=a;exchange=b?rk", ("guest", "guest", "h", 5672, "b", "rk"), "guest@h/exchange=b?rk"),
        (
            "h/ exchange=ex ; persistent ?rk",
            ("guest", "guest", "h", 5672, "ex", "rk"),
            "guest@h/exchange=ex;persistent?rk",
        ),
        ("h/persistent?rk", ("guest", "guest", "h", 5672, "", "rk"), "guest@h/persistent?rk"),
        ("h/exchange=a%3Bb?k", ("guest", "guest", "h", 5672, "a;b", "k"), "guest@h/exchange=a%3Bb?k"),
        ("h/rk%20sp", ("guest", "guest", "h", 5672, "", "rk sp"), "guest@h/rk sp"),
        ("h/%3Frk", ("guest", "guest", "h", 5672, "", "?rk"), "guest@h/%3Frk"),
        ("h/a/b", ("guest", "guest", "h", 5672, "", "a/b"), "guest@h/a/b"),
        ("h/rké", ("guest", "guest", "h", 5672, "", "rké"), "guest@h/rké"),
        ("h/exchange=a?b?c", ("guest", "guest", "h", 5672, "a", "b?c"), "guest@h/exchange=a?b?c"),
        ("H/rk", ("guest", "guest", "H", 5672, "", "rk"), "guest@H/rk"),
        (" h /rk", ("guest", "guest", " h ", 5672, "", "rk"), "guest@ h /rk"),
        ("h:5673/rk", ("guest", "guest", "h", 5673, "", "rk"), "guest@h:5673/rk"),
        ("u:p@[::1]:5673/rk", ("u", "p", "[::1]", 5673, "", "rk"), "u@[::1]:5673/rk"),
        ("[::1]/rk", ("guest", "guest", "[::1]", 5672, "", "rk"), "guest@[::1]/rk"),
        ("h/%c3%a9", ("guest", "guest", "h", 5672, "", "é"), "guest@h/é"),
    ],
)
def test_accepted_r7_r11_r14(text, parts, canonical):
    """R7, R11, R14: each accepted row; the canonical text can be parsed again, and has no password."""
    found = parse(text)
    assert (found.user, found.password, found.host, found.port, found.exchange, found.key) == parts
    assert found.canonical == f"rabbitmq:{canonical}"
    assert parse(canonical).canonical == found.canonical
    assert "p2" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "h/",
        "h",
        "h:5672",
        "h:/rk",
        "h:0/rk",
        "h:65537/rk",
        "h/?rk",
        "h/exchange=?rk",
        "h/persistent=1?rk",
        "h/EXCHANGE=a?rk",
        "h/foo=1?rk",
        "h/a?b",
        "h/%2",
        "h/%01",
        "h/%zz",
        "h/%ff",
        "//u:p@h/rk",
        "u:p@h,,i/rk",
        "h,/rk",
        "h:1,i:x/rk",
        "[::1]x,h/rk",
        "h,[::1]x/rk",
        "h\0.example/rk",
        "u:p/w@h/rk",
        "",
        "[::1]x/rk",
        "h/expiration_ms=x?rk",
        "h/expiration_ms=4294967296?rk",
        "h/priority=256?rk",
        "h/priority=-1?rk",
        "h/app_id=?rk",
        "h/correlation_id=" + "c" * 256 + "?rk",
        "h/" + "k" * 256,
        "h/exchange=" + "é" * 128 + "?rk",
        "h/vhost=" + "v" * 256 + "?rk",
        "h/content_type=" + "c" * 256 + "?rk",
        "h/header." + "h" * 256 + "=1?rk",
    ],
)
def test_rejected_r8(text):
    """R8: each rejected row is an error."""
    with pytest.raises(ValueError, match="expected"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "endpoints", "canonical"),
    [
        ("u:p@h,i/rk", [("h", 5672), ("i", 5672)], "u@h,i/rk"),
        ("i,h/rk", [("i", 5672), ("h", 5672)], "guest@i,h/rk"),
        ("h:5673,i/rk", [("h", 5673), ("i", 5672)], "guest@h:5673,i/rk"),
        ("h,i:5673/rk", [("h", 5672), ("i", 5673)], "guest@h,i:5673/rk"),
        ("u:p@h:1,i:2,j:3/rk", [("h", 1), ("i", 2), ("j", 3)], "u@h:1,i:2,j:3/rk"),
        ("[::1],h,[::2]:7/rk", [("::1", 5672), ("h", 5672), ("::2", 7)], "guest@[::1],h,[::2]:7/rk"),
        ("[::1]:7,[::2]/rk", [("::1", 7), ("::2", 5672)], "guest@[::1]:7,[::2]/rk"),
        ("h,i:5671/tls?rk", [("h", 5671), ("i", 5671)], "guest@h,i/tls?rk"),
    ],
)
def test_several_hosts(text, endpoints, canonical):
    """Each host may have a port; all are endpoints, and the canonical text keeps their order."""
    found = parse(text)
    assert (list(found.endpoints), found.canonical) == (endpoints, f"rabbitmq:{canonical}")
    assert parse(canonical).endpoints == found.endpoints
    assert found.broker != parse("h/rk").broker


def test_tls_domain_r8():
    """R8: the original's way to ask for TLS means the same, with the port of AMQP over TLS."""
    found = parse("h/tls_domain=d?rk")
    assert (found.tls, found.port, found.canonical) == (True, 5671, "rabbitmq:guest@h/tls?rk")
    assert parse("h:5672/tls?rk").canonical == "rabbitmq:guest@h:5672/tls?rk"


def test_additions_r5():
    """R5: a vhost, a content type, headers, a message id and an expiration."""
    text = "u:p@h/exchange=ex;vhost=/my vhost;content_type=application/json;expiration_ms=500;message_id;header.x=1;header.a b=c;d?k"
    with pytest.raises(ValueError, match="'d'"):
        parse(text)
    found = parse(text.replace(";d?", "?"))

    assert (found.vhost, found.content_type, found.expiration_ms, found.message_id) == (
        "/my vhost",
        "application/json",
        500,
        True,
    )
    assert found.headers == {"x": "1", "a b": "c"}
    assert parse(found.canonical.partition(":")[2]).canonical == found.canonical


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(TEXT, TEXT, TEXT.filter(bool), TEXT, st.integers(1, 65535))
def test_canonical_text_is_a_socket(user, exchange, key, vhost, port):
    """Whatever a socket has, its canonical text is the same socket."""
    key = key.replace("{", "{{")  # one alone begins a parameter
    made = RabbitSocket("h", port, user, "secret", key, exchange, vhost or "/")
    again = parse(made.canonical.partition(":")[2])

    assert again.canonical == made.canonical
    assert (again.user, again.key, again.exchange, again.vhost, again.port) == (user, key, exchange, vhost or "/", port)
