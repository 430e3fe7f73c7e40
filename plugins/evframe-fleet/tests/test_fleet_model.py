"""A fleet against a model: random schedules of everything that can happen, on a broker and a clock of the test."""

import os

import pytest
from fleet_simulation import run, schedule_of, shortened

SCHEDULES = int(os.environ.get("EVFRAME_FLEET_SCHEDULES", "160"))
PARTS = 8


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_and_nothing_is_delivered_by_two(part):
    """Whatever ends, stops, comes late or is cut off: see `fleet_simulation.World` for what holds."""
    for seed in range(part, SCHEDULES, PARTS):
        schedule = schedule_of(seed)
        try:
            run(seed, schedule)
        except Exception as error:
            pytest.fail(f"seed {seed}: {error!r} with {shortened(seed, schedule)}")
