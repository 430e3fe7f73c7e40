"""Which subscribers fail and have recovered."""

from evframe_lease_events import Troubles


def test_failing_and_recovering():
    """That a subscriber fails is new once; it has recovered when it has worked for a while."""
    troubles = Troubles(5.0)
    assert troubles.fails("udp:a")
    assert not troubles.fails("udp:a")
    troubles.works("udp:a", 100.0)
    assert troubles.next_at == 105.0
    assert troubles.recovered(104.9, 9) == []
    assert troubles.recovered(105.0, 9) == ["udp:a"]
    assert troubles.recovered(105.0, 9) == []
    assert troubles.fails("udp:a")


def test_every_second_event():
    """A subscriber that fails every second event has failed once, and has not recovered."""
    troubles = Troubles(5.0)
    assert troubles.fails("udp:a")
    for now in range(0, 100, 2):
        troubles.works("udp:a", float(now))
        assert troubles.recovered(now + 1.0, 9) == []
        assert not troubles.fails("udp:a")


def test_what_was_not_told():
    """What works without having failed, or is gone, does not recover."""
    troubles = Troubles(0.0)
    troubles.works("udp:a", 0.0)
    troubles.fails("udp:b")
    troubles.forget("udp:b")
    troubles.works("udp:b", 0.0)
    assert troubles.recovered(9.0, 9) == []


def test_memory_is_bounded():
    """Subscribers that fail and have no further outcome are forgotten, the oldest first."""
    troubles = Troubles(5.0)
    for number in range(20_000):
        troubles.fails(f"udp:{number}")
    assert len(troubles) == 10_000
    troubles.works("udp:0", 0.0)
    troubles.works("udp:19999", 0.0)
    assert troubles.recovered(9.0, 9) == ["udp:19999"]
