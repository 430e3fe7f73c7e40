"""Which leases are renewed."""

from evframe_opensips.instance import _due
from hypothesis import given
from hypothesis import strategies as st


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 600)),
    st.integers(4, 600),
)
def test_due(wanted, left_s, expire_s):
    """What is missing or in the second half of its lease is due, in the order wanted; nothing else is."""
    found = _due(wanted, left_s, expire_s)
    assert found == [name for name in wanted if name in found]
    for name in wanted:
        assert (name in found) == (name not in left_s or left_s[name] <= expire_s / 2)
