"""The core events of evframe: slow operations, memory, workers, connections, log lines and statuses."""

from evframe_core_events.events import (
    Disconnected,
    LineLogged,
    ProcessMemoryUsed,
    SharedMemoryUsed,
    SlowOperation,
    StatusChanged,
    WorkersScaled,
)
from evframe_core_events.options import Options
from evframe_core_events.plugin import CoreEvents

__all__ = [
    "CoreEvents",
    "Disconnected",
    "LineLogged",
    "Options",
    "ProcessMemoryUsed",
    "SharedMemoryUsed",
    "SlowOperation",
    "StatusChanged",
    "WorkersScaled",
]
