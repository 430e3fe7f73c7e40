"""The events that are declared, in the order of the original's ids."""

from __future__ import annotations

from evframe import Parameter
from evframe.plugin import EventCollector

_MEMORY = {
    "usage": Parameter(int, summary="What is used, in whole percent."),
    "threshold": Parameter(int, summary="The configured threshold, in percent."),
    "used": Parameter(int, summary="The bytes that are used."),
    "size": Parameter(int, summary="The bytes that there are."),
}


def declare(collector: EventCollector) -> None:
    """Declare all of them."""
    collector.add(
        "E_CORE_SR_STATUS_CHANGED",
        {
            "group": Parameter(str, summary="The part of the service."),
            "identifier": Parameter(str, summary="What of it has the status; `main` when there is only one."),
            "status": Parameter(int, summary="The new status: positive when ready, negative when not."),
            "details": Parameter(str, optional=True, summary="A text about it."),
            "old_status": Parameter(int, summary="The status before."),
        },
        summary="Something in the registry of statuses has another status.",
    )
    collector.add(
        "E_CORE_THRESHOLD",
        {
            "source": Parameter(
                str,
                summary="`event route`, `delivery`, `event loop`, or the source that a caller of `report_slow` names.",
            ),
            "time": Parameter(int, summary="The microseconds that it took."),
            "extra": Parameter(str, summary="What was handled."),
        },
        summary="An operation took longer than its limit.",
        is_meta=True,
    )
    collector.add(
        "E_CORE_SHM_THRESHOLD",
        _MEMORY,
        summary="The memory that is used, by all of the machine or cgroup, has another percentage above the threshold.",
    )
    collector.add(
        "E_CORE_PKG_THRESHOLD",
        {**_MEMORY, "pid": Parameter(int, summary="The process.")},
        summary="The memory that the process uses has another percentage above the threshold, or is below it again.",
    )
    collector.add(
        "E_CORE_PROC_AUTO_SCALE",
        {
            "group_type": Parameter(str, summary="What the workers do; `ROUTE` for those of plain event routes."),
            "group_filter": Parameter(str, summary="What part of that they do, or `none`."),
            "group_load": Parameter(int, summary="The load of the group in this cycle, in percent."),
            "scale": Parameter(str, summary="`up` or `down`."),
            "process_id": Parameter(int, summary="The number of the worker."),
            "pid": Parameter(int, summary="The process that it belongs to."),
        },
        summary="A group of workers was given one more, or lost one.",
    )
    collector.add(
        "E_CORE_TCP_DISCONNECT",
        {
            "src_ip": Parameter(str, summary="The peer's address."),
            "src_port": Parameter(int, summary="The peer's port."),
            "dst_ip": Parameter(str, summary="The own address."),
            "dst_port": Parameter(int, summary="The own port."),
            "proto": Parameter(str, summary="What was spoken: `tcp`, `http`, …"),
        },
        summary="A connection was closed, by either side.",
        is_meta=True,
    )
    collector.add(
        "E_CORE_LOG",
        {
            "time": Parameter(str, summary="Local time, such as `Nov 23 01:42:01`."),
            "pid": Parameter(int, summary="The process."),
            "level": Parameter(str, summary="`ALERT`, `CRITICAL`, `ERROR`, `WARNING`, `NOTICE`, `INFO` or `DBG`."),
            "module": Parameter(str, optional=True, summary="The logger."),
            "function": Parameter(str, optional=True, summary="The function that has logged."),
            "prefix": Parameter(str, optional=True, summary="The option `log_prefix` and a colon."),
            "message": Parameter(str, summary="The line, with its keys and its traceback."),
        },
        summary="A line was logged.",
        is_meta=True,
    )
