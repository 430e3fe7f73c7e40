"""Messages of queues that become events: an `Intake` raises the events, and reports how their deliveries ended.

A plugin that consumes a queue acknowledges a message according to this report.
"""

from evframe_ingest.availability import Availability
from evframe_ingest.intake import LARGE_BYTES, Fate, Intake, Prepared, Refused, Rules, fate_of

__all__ = ["LARGE_BYTES", "Availability", "Fate", "Intake", "Prepared", "Refused", "Rules", "fate_of"]
