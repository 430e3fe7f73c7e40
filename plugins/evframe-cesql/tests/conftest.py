"""What a call costs, counted."""

import sys

import pytest


def count_calls(function, *arguments):
    """Return how many functions a call runs, in Python and in C, and what it returns; it may raise."""
    count = 0

    def profile(_frame, kind, _argument):
        nonlocal count
        count += kind in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        result = function(*arguments)
    finally:
        sys.setprofile(None)
    return count, result


@pytest.fixture(scope="session")
def calls():
    """Return `count_calls`."""
    return count_calls
