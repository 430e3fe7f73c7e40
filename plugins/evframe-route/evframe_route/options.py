"""The table of the configuration."""

from __future__ import annotations

import attrs
from evframe_options import above, at_least


def _not_below_workers_min(options: Options, attribute: attrs.Attribute[int], value: int) -> None:
    if value < options.workers_min:
        raise ValueError(f"{attribute.name}: expected workers_min, {options.workers_min}, or more, got {value!r}")


@attrs.frozen
class Options:
    """The table ``[plugins.route]``."""

    routes: dict[str, str] = attrs.field(factory=dict)
    """Callables by event name, each as ``module:callable``; the table ``[routes]`` is a shorter way to write it."""
    inline: bool = False
    """Call plain callables in the event loop itself, which they must never block."""
    timeout_s: float = attrs.field(default=30.0, validator=above(0, unit="seconds"))
    """How long one call may take before its event counts as failed."""
    kept_retry_s: float = attrs.field(default=300.0, validator=above(0, unit="seconds"))
    """How long an event that is kept on disk is tried again when the route fails it; after that it has failed if the
    route takes another one."""
    workers_min: int = attrs.field(default=8, validator=at_least(1))
    """How many threads plain callables share: so many at first, and never fewer."""
    workers_max: int = attrs.field(default=32, validator=[at_least(1), _not_below_workers_min])
    """How many threads there may be, when something else asks for more: see `core-events`."""
