"""What every source does: each of its events is raised for real."""

import logging
import time

import pytest
from evframe_core_events import CoreEvents, Options
from evframe_core_events.logs import EventHandler

from evframe.testing import SourceContract, until


class TestCoreEvents(SourceContract):
    """All of the core events."""

    name = "core-events"

    @pytest.fixture(autouse=True)
    def parts(self, machine, group):
        machine.version_2().limit(1 << 30, 900 << 20)
        self.root = str(machine.root)
        self.group = group

    def source(self):
        options = Options(
            loop_lag_threshold_us=10_000,
            event_pkg_threshold=1,
            event_shm_threshold=50,
            memory_check_interval_s=0.01,
            auto_scaling_cycle_s=0.01,
            scale_up_percent=50,
            scale_up_cycles=1,
            log_event_enabled=True,
        )
        return CoreEvents(options, root=self.root)

    async def provoke(self, recorder):
        self.group.load = 100
        recorder.interface.plugins.register(self.group)
        context = recorder.plugin("core-events")._context
        context.connection_closed(("192.0.2.1", 5060), ("192.0.2.2", 8080), "tcp")
        context.status.group("test").add(status=-1)
        context.status.group("test").set_status(1)
        await until(lambda: any(isinstance(handler, EventHandler) for handler in logging.getLogger().handlers))
        logging.getLogger("test").warning("a line")
        time.sleep(0.05)
