"""What a call costs, counted."""

import pytest
from call_counts import count_calls


@pytest.fixture(scope="session")
def calls():
    """Return `count_calls`."""
    return count_calls
