"""What takes long with the first event of a transport, done before this gateway delivers anything."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from evframe.plugin import contained_problem_of

if TYPE_CHECKING:
    from evframe.plugin import PluginContext, Subscriber

_LIMIT_S: Final = 2.0


async def warm_up(context: PluginContext) -> None:
    """Have each transport import its library, and connect to one of its subscribers, within a bound.

    An empty batch has both done. Whether the peer can be reached is found out with the first event.

    Args:
        context: of the plugin.
    """
    roster = context.roster
    firsts: dict[int, Subscriber] = {}
    for each in roster.by_socket.values():
        if not (each.depth or each.batches or each.ended or each.away):  # an empty batch shows no peer that is back
            firsts.setdefault(id(each.transport), each)
    probes = [roster.scheduler.probe(each, contained_problem_of(each, _LIMIT_S)) for each in firsts.values()]
    if probes:
        await asyncio.wait(probes, timeout=_LIMIT_S)
