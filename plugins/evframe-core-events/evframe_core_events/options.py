"""The options of the source: the table ``[plugins.core-events]``."""

from __future__ import annotations

from typing import Final

import attrs
from evframe_options import above, at_least, within

from evframe_core_events.scaling import Profile

_PERCENT: Final = within(0, 100, "percent")


def _below_scale_up(options: Options, attribute: attrs.Attribute[int], value: int) -> None:
    if value and value >= options.scale_up_percent:
        raise ValueError(
            f"{attribute.name}: expected less than scale_up_percent, {options.scale_up_percent}, got {value!r}"
        )


def _within(options: Options, attribute: attrs.Attribute[int], value: int) -> None:
    if value and value < options.scale_up_cycles:
        raise ValueError(
            f"{attribute.name}: expected scale_up_cycles, {options.scale_up_cycles}, or more, got {value!r}"
        )


@attrs.frozen
class Options:
    """Which of the core events are raised, and when; 0 turns a limit off."""

    exec_route_threshold_us: int = attrs.field(default=0, validator=at_least(0))
    """A call of an event route that takes longer raises E_CORE_THRESHOLD."""
    delivery_threshold_us: int = attrs.field(default=0, validator=at_least(0))
    """A batch that takes longer from its delivery to its outcome raises E_CORE_THRESHOLD."""
    loop_lag_threshold_us: int = attrs.field(default=0, validator=at_least(0))
    """An event loop that does nothing else for longer raises E_CORE_THRESHOLD."""
    event_pkg_threshold: int = attrs.field(default=0, validator=_PERCENT)
    """The percentage of the memory from which this process's own raises E_CORE_PKG_THRESHOLD."""
    event_shm_threshold: int = attrs.field(default=0, validator=_PERCENT)
    """The percentage of the memory from which all that is used of it raises E_CORE_SHM_THRESHOLD."""
    memory_check_interval_s: float = attrs.field(default=1.0, validator=above(0, unit="seconds"))
    """How often the memory is looked at."""
    auto_scaling_cycle_s: float = attrs.field(default=1.0, validator=above(0, unit="seconds"))
    """How often the load of the workers is looked at."""
    scale_up_percent: int = attrs.field(default=0, validator=_PERCENT)
    """The load above which a worker is added; 0 for no auto-scaling at all."""
    scale_up_cycles: int = attrs.field(default=3, validator=at_least(1))
    """In how many cycles the load must have been above it."""
    scale_up_within: int = attrs.field(default=0, validator=_within)
    """Among how many of the last cycles these may be; 0 for as many as they are."""
    scale_down_percent: int = attrs.field(default=0, validator=[_PERCENT, _below_scale_up])
    """The load below which a worker is stopped; 0 for never."""
    scale_down_cycles: int = attrs.field(default=10, validator=at_least(1))
    """In how many cycles, one after the other, the load must have been below it."""
    log_event_enabled: bool = False
    """Raise E_CORE_LOG for log lines; the command `core:log_mute_state` changes it."""
    log_event_level_filter: int = attrs.field(default=0, validator=within(-3, 4))
    """Only for levels up to this one, -3 (ALERT) to 4 (DBG); 0 for all; `core:log_level_filter` changes it."""
    log_msg_buf_size: int = attrs.field(default=4096, validator=at_least(1))
    """How many bytes of a message are kept."""
    log_prefix: str = ""
    """The prefix that E_CORE_LOG has, with a colon after it."""
    log_rate_limit: int = attrs.field(default=100, validator=at_least(0))
    """How many lines a second are raised as events; the others are counted."""
    logger: str = ""
    """The logger whose lines, and those of the loggers below it, are raised; all without a name."""

    @property
    def profile(self) -> Profile | None:
        """The auto-scaling profile, or None."""
        if not self.scale_up_percent:
            return None
        return Profile(
            up_percent=self.scale_up_percent,
            up_cycles=self.scale_up_cycles,
            up_within=self.scale_up_within or self.scale_up_cycles,
            down_percent=self.scale_down_percent,
            down_cycles=self.scale_down_cycles,
        )
