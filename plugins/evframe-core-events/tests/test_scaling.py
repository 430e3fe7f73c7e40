"""Auto-scaling: when a group gets one worker more or one less."""

import os

import pytest
from evframe_core_events import CoreEvents, Options
from evframe_core_events.scaling import Profile, Scaler
from hypothesis import given
from hypothesis import strategies as st

from evframe.testing import Recorder


def steps(profile, loads, workers=2, bounds=(1, 4)):
    """Return after which cycles, counted from 1, there is one more (+) or less (-)."""
    scaler, found = Scaler(profile), []
    for number, load in enumerate(loads, 1):
        step = scaler.cycle(load, workers, bounds)
        if step is not None:
            workers += 1 if step == "up" else -1
            found.append((number, step))
    return found


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        ([80, 80], []),
        ([80, 80, 80], [(3, "up")]),
        ([80, 70, 80, 80], [(4, "up")]),
        ([80, 70, 70, 80, 80], []),
        ([70] * 20, []),
        # The history is that of one more worker: 90 * 2 / 3 is below 70 again.
        ([90, 90, 90, 90, 90], [(3, "up")]),
        ([90, 90, 90, 90, 90, 90], [(3, "up"), (6, "up")]),
        ([100] * 100, [(3, "up"), (6, "up")]),
    ],
)
def test_up(loads, expected):
    """On more than 70 % for 3 cycles within 4, and never beyond the largest number."""
    assert steps(Profile(70, 3, 4), loads) == expected


@pytest.mark.parametrize(
    ("loads", "workers", "expected"),
    [
        ([10, 10], 3, []),
        ([10, 10, 10], 3, [(3, "down")]),
        ([10, 20, 10, 10], 3, []),
        ([10, 20, 10, 10, 10], 3, [(5, "down")]),
        ([10] * 10, 3, [(3, "down"), (4, "down")]),
        ([10] * 10, 1, []),
    ],
)
def test_down(loads, workers, expected):
    """On less than 20 % for 3 cycles, one at a cycle, and never below the smallest number."""
    assert steps(Profile(70, 3, 4, 20, 3), loads, workers) == expected


def test_no_down_scaling():
    """Without that part of the profile the number never falls."""
    assert steps(Profile(70, 3, 4), [0] * 50) == []


def test_down_waits_for_a_while_after_up():
    """For ten windows of down-scaling after one more there is not one less."""
    assert steps(Profile(70, 1, 1, 20, 3), [80] + [0] * 40)[:2] == [(1, "up"), (32, "down")]


def test_down_only_when_the_others_can_do_it():
    """There is not one less when that would bring the load of the others to where one more is needed."""
    profile = Profile(70, 1, 1, 60, 1)
    assert steps(profile, [40], workers=2) == []
    assert steps(profile, [34], workers=2) == [(1, "down")]


@given(
    st.lists(st.integers(0, 100), max_size=60),
    st.integers(1, 4),
    st.builds(lambda up, n, m, down, k: Profile(up, n, n + m, min(down, up - 1), k), *[st.integers(1, 99)] * 5),
)
def test_within_the_bounds(loads, workers, profile):
    """Whatever the loads are, the number stays within its bounds, and changes by one at a cycle."""
    for _, step in steps(profile, loads, workers):
        workers += 1 if step == "up" else -1
        assert 1 <= workers <= 4


async def test_events(sleeper, group):
    """Each step is made, raised and reported; an error of a group ends nothing."""
    options = Options(scale_up_percent=70, scale_up_cycles=2, scale_down_percent=20, scale_down_cycles=1)
    source = CoreEvents(options, clock=sleeper.clock, sleep=sleeper.sleep)
    async with Recorder({"core-events": source, "workers": group}) as recorder:
        await recorder.events()
        group.load = 90
        await sleeper.advance(1)
        assert await recorder.events() == []
        await sleeper.advance(1)
        group.load = 5
        for _ in range(11):
            await sleeper.advance(1)
        raised = await recorder.events()
        reports = recorder.command("sr_list_reports", group="auto-scaling", identifier="ROUTE")
        status = recorder.command("sr_get_status", group="auto-scaling", identifier="ROUTE")
    common = {"group_type": "ROUTE", "group_filter": "none"}
    assert raised == [
        ("E_CORE_PROC_AUTO_SCALE", {**common, "group_load": 90, "scale": "up", "process_id": 2, "pid": os.getpid()}),
        ("E_CORE_PROC_AUTO_SCALE", {**common, "group_load": 5, "scale": "down", "process_id": 2, "pid": os.getpid()}),
    ]
    assert [report["Log"] for report in reports] == [
        "worker 2 added at a load of 90 %",
        "worker 2 stopped at a load of 5 %",
    ]
    assert status == {"Readiness": True, "Status": 1, "Details": "active"}
    assert group.size == 1


async def test_a_group_that_fails(sleeper, group, caplog):
    """An error of a group is logged, and the next cycle runs."""
    source = CoreEvents(Options(scale_up_percent=70, scale_up_cycles=1), clock=sleeper.clock, sleep=sleeper.sleep)
    group.load = "broken"
    async with Recorder({"core-events": source, "workers": group}) as recorder:
        await sleeper.advance(1)
        assert "a check ended with an error" in caplog.text
        group.load = 90
        source._scalers.clear()
        await sleeper.advance(1)
        await recorder.wait_for(1)
        assert group.size == 2


async def test_without_a_profile(sleeper, group):
    """Nothing looks at the workers when there is no profile."""
    group.load = 100
    async with Recorder({"core-events": CoreEvents(sleep=sleeper.sleep), "workers": group}) as recorder:
        await sleeper.advance(10)
        recorder.plugin("core-events").check_workers()
    assert group.size == 1
