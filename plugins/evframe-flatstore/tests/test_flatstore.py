"""The flatstore transport on real files."""

import evframe
from evframe_flatstore import FlatstoreTransport, Options


def interface(clock=None, **options):
    return evframe.EventInterface(plugins={"flatstore": FlatstoreTransport(Options(**options))})


async def test_line(tmp_path):
    """One event is one line."""
    async with interface() as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"flatstore:{tmp_path}/f")
        report = await events.raise_event_and_wait("E_TEST", {"s": "hello", "i": 42})

    assert report[0].delivered
    assert (tmp_path / "f").read_bytes() == b"E_TEST,hello,42\n"
