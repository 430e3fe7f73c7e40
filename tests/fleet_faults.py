"""Faults of a fleet, each measured: how long a subscriber waited, and how much came twice."""

import asyncio
import os
import signal

from fleets import Fleet

TUNING = "session_timeout_ms = 1400\nheartbeat_interval_ms = 100\nmargin_ms = 400\n"


class Trial:
    """Measures one fault after the other, and looks at what has come of all events.

    Args:
        fleet: the gateways and their subscribers.
        capsys: of the test, to print each figure at once.
    """

    def __init__(self, fleet: Fleet, capsys):
        self.fleet, self._capsys = fleet, capsys
        self.gaps, self.repeated = {}, {}

    def say(self, text):
        """Print a line."""
        with self._capsys.disabled():
            print(f"\n{text}, load {os.getloadavg()[0]:.1f}", end="", flush=True)

    async def measure(self, name, fault, wait_s=0.0):
        """Run *fault* and wait until each subscriber gets events, and keep the longest gap and the most that came twice."""
        fleet = self.fleet
        fleet.received.begin()
        await fault
        await fleet.until_received()
        await asyncio.sleep(wait_s)
        gap, repeated = fleet.figures()
        self.gaps.setdefault(name, []).append(gap)
        self.repeated.setdefault(name, []).append(repeated)
        self.say(f"{name}: gap {gap:.2f} s ({fleet.slowest}), twice {repeated:.2f} s")

    async def end(self):
        """End the fleet, and check that nothing is lost or out of order, and no renewed subscription has ended."""
        fleet = self.fleet
        missing = await fleet.settled()
        for each in fleet.gateways:
            await each.stop()
        self.say(
            f"{fleet.acknowledged} acknowledged, {fleet.received.count} received, {fleet.renewals} renewals,"
            f" others show a subscription after {max(fleet.shown, default=0) * 1000:.0f} ms"
        )
        assert missing == []
        assert fleet.received.disorder == []
        assert fleet.renewals

    def most(self, figures, *names):
        """Return the largest figure of the faults with these names."""
        return max(figure for name in names for figure in figures[name])


async def kill(fleet, gateway):
    """Kill a gateway, and wait until the others deliver in its place."""
    await gateway.stop(signal.SIGKILL)
    await fleet.until_received()


async def start(fleet, gateway):
    """Start a gateway again."""
    await gateway.start()
    await fleet.until_joined()


async def stop(fleet, gateway, seconds):
    """Stop the process of a gateway for some time."""
    gateway.send(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    gateway.send(signal.SIGCONT)
    await fleet.until_joined()


async def restart(fleet, *gateways):
    """Restart one gateway after the other."""
    for each in gateways:
        await each.stop()
        await start(fleet, each)
