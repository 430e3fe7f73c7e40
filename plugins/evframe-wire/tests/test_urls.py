"""Percent-encoded texts, and hosts."""

import pytest
from evframe_wire.urls import decoded, encoded, host_and_port
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.sampled_from(["", "/", "/:{}"]))
def test_what_is_encoded_is_decoded(text, safe):
    """Whatever a text has, it is the same after both; but for the safe ones, nothing in it has a meaning in a URL."""
    made = encoded(text, safe)
    assert decoded(made) == text
    assert not set(made) & (set("/:?#[]@&= ") - set(safe))


@pytest.mark.parametrize(
    "text", ["s3cret%", "s3cret%2", "s3cret%zz", "s3cret%0A", "s3cret%7f", "s3cret%ff", "s3cret\udcff"]
)
def test_what_is_refused(text):
    """A text that does not fit is refused, and not shown."""
    with pytest.raises(ValueError, match="expected") as caught:
        decoded(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("authority", "parts"),
    [
        ("H.Example", ("h.example", 7)),
        ("h:9", ("h", 9)),
        ("[::1]", ("[::1]", 7)),
        ("[::1]:9", ("[::1]", 9)),
        ("BÜCHER.example", ("xn--bcher-kva.example", 7)),
    ],
)
def test_hosts_and_ports(authority, parts):
    """A host is in lower case, in the form of the DNS."""
    assert host_and_port(authority, 7) == parts
