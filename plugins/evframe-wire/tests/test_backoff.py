"""Waiting between attempts."""

from evframe_wire.backoff import CAP_S, delay_s


def test_delays_grow_to_the_cap():
    """The longest wait doubles with each attempt, up to the cap; a wait is never less than half of it."""
    for cap_s in (CAP_S, 5.0):
        for attempt, longest in [(1, 0.05), (2, 0.1), (4, 0.4), (50, cap_s), (10**6, cap_s)]:
            for _ in range(20):
                assert longest / 2 <= delay_s(attempt, cap_s) <= longest
