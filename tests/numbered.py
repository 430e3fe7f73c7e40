"""What is to be said of numbered events when they have arrived: in a few words, however many they are."""

import itertools


def assert_all(numbers, count):
    """Fail unless each number below *count* is there, however often, and no other is."""
    missing = sorted(set(range(count)) - set(numbers))
    assert not missing, f"{len(missing)} of {count} missing, from {missing[0]} to {missing[-1]}"
    others = sorted(set(numbers) - set(range(count)))
    assert not others, f"{len(others)} that nobody has sent, from {others[0]} to {others[-1]}"


def assert_exactly(numbers, count):
    """Fail unless each number below *count* is there once, and all of them in order."""
    assert_in_order(numbers, count)
    assert len(numbers) == count, f"{len(numbers) - count} of them again"


def assert_in_order(numbers, count):
    """Fail unless each number below *count* is there, and the first of each in order."""
    assert_all(numbers, count)
    first = list(dict.fromkeys(numbers))
    jumps = [(before, after) for before, after in itertools.pairwise(first) if after != before + 1]
    assert not jumps, f"out of order at {len(jumps)} places: {jumps[:10]}"
