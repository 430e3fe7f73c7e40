"""The events that are declared, in the order of the original's ids."""

from __future__ import annotations

from typing import Final

from evframe import EventType, param


class MemoryUsed(EventType):
    """The base of the events about memory."""

    usage: int = param(summary="What is used, in whole percent.")
    threshold: int = param(summary="The configured threshold, in percent.")
    used: int = param(summary="The bytes that are used.")
    size: int = param(summary="The bytes that there are.")


class StatusChanged(EventType, name="E_CORE_SR_STATUS_CHANGED", kw_only=True):
    """Something in the registry of statuses has another status."""

    group: str = param(summary="The part of the service.")
    identifier: str = param(summary="What of it has the status; `main` when there is only one.")
    status: int = param(summary="The new status: positive when ready, negative when not.")
    details: str | None = param(default=None, summary="A text about it.")
    old_status: int = param(summary="The status before.")


class SlowOperation(EventType, name="E_CORE_THRESHOLD", is_meta=True):
    """An operation took longer than its limit."""

    source: str = param(
        summary="`event route`, `delivery`, `event loop`, or the source that a caller of `report_slow` names."
    )
    time: int = param(summary="The microseconds that it took.")
    extra: str = param(summary="What was handled.")


class SharedMemoryUsed(MemoryUsed, name="E_CORE_SHM_THRESHOLD"):
    """The memory that is used, by all of the machine or cgroup, has another percentage above the threshold."""


class ProcessMemoryUsed(MemoryUsed, name="E_CORE_PKG_THRESHOLD"):
    """The memory that the process uses has another percentage above the threshold, or is below it again."""

    pid: int = param(summary="The process.")


class WorkersScaled(EventType, name="E_CORE_PROC_AUTO_SCALE"):
    """A group of workers was given one more, or lost one."""

    group_type: str = param(summary="What the workers do; `ROUTE` for those of plain event routes.")
    group_filter: str = param(summary="What part of that they do, or `none`.")
    group_load: int = param(summary="The load of the group in this cycle, in percent.")
    scale: str = param(summary="`up` or `down`.")
    process_id: int = param(summary="The number of the worker.")
    pid: int = param(summary="The process that it belongs to.")


class Disconnected(EventType, name="E_CORE_TCP_DISCONNECT", is_meta=True):
    """A connection was closed, by either side."""

    src_ip: str = param(summary="The peer's address.")
    src_port: int = param(summary="The peer's port.")
    dst_ip: str = param(summary="The own address.")
    dst_port: int = param(summary="The own port.")
    proto: str = param(summary="What was spoken: `tcp`, `http`, …")


class LineLogged(EventType, name="E_CORE_LOG", is_meta=True, kw_only=True):
    """A line was logged."""

    time: str = param(summary="Local time, such as `Nov 23 01:42:01`.")
    pid: int = param(summary="The process.")
    level: str = param(summary="`ALERT`, `CRITICAL`, `ERROR`, `WARNING`, `NOTICE`, `INFO` or `DBG`.")
    module: str | None = param(default=None, summary="The logger.")
    function: str | None = param(default=None, summary="The function that has logged.")
    prefix: str | None = param(default=None, summary="The option `log_prefix` and a colon.")
    message: str = param(summary="The line, with its keys and its traceback.")


EVENTS: Final = (
    StatusChanged,
    SlowOperation,
    SharedMemoryUsed,
    ProcessMemoryUsed,
    WorkersScaled,
    Disconnected,
    LineLogged,
)
