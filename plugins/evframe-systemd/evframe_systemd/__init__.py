"""The gateway as a service of systemd: readiness, status, reloads and the watchdog."""

from evframe_systemd.plugin import ServiceNotifier
from evframe_systemd.service_manager import ServiceManager

__all__ = ["ServiceManager", "ServiceNotifier"]
