"""What answers say: their status, and the time that they ask for."""

from datetime import UTC, datetime

import pytest
from evframe_webhook.answers import Verdict, pause_s, verdict_on
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("2", 2),
        (" 30 ", 30),
        ("300", 300),
        ("86400", 300),
        ("9" * 400, 300),
        ("-1", 0),
        ("1.5", 0),
        ("\u0662", 0),
        ("", 0),
        ("soon", 0),
        ("Thu, 01 Jan 2026 12:00:20 GMT", 20),
        ("Thu, 01 Jan 2026 12:00:20 -0000", 20),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("Thu, 01 Jan 2099 11:00:00 GMT", 300),
        ("Thursday, 01-Jan-26 12:00:20 GMT", 20),
        ("Thu, 01 Jan 2026 12:00:20 +99999999999", 0),
    ],
)
def test_pauses(text, seconds):
    """Seconds and dates are read, within the bound; anything else is no pause."""
    assert pause_s({"Retry-After": text}, 300, NOW) == seconds
    assert pause_s({}, 300, NOW) == 0


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d+ Jan \d+ \d+:\d+:\d+ [+-]\d+"))
def test_any_header_is_a_pause_within_the_bound(text):
    """No text of a server is an error, or a longer pause."""
    assert 0 <= pause_s({"Retry-After": text}, 300) <= 300


def test_each_status_has_a_verdict():
    """What a later attempt may mend waits; for events on disk that is more."""
    later = {status for status in range(100, 1000) if verdict_on(status, is_kept=False) is Verdict.LATER}
    assert later == {408, 425, 429, *range(500, 1000)}
    kept = {status for status in range(100, 1000) if verdict_on(status, is_kept=True) is Verdict.LATER}
    assert kept - later == {401, 403, 404, 407}
    delivered = {status for status in range(100, 1000) if verdict_on(status, is_kept=True) is Verdict.DELIVERED}
    assert delivered == set(range(200, 300))
    assert [status for status in range(100, 1000) if verdict_on(status, is_kept=True) is Verdict.GONE] == [410]
