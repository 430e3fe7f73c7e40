"""Marks in place of secrets, in texts that are refused."""

import pytest
from evframe_wire.masking import masked_error, masked_socket, without_properties


@pytest.mark.parametrize(
    "name",
    [
        *("g.sasl.password", "sasl.pasword", "passwort", "Passwd", "pass", "ssl.key.passphrase"),
        *("header.Authorization", "header.Proxy-Authorization", "client.secret", "api-key", "token"),
    ],
)
def test_values_of_names_like_that_of_a_secret_are_hidden(name):
    """The value of a property is hidden when its name is that of a secret, or is that but for its spelling."""
    assert without_properties(f"kafka:h/t?{name}=sesame&g.acks=1") == f"kafka:h/t?{name}=***&g.acks=1"
    assert masked_socket(f"kafka:h/t?{name}=sesame", f"got '{name}=sesame'") == (
        f"kafka:h/t?{name}=***",
        f"got '{name}=***'",
    )


def test_other_values_stay():
    """The value of another property stays, so that an error shows what is wrong."""
    for text in ("kafka:h/t?key=caller&g.acks=7", "rabbitmq:h/exchange=passage;header.path=x?key"):
        assert without_properties(text) == text


def test_the_text_of_an_error_has_no_secret_of_the_socket():
    """Passwords of the socket and of its members, and of URLs, are hidden wherever they are in the text."""
    socket = "virtual:FAILOVER rabbitmq:a:first@h/q rabbitmq:b:second@h/q"
    text = "login of a with first, then second@h and amqp://c:third@h/ failed: token=fourth"
    assert masked_error(socket, text) == "login of a with ***, then ***@h and amqp://c:***@h/ failed: token=***"
    assert masked_error("udp:127.0.0.1:1", "expected at most 65507 bytes") == "expected at most 65507 bytes"
