"""How much memory is used, and when that raises an event."""

from __future__ import annotations

import resource

import attrs
import psutil

from evframe.plugin import StatisticGroup
from evframe_core_events.cgroup import MemoryGroup, memory_groups


class Level:
    """The percentage of one kind of memory, and the one that was reported last.

    Q-19: falling below the threshold is reported too when the last value was the threshold itself.

    Args:
        threshold: in percent; 0 reports nothing.
    """

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold
        self._last = 0

    def update(self, used: int, size: int) -> int | None:
        """Return the percentage if it is to be reported: another one at or above the threshold, or the first below."""
        percent = used * 100 // size
        threshold = self.threshold
        if not threshold or percent == self._last or (percent < threshold and self._last < threshold):
            return None
        self._last = percent
        return percent


@attrs.frozen
class Usage:
    """Bytes that are used, and how many there are."""

    used: int
    size: int


def _sizes(group: str, prefix: str, usage: Usage, peak: int) -> StatisticGroup:
    sizes = {
        "total_size": usage.size,
        "used_size": usage.used,
        "real_used_size": usage.used,
        "max_used_size": peak,
        "free_size": max(0, usage.size - usage.used),
    }
    return StatisticGroup(group, {}, {f"{prefix}{name}": size for name, size in sizes.items()})


class Memory:
    """The memory of the machine, or of the cgroup that allows this process less.

    Args:
        root: where ``proc`` and ``sys`` are, for the limits of cgroups.
    """

    def __init__(self, root: str = "/") -> None:
        self._process = psutil.Process()
        self._groups = memory_groups(root)
        self._peak = 0

    def used(self) -> Usage:
        """Return what everybody uses; what the kernel would give back at once, such as its caches, does not count."""
        machine = psutil.virtual_memory()
        group, limit = self._tightest(machine.total)
        if group is None:
            return Usage(machine.total - machine.available, machine.total)
        return Usage(group.used(), limit)

    def used_by_process(self) -> Usage:
        """Return what is resident of this process, of all that it may use."""
        _, limit = self._tightest(psutil.virtual_memory().total)
        return Usage(self._process.memory_info().rss, limit)

    def statistics(self) -> list[StatisticGroup]:
        """Return the memory as OpenSIPS counts its own: `shmem` is that of all, `pkmem` that of this process, 0.

        Raises:
            OSError, ValueError, psutil.Error: if it cannot be read.
        """
        everyone, own = self.used(), self.used_by_process()
        self._peak = max(self._peak, everyone.used)
        peak = max(own.used, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
        return [_sizes("shmem", "", everyone, self._peak), _sizes("pkmem", "0-", own, peak)]

    def _tightest(self, total: int) -> tuple[MemoryGroup | None, int]:
        """Return the group with the smallest limit below *total*, and the limit."""
        found: MemoryGroup | None = None
        smallest = total
        for group in self._groups:
            limit = group.limit()
            if limit is not None and 0 < limit < smallest:
                found, smallest = group, limit
        return found, smallest
