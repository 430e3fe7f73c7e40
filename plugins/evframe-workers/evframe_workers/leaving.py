"""The begin of the workers within a process that delivers, and their end, after which it does so or ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evframe.plugin import PluginContext, Subscriber
    from evframe_workers.ledger import Ledger
    from evframe_workers.process import WorkerProcess

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
_SETTLE_S: Final = 1.0
"""How long deliveries under way have when a reload removes the workers; what has no outcome then is sent again."""


async def take_over(context: PluginContext, is_left: Callable[[Subscriber], bool]) -> None:
    """Have workers deliver to the subscribers that were there before, each once no event waits for it.

    Args:
        context: of the plugin.
        is_left: returns whether a worker is to deliver to a subscriber, and does not.
    """
    roster, pause_s = context.roster, _FIRST_PAUSE_S
    left = list(roster.by_socket.values())
    while left := [each for each in left if each.leases and is_left(each)]:
        for subscriber in left:
            roster.apply(subscriber, subscriber.policy)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def leave(
    context: PluginContext, processes: Sequence[WorkerProcess], ledgers: Mapping[Subscriber, Ledger]
) -> None:
    """Have the workers deliver what they can, and end; then have a process that runs on deliver the rest."""
    timeout_s = max(1.0, context.host.core.drain_timeout_s)
    settle_s = min(_SETTLE_S, timeout_s / 2) if context.host.is_running else 0.0  # the end has waited for all outcomes
    try:
        await asyncio.gather(*(process.drain(timeout_s, settle_s) for process in processes))
    finally:  # also when this takes longer than a reload permits
        for ledger in ledgers.values():
            ledger.take_back()
        if context.host.is_running:  # a reload has removed the plugin
            for subscriber, ledger in ledgers.items():
                _hand_back(context, subscriber, ledger)


def _hand_back(context: PluginContext, subscriber: Subscriber, ledger: Ledger) -> None:
    subscriber.use(ledger.hand_back())
    wake = partial(context.roster.scheduler.wake, subscriber)
    arguments = {"subscriber": subscriber, "policy": subscriber.policy, "wake": wake}
    for queue in context.plugins.collect("limit_queue", queue=subscriber.queue, **arguments):
        subscriber.use(queue)
    wake()
