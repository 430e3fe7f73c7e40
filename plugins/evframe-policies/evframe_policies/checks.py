"""Checks of a policy, before anything changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evframe.plugin import Channel, Policy


def check(policy: Policy, event: Channel | None, compile_filter: Callable[[str], Any]) -> None:
    """Raise ValueError, which begins with the key, for a policy that cannot be followed.

    Args:
        policy: of the configuration, or as it is requested.
        event: of the lease; None for a policy of many events.
        compile_filter: returns the filter of a text.
    """
    if policy.where is not None:
        try:
            compile_filter(policy.where)
        except ValueError as error:
            raise ValueError(f"where: {error}") from None
    if policy.only is not None:
        _check_only(policy.only, event)
    if policy.burst is not None and policy.rate is None:
        raise ValueError(f"burst: expected it together with rate, got {policy.burst} alone")


def _check_only(only: list[str], event: Channel | None) -> None:
    if not only or len(set(only)) < len(only):
        raise ValueError(f"only: expected one or more parameters, each of them once, got {only!r}")
    declared = None if event is None else event.params
    if event is None or declared is None:
        return
    places = {str(place) for place in range(1, len(declared) + 1)}
    for name in only:
        if name not in declared and name not in places:
            known = ", ".join(declared) or "none"
            raise ValueError(f"only: expected parameters of the event {event.name!r}, which are {known}, got {name!r}")
