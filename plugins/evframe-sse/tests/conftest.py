"""Interfaces with streams."""

from contextlib import asynccontextmanager

import pytest
from event_streams import Served
from evframe_cesql import CesqlPlugin
from evframe_journal import JournalPlugin
from evframe_journal import Options as JournalOptions
from evframe_mi import Management, ManagementOptions
from evframe_mi import Options as MiOptions
from evframe_policies import PoliciesPlugin
from evframe_sse import EventSourceTransport, Options

import evframe
from evframe.plugin import parse_config


@pytest.fixture
def served():
    """Return what yields an interface with streams: it takes options, a configuration, and the path of a journal."""

    @asynccontextmanager
    async def served(config="", journal=None, schemes=("sse",), **options):
        sse = EventSourceTransport(Options(bind="127.0.0.1:0", **options))
        mi = Management(MiOptions(ManagementOptions(schemes=list(schemes))))
        plugins = {"mi": mi, "policies": PoliciesPlugin(), "cesql": CesqlPlugin(), "sse": sse}
        if journal is not None:
            plugins["journal"] = JournalPlugin(JournalOptions(path=str(journal), store_after_ms=2))
        events = evframe.EventInterface(parse_config(f"[core]\ndrain_timeout_s = 0.2\n{config}"), plugins=plugins)
        events.register_event("E_A")
        async with events:
            yield Served(events, sse)

    return served
