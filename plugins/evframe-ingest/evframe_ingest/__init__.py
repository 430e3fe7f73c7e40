"""Messages from elsewhere that become events: an `Intake` raises them, and reports how their deliveries ended.

A plugin that consumes a queue acknowledges a message according to this report.
"""

from evframe_ingest.availability import Availability
from evframe_ingest.connecting import SETTLE_S, ConnectingConsumer, SessionConsumer
from evframe_ingest.consumers import ConsumingPlugin
from evframe_ingest.intake import LARGE_BYTES, Fate, Found, Intake, Prepared, Refused, fate_of
from evframe_ingest.queues import About, QueueIntake, Rules

__all__ = [
    "LARGE_BYTES",
    "SETTLE_S",
    "About",
    "Availability",
    "ConnectingConsumer",
    "ConsumingPlugin",
    "Fate",
    "Found",
    "Intake",
    "Prepared",
    "QueueIntake",
    "Refused",
    "Rules",
    "SessionConsumer",
    "fate_of",
]
