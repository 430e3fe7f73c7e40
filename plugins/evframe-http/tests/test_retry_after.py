"""How long a server asks to wait."""

from datetime import UTC, datetime

import pytest
from evframe_http.retry_after import retry_after_s
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
    assert retry_after_s({"Retry-After": text}, 300, NOW) == seconds
    assert retry_after_s({}, 300, NOW) == 0


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d+ Jan \d+ \d+:\d+:\d+ [+-]\d+"))
def test_any_header_is_a_pause_within_the_bound(text):
    """No text of a server is an error, or a longer pause."""
    assert 0 <= retry_after_s({"Retry-After": text}, 300) <= 300
