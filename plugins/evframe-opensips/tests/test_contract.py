"""The contract of sources."""

import asyncio

import pytest
from evframe_opensips import InstanceOptions, OpensipsBridge, Options

from evframe.testing import SourceContract, until


class TestContract(SourceContract):
    """What every source does."""

    name = "opensips"

    @pytest.fixture(autouse=True)
    async def live(self, fleet):
        self.opensips = await fleet("E_PIKE_BLOCKED", "E_UL_AOR_INSERT")

    def source(self):
        one = InstanceOptions("one", self.opensips.url)
        return OpensipsBridge(Options([one], modules=["pike"], events=["E_UL_AOR_INSERT"]))

    async def provoke(self, recorder):
        await until(lambda: all(self.opensips.targets(name) for name in self.opensips.events))
        await self.opensips.raise_event("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})
        await self.opensips.raise_event("E_UL_AOR_INSERT", {"domain": "location", "aor": "alice"})
        await asyncio.sleep(0)
