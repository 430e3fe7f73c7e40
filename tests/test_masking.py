"""Secrets in URLs and properties."""

import pytest
from evframe_client import Client, ManagementError
from evframe_client.urls import without_password
from evframe_wire.masking import tails, without_properties, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x://host:1/path", "x://host:1/path"),
        ("x://host/p?", "x://host/p?"),
        ("x://host/p?q=1#f;s", "x://host/p?***"),
        ("x://host#f", "x://host#***"),
        ("x://host/p;s=1?q", "x://host/p;***"),
        ("x://u:p/w@e@host/p?q", "x://u:***@host/p?***"),
        ("x://u:${env:PW}@host/p?q", "x://u:${env:PW}@host/p?***"),
        ("x://u:a${env:PW}@host/p", "x://u:***@host/p"),
        ("x://token@host/p", "x://***@host/p"),
        ("x://host/p@b", "x://host/p@b"),
        ("x://host/?a@b", "x://host/?***"),
        ("virtual:F x://h/?a y:1 z://t@h#b", "virtual:F x://h/?*** y:1 z://***@h#***"),
        ("kafka:h/t?key=a&b=c", "kafka:h/t?key=a&b=c"),
    ],
)
def test_urls(text, shown):
    """What may be a secret has a mark, wherever in the text a URL stands; other texts stay."""
    assert without_secrets(text) == shown


def test_properties():
    """A value whose name says that it is a secret has a mark."""
    text = "h/p?token=a&Password=b;x.api_key=c access_key=d&n=1&sig=e key=f"
    assert without_properties(text) == "h/p?token=***&Password=***;x.api_key=*** access_key=***&n=1&sig=*** key=f"


def test_tails():
    """What follows the path of each URL."""
    assert tails("a x://h/p?q=1#f y://h z://h;s") == ["q=1#f", "s"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://127.0.0.1:1/mi?token=s3cret", "http://127.0.0.1:1/mi?***"),
        ("http://s3cret@127.0.0.1:1/mi", "http://***@127.0.0.1:1/mi"),
        ("unix:///run/mi.sock?reply_dir=/tmp", "unix:///run/mi.sock?reply_dir=/tmp"),
    ],
)
def test_a_management_interface(url, shown):
    """Errors and listings show the URL of a management interface without a token in it."""
    assert without_password(url) == shown
    with pytest.raises(ManagementError) as caught:
        Client(url).call("pwd")
    assert f"no answer from {shown}" in str(caught.value)
