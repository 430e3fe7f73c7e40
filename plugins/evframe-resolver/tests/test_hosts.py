"""Addresses: where connections to them end."""

import pytest
from evframe_resolver import is_public


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.43.8", True),
        ("2606:4700::1", True),
        ("10.1.2.3", False),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:192.0.43.8", True),
        ("2002:a00:1::", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_public_addresses(address, expected):
    """What ends in a private network is not public, however the address is written."""
    assert is_public(address) is expected
