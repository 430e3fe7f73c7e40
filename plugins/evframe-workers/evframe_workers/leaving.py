"""The end of the workers, after which the process delivers by itself, or ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evframe.plugin import PluginContext, Subscriber
    from evframe_workers.ledger import Ledger
    from evframe_workers.process import WorkerProcess


async def leave(
    context: PluginContext, processes: Sequence[WorkerProcess], ledgers: Mapping[Subscriber, Ledger]
) -> None:
    """Have the workers deliver what they can, and end; then have a process that runs on deliver the rest."""
    timeout_s = max(1.0, context.host.core.drain_timeout_s)
    try:
        await asyncio.gather(*(process.drain(timeout_s) for process in processes))
    finally:
        for ledger in ledgers.values():
            ledger.take_back()
    if context.host.is_running:  # a reload has removed the plugin
        for subscriber, ledger in ledgers.items():
            _hand_back(context, subscriber, ledger)


def _hand_back(context: PluginContext, subscriber: Subscriber, ledger: Ledger) -> None:
    subscriber.use(ledger.hand_back())
    wake = partial(context.roster.scheduler.wake, subscriber)
    arguments = {"subscriber": subscriber, "policy": subscriber.policy, "wake": wake}
    for queue in context.plugins.collect("limit_queue", queue=subscriber.queue, **arguments)[:1]:
        subscriber.use(queue)
    wake()
