"""The rules of hosts and of web pages, which every server has; evframe-mi-http asks them byte for byte."""

import pytest
from evframe_http import OriginGuard
from evframe_http.origin import is_same_origin


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:9464", True), ("[::1]:9464", True), ("[::1]", True), ("localhost", True), ("LOCALHOST.:9464", True),
        ("10.0.0.1", True), ("gateway.example:1", True), ("ops.example", True), ("evil.example:9464", False),
        ("localhost.evil.example", False), ("localhost@evil.example", False), ("", False), ("a b", False),
    ],
)  # fmt: skip
def test_a_name_that_a_page_may_come_by_is_refused(host, expected):
    """An address, localhost, and the names of the configuration are accepted; any name is with the token."""
    guard = OriginGuard("gateway.example", ["Ops.Example."], [])

    assert (guard.problem([host], None, None) is None) is expected
    assert guard.problem([host], None, None, is_known=True) is None
    assert OriginGuard(None, [], []).problem([host], None, None) is None, "a path has no name"


@pytest.mark.parametrize(
    ("origin", "site", "expected"),
    [
        (None, None, True), (None, "none", True), (None, "same-origin", True), (None, "same-site", False),
        (None, "cross-site", False), ("http://127.0.0.1:8000", "same-origin", True), ("http://localhost:1", None, True),
        ("http://127.0.0.1:8000", "cross-site", False), ("http://evil.example", None, False), ("null", None, False),
        ("https://ops.example", "cross-site", True), ("http://ops.example", "cross-site", False),
    ],
)  # fmt: skip
def test_a_page_of_others_is_refused_with_the_token_too(origin, site, expected):
    """A browser says where a request comes from; only the server itself and permitted pages may make one."""
    guard = OriginGuard("127.0.0.1", [], ["https://ops.example"])

    for is_known in (False, True):
        assert (guard.problem(["127.0.0.1:8000"], origin, site, is_known=is_known) is None) is expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:8000", True), ("http://127.0.0.1:8001", False), ("https://127.0.0.1:8000", True),
        ("http://localhost:8000", False), ("http://127.0.0.1", False), ("null", False), (None, False),
    ],
)  # fmt: skip
def test_the_server_itself_is_one_origin(origin, expected):
    """Another page of this machine has another port or name; a proxy in front may have another scheme."""
    assert is_same_origin(origin, ["127.0.0.1:8000"]) is expected
