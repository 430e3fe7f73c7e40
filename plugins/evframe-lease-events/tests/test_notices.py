"""When leases are about to end."""

import random

import pytest
from evframe_lease_events import Notices


class Lease:
    """A lease for the tests."""

    def __init__(self, expire_s, now=0.0):
        self.refresh(expire_s, now)

    def refresh(self, expire_s, now):
        self.expire_s = expire_s
        self.deadline = now + expire_s if expire_s else float("inf")


@pytest.mark.parametrize(("expire_s", "at"), [(3600, 3570.0), (120, 90.0), (60, 45.0), (4, 3.0), (1, 0.75)])
def test_when(expire_s, at):
    """A lease raises its event so long before its end, a short one in its last quarter."""
    notices = Notices(30)
    lease = Lease(expire_s)
    notices.add(lease)
    assert notices.next_at == at
    assert notices.due(at - 0.01, 9) == []
    assert notices.due(at, 9) == [lease]
    assert notices.due(at + 0.01, 9) == []


def test_refresh_later():
    """A refresh that moves the end on costs nothing, and the event is raised at its new time."""
    notices = Notices(30)
    lease = Lease(100)
    notices.add(lease)
    for now in range(1, 60):
        lease.refresh(100, now)
        notices.add(lease)
    assert len(notices._schedule) == 1
    assert notices.due(75.0, 9) == []
    assert notices.due(133.9, 9) == []
    assert notices.due(134.0, 9) == [lease]


def test_refresh_sooner():
    """A refresh with a shorter lease raises its event in time, and once."""
    notices = Notices(30)
    lease = Lease(3600)
    notices.add(lease)
    lease.refresh(100, 10)
    notices.add(lease)
    assert notices.due(85.0, 9) == [lease]
    assert notices.due(4000.0, 9) == []


def test_refresh_without_an_end():
    """A refresh after which the lease never ends raises no event."""
    notices = Notices(30)
    lease = Lease(100)
    notices.add(lease)
    lease.refresh(0, 10)
    notices.add(lease)
    assert notices.due(1000.0, 9) == []
    assert len(notices) == 0


def test_what_is_over():
    """What never ends, has ended, or ends now raises no event."""
    notices = Notices(30)
    never, gone, late = Lease(0), Lease(100), Lease(100)
    for lease in (never, gone, late):
        notices.add(lease)
    notices.forget(gone)
    assert notices.due(100.0, 9) == []
    assert len(notices) == 0


def test_bound_of_a_turn():
    """No more than so many are returned at once, and the rest the next time."""
    notices = Notices(30)
    leases = [Lease(100) for _ in range(5)]
    for lease in leases:
        notices.add(lease)
    first = notices.due(80.0, 3)
    assert len(first) == 3
    assert notices.next_at <= 80.0
    rest = notices.due(80.0, 3)
    assert len(rest) == 2
    assert {*first, *rest} == set(leases)


def test_memory_is_bounded():
    """Whatever leases do, there are never many more entries than leases."""
    notices = Notices(30)
    chance = random.Random(1)
    leases = [Lease(3600) for _ in range(100)]
    now = 0.0
    for _ in range(20_000):
        now += 0.2
        lease = chance.choice(leases)
        if chance.random() < 0.2:
            notices.forget(lease)
        else:
            lease.refresh(chance.choice([2, 40, 3600]), now)
            notices.add(lease)
        notices.due(now, 100)
        assert len(notices._schedule) == len(notices)


def test_what_has_ended_unheard():
    """A lease that ended before it was recorded raises no event."""
    notices = Notices(30)
    gone = Lease(100)
    gone.deadline = float("-inf")
    notices.add(gone)
    assert notices.due(0.0, 9) == []
    assert len(notices) == 0
