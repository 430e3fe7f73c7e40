"""Addresses of a Redis."""

import pytest
from evframe_redis_clients.addresses import Address
from evframe_redis_clients.replies import command
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(
    TEXT.filter(lambda user: "secret" not in user),
    TEXT,
    st.integers(0, 999),
    st.integers(1, 65535),
    st.sampled_from(["h", "[::1]", "127.0.0.1"]),
)
def test_the_shown_text_is_an_address(user, password, database, port, host):
    """The text can be parsed again, and has everything but the password."""
    made = Address("rediss", host, port, user or None, f"secret{password}", database)
    again = Address.of(made.shown)
    assert "secret" not in f"{made.shown}{made!r}"
    assert (again.user, again.host, again.port, again.database, again.password) == (
        user or None,
        host,
        port,
        database,
        None,
    )
    assert again.is_encrypted


@pytest.mark.parametrize("text", ["", "redis:h", "http://h", "redis://", "redis://h/a", "redis://h/1/2", "redis://h?a"])
def test_what_is_no_address(text):
    """Each is refused."""
    with pytest.raises(ValueError, match="expected"):
        Address.of(text)


def test_a_command_in_bytes():
    """Words have their lengths in bytes."""
    assert command(b"XADD", "é".encode(), b"") == b"*3\r\n$4\r\nXADD\r\n$2\r\n\xc3\xa9\r\n$0\r\n\r\n"
