"""A fleet of three gateways, each a process: what must hold for clients when one is killed, stopped or restarted.

`trial_fleet.py` is the long version, at the full rate and with all faults, which `.ci/long fleet` runs.
"""

import pytest
from fleet_faults import TUNING, Trial, kill, restart, start, stop
from fleets import Fleet

pytestmark = pytest.mark.timeout(300)


async def test_a_fleet_survives_its_members(kafka, tmp_path, capsys):
    """Nothing that was acknowledged is lost, nor out of order, nor does a subscription end that its client renews."""
    async with Fleet(tmp_path, kafka, kinds=10, rate=150, tuning=TUNING, lease_s=20) as fleet:
        a, b, c = fleet.gateways
        trial = Trial(fleet, capsys)
        await trial.measure("kill", kill(fleet, a))
        await trial.measure("start", start(fleet, a))
        await trial.measure("stop", stop(fleet, b, 2))
        await trial.measure("restart", restart(fleet, c))
        await trial.end()
