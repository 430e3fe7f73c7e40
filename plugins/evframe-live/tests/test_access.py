"""Who may open a stream."""

import logging

import pytest
from evframe_http import Asking
from evframe_live import Access, LiveOptions, Refused

LOG = logging.getLogger("evframe.test")


def asking(origin=None, authorization=None, tokens=(), host="127.0.0.1:8890"):
    return Asking(hosts=[host], origin=origin, site=None, authorization=authorization, tokens=tokens)


def status(access, request):
    try:
        access.check(request)
    except Refused as refused:
        return refused.status
    return None


def test_without_a_token():
    """A client of this machine may, and no web page of another server."""
    access = Access(LiveOptions(bind="127.0.0.1:8890"), LOG)
    assert status(access, asking()) is None
    assert status(access, asking(origin="http://127.0.0.1:8890")) is None
    assert status(access, asking(origin="https://evil.example")) == 403
    assert status(access, asking(host="evil.example")) == 403


def test_page_that_is_permitted():
    """Its origin gets the headers with which it may read the stream; another one gets none."""
    access = Access(LiveOptions(bind="127.0.0.1:8890", origins=["https://ops.example"]), LOG)
    assert status(access, asking(origin="https://ops.example")) is None
    assert access.headers("https://ops.example")["Access-Control-Allow-Origin"] == "https://ops.example"
    assert access.headers("https://evil.example") == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 401),
        ({"authorization": "Bearer right"}, None),
        ({"authorization": "Bearer wrong"}, 401),
        ({"tokens": (None, "right")}, None),
        ({"tokens": ("wrong", None)}, 401),
        ({"authorization": "Bearer wrong", "tokens": ("right",)}, 401),
    ],
)
def test_token(given, expected):
    """It is in the header, or else in one of the places that a web page can fill."""
    access = Access(LiveOptions(bind="127.0.0.1:8890", token="right"), LOG)
    assert status(access, asking(**given)) == expected
