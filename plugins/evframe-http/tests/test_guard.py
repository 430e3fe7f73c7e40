"""What requests have to bring: a token, or a name and its password."""

import base64
import logging

import pytest
from evframe_http import Credentials, Guard

log = logging.getLogger("evframe.http-test")


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text("first\n")
    return path


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer right", True),
        ("bearer  right ", True),
        ("Basic " + base64.b64encode(b"ops:word").decode(), True),
        ("Bearer wrong", False),
        ("Bearer", False),
        ("right", False),
        ("Bearer r\udce4ght", False),
        ("", False),
        (None, False),
    ],
)
def test_one_of_both_is_enough(header, expected):
    """A token, or a name with its password; what a header has instead proves nothing."""
    guard = Guard(Credentials(token="right", username="ops", password="word", realm="here"), log)

    assert guard.asks
    assert guard.challenges == ['Bearer realm="here"', 'Basic realm="here"']
    assert guard.allows(header) is expected


def test_where_nothing_is_set_every_request_is_allowed():
    """Without credentials, no header is compared."""
    guard = Guard(Credentials(), log)

    assert (guard.asks, guard.challenges, guard.allows(None), guard.allows("Bearer x")) == (False, [], True, True)


def test_a_changed_file_is_read_when_a_request_is_refused(token_file, caplog):
    """A token that cannot be read changes nothing; the next one that can be replaces the one before."""
    guard = Guard(Credentials(token_file=str(token_file)), log)
    assert guard.allows("Bearer first")

    token_file.chmod(0o644)
    token_file.write_text("others can read it")
    assert not guard.allows("Bearer others can read it")
    assert guard.allows("Bearer first")
    assert "a changed token or password cannot be used" in caplog.text

    token_file.chmod(0o600)
    token_file.write_text("second token")
    assert guard.allows("Bearer second token")
    assert not guard.allows("Bearer first")


def test_a_file_that_cannot_be_used_is_an_error(tmp_path):
    """The guard is made with what it needs, or not at all."""
    with pytest.raises(ValueError):
        Guard(Credentials(token_file=str(tmp_path / "none")), log)


def test_no_secret_is_shown():
    """Neither the credentials nor the guard show what they compare."""
    credentials = Credentials(token="deeply secret", username="ops", password="also secret")

    assert "secret" not in repr(credentials) + repr(Guard(credentials, log))
