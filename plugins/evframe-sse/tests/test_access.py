"""Who may open a stream."""

import json

import pytest
from evframe_sse import EventSourceTransport, Options

TOKEN = "s3cret-token"
PAGE = "https://ops.example"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, ()),
        ({"Cookie": f"evframe_token={TOKEN}"}, ()),
        ({}, (("access_token", TOKEN),)),
    ],
    ids=["header", "cookie", "query"],
)
async def test_the_token_in_each_place(served, headers, query):
    """A browser can bring the token in a cookie or in the query, which no listing and no line of the log has."""
    async with served(token=TOKEN) as each, each.source("E_A", headers=headers, **dict(query)) as source:
        assert TOKEN not in str((await source.next()).data)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, ()),
        ({"Authorization": "Bearer wrong"}, ()),
        ({"Authorization": "Bearer wrong"}, (("access_token", TOKEN),)),
        ({"Cookie": "evframe_token=wrong"}, ()),
        ({}, (("access_token", "wrong"),)),
    ],
)
async def test_without_the_right_token(served, caplog, headers, query):
    """No stream is opened, and what was brought is not logged."""
    caplog.set_level("DEBUG")
    async with served(token=TOKEN) as each:
        status, text = await each.status("E_A", headers=headers, query=query)
        assert not each.events.subscriptions
    assert (status, text) == (401, "expected the token")
    assert all(
        word not in json.dumps(vars(record), default=str) for record in caplog.records for word in (TOKEN, "wrong")
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Origin": "https://evil.example", "Cookie": f"evframe_token={TOKEN}"},
    ],
)
async def test_a_page_of_others_is_refused(served, headers):
    """A cookie that the browser adds does not help the page of another server."""
    async with served(token=TOKEN if "Cookie" in headers else None) as each:
        assert (await each.status("E_A", headers=headers))[0] == 403
        assert not each.events.subscriptions


async def test_a_page_that_is_permitted(served):
    """It may read the stream and errors, and its browser may ask before."""
    async with served(origins=[PAGE]) as each:
        async with each.source("E_A", headers={"Origin": PAGE}) as source:
            headers = source.response.headers
            assert headers["Access-Control-Allow-Origin"] == PAGE
            assert headers["Access-Control-Allow-Credentials"] == "true"
        asking = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
        assert (await each.status("E_A", method="OPTIONS", headers=asking))[0] == 204
        assert (await each.status("E_NONE", headers={"Origin": PAGE}))[0] == 404


@pytest.mark.parametrize(
    "options",
    [{"bind": "0.0.0.0:0"}, {"path": "events"}, {"origins": ["ops.example"]}, {"beat_s": 0.0}, {"resume_s": -1.0}],
)
def test_options_that_do_not_fit(options):
    """Each is one sentence that begins with the option; an address that others reach needs a token."""
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: expected"):
        EventSourceTransport(Options(**options))
