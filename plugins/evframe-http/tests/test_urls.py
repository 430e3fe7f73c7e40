"""Patterns of URLs."""

import pytest
from evframe_http.urls import UrlPattern, UrlSocket


@pytest.mark.parametrize(
    ("pattern", "fits", "others"),
    [
        ("*", ["https://a/", "http://b:1/x"], []),
        (
            "https://hooks.example/*",
            ["https://hooks.example/", "https://hooks.example/a/b?c"],
            ["http://hooks.example/"],
        ),
        ("https://hooks.example*", ["https://hooks.example/"], ["https://hooks.example/a"]),
        ("https://*.example/*", ["https://a.b.example/x"], ["https://evil/x.example/", "https://example/x"]),
        ("https://h.example/*", [], ["https://h.example:444/", "https://evil/h.example/x"]),
        ("http://h:*/a?x=*", ["http://h:81/a?x=1"], ["http://h:81/abx=1", "http://h:81/a"]),
        ("http://[::1]:9000/*", ["http://[::1]:9000/a"], ["http://1:9000/a", "http://[::2]:9000/a"]),
        ("https://[2001:db8::*]/*", ["https://[2001:db8::1]/"], ["https://[2001:db9::1]/"]),
        ("http://h/[ab]*", ["http://h/[ab]c"], ["http://h/ac"]),
    ],
)
def test_patterns(pattern, fits, others):
    """Host and path are compared apart, so that no path and no longer name makes a host fit."""
    made = UrlPattern.of(pattern)
    parsed = {url: UrlSocket.parse(*url.split(":", 1)) for url in fits + others}
    assert [url for url, socket in parsed.items() if made.fits(socket)] == fits
