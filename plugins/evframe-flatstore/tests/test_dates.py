"""Files with dates: when the next one begins, in real time zones."""

import asyncio
import os
import time
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from evframe_flatstore import FlatstoreTransport, Options
from evframe_flatstore.dates import Periods, suffix_at

import evframe
from evframe.testing import FakeClock, until

NEW_YORK = "America/New_York"
BERLIN = "Europe/Berlin"
DAY = {"rotate_period_s": 86400, "suffix": ".%Y-%m-%d"}


def at(zone, *when):
    return datetime(*when, tzinfo=ZoneInfo(zone)).timestamp()


class SleepingClock(FakeClock):
    """A clock whose sleepers wake when it has advanced to their time."""

    def __init__(self, now):
        super().__init__(now)
        self.sleepers = []

    async def sleep(self, seconds):
        future = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + seconds, future))
        await future

    async def reach(self, now):
        """Advance to *now*, by way of every time at which a sleeper wakes."""
        await until(lambda: self.sleepers)
        while self.sleepers[-1][0] <= now:
            wakes, future = self.sleepers.pop()
            self.now = wakes
            future.set_result(None)
            await until(lambda: self.sleepers)
        self.now = now


@contextmanager
def machine_in(zone):
    """Have the machine's own time zone be *zone*."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


@pytest.mark.parametrize("zone", [NEW_YORK, BERLIN, "Asia/Kolkata", "Pacific/Auckland", "UTC"])
@pytest.mark.parametrize("own", [True, False])
async def test_daily_files_rotate_at_local_midnight(tmp_path, zone, own):
    """The last line of a day is in that day's file and the first of the next in the next one, in every zone."""
    clock = FakeClock(at(zone, 2026, 6, 9, 23, 59, 59))
    with machine_in(zone if own else "Asia/Tokyo"):
        transport = FlatstoreTransport(Options(timezone=None if own else zone, **DAY), clock=clock)
        async with evframe.EventInterface(plugins={"flatstore": transport}) as events:
            events.register_event("E")
            events.subscribe_event("E", f"flatstore:{tmp_path}/f")
            for number in range(3):
                await events.raise_event_and_wait("E", [number])
                clock.advance(1)
            clock.now = at(zone, 2026, 6, 10, 23, 59, 59)
            await events.raise_event_and_wait("E", [3])
            clock.advance(1)
            await events.raise_event_and_wait("E", [4])

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "f.2026-06-09": "E,0\n",
        "f.2026-06-10": "E,1\nE,2\nE,3\n",
        "f.2026-06-11": "E,4\n",
    }


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (NEW_YORK, (2026, 3, 8), 23),
        (NEW_YORK, (2026, 11, 1), 25),
        (BERLIN, (2026, 3, 29), 23),
        (BERLIN, (2026, 10, 25), 25),
        ("America/Havana", (2026, 3, 8), 23),  # the clock is set at midnight
        ("America/Havana", (2026, 11, 1), 25),
        (BERLIN, (2026, 6, 9), 24),
    ],
)
async def test_the_timer_rotates_once_on_days_of_23_and_25_hours(tmp_path, zone, day, hours):
    """The timer rotates at the midnight after a day on which the clock is set, and at no other time of it."""
    begins = at(zone, *day)
    if zone == "America/Havana" and hours == 23:
        begins = at(zone, *day, 1)  # the day has no midnight
    clock = SleepingClock(begins + 1)
    transport = FlatstoreTransport(Options(timezone=zone, **DAY), clock=clock, sleep=clock.sleep)
    async with evframe.EventInterface(plugins={"flatstore": transport}) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/f")
        async with events.listen("E_FLATSTORE_ROTATION") as rotations:
            await events.raise_event_and_wait("E", [0])
            await clock.reach(begins + hours * 3600 - 1)
            await events.raise_event_and_wait("E", [1])
            assert events.event("E_FLATSTORE_ROTATION").raised == 0
            await clock.reach(begins + hours * 3600)
            async with asyncio.timeout(20):
                assert (await anext(rotations))["reason"] == "period"
    name = f"f.{day[0]}-{day[1]:02}-{day[2]:02}"
    assert (tmp_path / name).read_text() == "E,0\nE,1\n"
    assert len(list(tmp_path.iterdir())) == 2


async def test_a_line_after_midnight_and_the_timer_rotate_once(tmp_path):
    """A line that comes before the timer rotates the file, and the timer does not rotate it again."""
    midnight = at(BERLIN, 2026, 6, 10)
    clock = SleepingClock(midnight - 10)
    transport = FlatstoreTransport(Options(timezone=BERLIN, **DAY), clock=clock, sleep=clock.sleep)
    async with evframe.EventInterface(plugins={"flatstore": transport}) as events:
        events.register_event("E")
        events.subscribe_event("E", f"flatstore:{tmp_path}/f")
        await events.raise_event_and_wait("E", [0])
        await until(lambda: clock.sleepers)
        clock.now = midnight + 1
        await events.raise_event_and_wait("E", [1])
        await clock.reach(midnight + 2)
        await events.raise_event_and_wait("E", [2])
        await until(lambda: events.event("E_FLATSTORE_ROTATION").raised)
        assert events.event("E_FLATSTORE_ROTATION").raised == 1

    assert (tmp_path / "f.2026-06-10").read_text() == "E,1\nE,2\n"


@pytest.mark.parametrize("zone", [NEW_YORK, BERLIN, "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"])
@pytest.mark.parametrize("period_s", [900, 3600, 21600, 86400, 604800])
def test_periods_change_at_the_looks(zone, period_s):
    """Between two looks of a whole year the period is the same; each look but those at set clocks finds another one."""
    periods = Periods(period_s, ZoneInfo(zone))
    now = at(zone, 2026, 1, 1, 12)
    same = 0
    while now < at(zone, 2027, 1, 1):
        look = periods.next_look(now)
        assert periods.number(now) == periods.number(look - 1)
        same += periods.number(now) == periods.number(look)
        now = look
    assert same <= 2


@pytest.mark.parametrize("suffix", ["-%s", "-%%s-%s", "%%%s"])
def test_seconds_of_another_zone(suffix):
    """`%s` is the Unix time in whatever zone."""
    with machine_in("Asia/Tokyo"):
        assert suffix_at(suffix, 1_795_397_618, ZoneInfo(BERLIN)) == suffix_at(suffix, 1_795_397_618, None)


def test_an_unknown_zone_is_an_error_of_its_option():
    """The error names the option and shows what a zone's name is like."""
    with pytest.raises(ValueError, match="timezone: expected the name of a time zone such as 'Europe/Berlin', got 'X'"):
        Options(timezone="X")
