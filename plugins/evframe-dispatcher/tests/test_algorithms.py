"""The algorithms."""

import random
from collections import Counter

import pytest
from evframe_dispatcher.algorithms import order
from evframe_dispatcher.destinations import Destination
from evframe_dispatcher.options import DestinationOptions, Options
from hypothesis import given
from hypothesis import strategies as st


def destinations(*weights):
    return [
        Destination.make(DestinationOptions(set=1, uri=f"sip:{chr(97 + n)}", weight=weight), Options())
        for n, weight in enumerate(weights)
    ]


def firsts(count, given, *args, **options):
    return "".join(order(given, *args, **options)[0].uri[4:] for _ in range(count))


def test_round_robin():
    """Each in its turn, and the others of the order after it."""
    given = destinations(1, 1, 1)
    assert firsts(6, given) == "abcabc"
    assert [each.uri for each in order(given)] == ["sip:a", "sip:b", "sip:c"]
    assert [each.uri for each in order(given)] == ["sip:b", "sip:c", "sip:a"]


def test_weighted_round_robin():
    """Each has as many turns as its weight, spread over the cycle; weight 0 has none."""
    given = destinations(3, 1, 0, 2)
    assert firsts(12, given) == "adabda" * 2


def test_round_robin_when_one_is_away():
    """The turns of one that is away go to the others, and it gets no more than its own when it is back."""
    given = destinations(1, 1, 1)
    assert firsts(1, given) == "a"
    assert min(Counter(firsts(100, given[:2])).values()) >= 49
    assert max(Counter(firsts(30, given)).values()) <= 12


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_round_robin_is_exact_over_a_cycle(weights):
    """In each cycle of the sum of the weights, everybody has exactly its weight."""
    given = destinations(*weights)
    total = sum(weights) or len(weights)
    wanted = weights if any(weights) else [1] * len(weights)
    for _ in range(3):
        found = Counter(firsts(total, given))
        assert [found[each.uri[4:]] for each in given] == wanted


def test_hash_is_the_same_everywhere():
    """A key has its destination whatever the process and the order of the set."""
    given = destinations(1, 1, 1, 1)
    assert "".join(order(given, "hash", f"call-{n}")[0].uri[4:] for n in range(6)) == "aabadd"
    assert order(given, "hash", "x") == order(given[::-1], "hash", b"x")


@given(st.text(max_size=20), st.integers(0, 3))
def test_hash_moves_only_the_keys_of_one_that_leaves(key, gone):
    """When one leaves, the keys of the others stay where they are."""
    given = destinations(1, 2, 3, 4)
    before = order(given, "hash", key)
    left = [each for each in given if each is not given[gone]]
    assert order(left, "hash", key) == [each for each in before if each is not given[gone]]


@pytest.mark.parametrize("algorithm", ["hash", "random"])
def test_shares_follow_the_weights(algorithm):
    """Over many choices each has its part, and weight 0 has none, but is the last to be tried."""
    given = destinations(1, 3, 0, 6)
    rng = random.Random(1)
    orders = [order(given, algorithm, f"key-{n}", rng.random) for n in range(10_000)]
    found = Counter(each[0].uri for each in orders)
    assert found["sip:a"] == pytest.approx(1000, rel=0.15)
    assert found["sip:b"] == pytest.approx(3000, rel=0.1)
    assert found["sip:d"] == pytest.approx(6000, rel=0.1)
    assert {each[-1].uri for each in orders} == {"sip:c"}


def test_priority():
    """The first of the set, always."""
    assert firsts(3, destinations(1, 1), "priority") == "aaa"


def test_latency():
    """The quickest; those that were never probed come last."""
    given = destinations(1, 1, 1)
    given[0].record_latency(0.2)
    given[2].record_latency(0.1)
    assert [each.uri for each in order(given, "latency")] == ["sip:c", "sip:a", "sip:b"]
    for _ in range(20):
        given[2].record_latency(0.4)
    assert order(given, "latency")[0] is given[0]


@pytest.mark.parametrize("algorithm", ["round-robin", "hash", "random", "priority", "latency"])
def test_nobody_to_choose(algorithm):
    """No destination is chosen of none."""
    assert order([], algorithm, "key") == []


def test_mistakes():
    """An unknown algorithm, and a hash over nothing."""
    with pytest.raises(ValueError, match="algorithm: expected one of"):
        order(destinations(1), "4")
    with pytest.raises(ValueError, match="key: expected"):
        order(destinations(1), "hash")
